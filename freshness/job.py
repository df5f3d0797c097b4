"""One job in one process: begin it, run its stage, seal what it made. `python -m freshness.job JOB MODULE FLAGS...`.

JOB is a file of planned.py; the rest is what `python -m MODULE FLAGS...` would be. A process for each of the three
would cost more than some stages take.
"""

import runpy
import sys
from pathlib import Path

from freshness import libraries, seal

STAGES = "workflow_scripts"


def main(path: str, module: str, *flags: str) -> None:
    """Run a stage between begin and seal; exits with one line where either is refused."""
    job = seal.load(Path(path))
    if job is None:  # on another machine the path is worked out anew, from what is there by then
        sys.exit("not started: params.yaml, code or data are not what they were when this run began; run again")
    try:
        seal.begin(job, Path(path))
        run(module, flags)
        libraries.here.cache_clear()  # what is installed may have changed meanwhile
        seal.seal(job, Path(path))
    except seal.ChangedError as error:
        sys.exit(f"{seal.first(job['outputs'])}: {error}; run again")


def run(module: str, flags: tuple[str, ...]) -> None:
    """Be `python -m MODULE FLAGS...`, and come back if that ends well."""
    for name in [name for name in sys.modules if name.split(".")[0] == STAGES]:
        del sys.modules[name]  # imported before begin had looked at it
    own, sys.argv = sys.argv, [module, *flags]
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as end:
        if end.code:
            raise
    finally:
        sys.argv = own


if __name__ == "__main__":
    main(*sys.argv[1:])
