"""The stages of the study, one module each; `python -m workflow_scripts.<stage> --help`."""
