"""Commands that measure the tool and print what they found; `python -m benchmarks.<name> --help`."""
