"""What every run does before its first job: be alone in the folder, and check the study against its data and models."""

import fcntl
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import yaml

from freshness.contents import contents, load, write
from freshness.syntax import syntax_digests
from startup.stop import unmoved
from startup.warm import MODELS

LOCK = Path(".snakemake/run.lock")
CHECKED = Path(".snakemake/checked.json")
_held: list[Any] = []


def be_alone() -> None:
    """Refuse a second run in this folder, and say whose the first is (runs/status.py).

    Unlike Snakemake's own lock this one goes with the process, however it ends.
    """
    LOCK.parent.mkdir(exist_ok=True)
    file = LOCK.open("a")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        sys.exit("Another run is at work in this folder: wait until it has ended.")
    file.truncate(0)
    file.write(json.dumps(this_process()))
    file.flush()
    _held.append(file)  # closing the file would give the lock back


def this_process() -> list[float]:
    """What tells this process from all that were and will be: its number, and when it began."""
    return [os.getpid(), psutil.Process().create_time()]


def mend() -> None:
    """Remove what DVC writes in place and a kill may have left half written; DVC writes both anew."""
    for path in (Path(".dvc/tmp/rwlock"), Path("dvc.lock")):
        try:
            whole = isinstance(yaml.safe_load(path.read_text(encoding="utf-8")), dict)
        except FileNotFoundError:
            continue
        except (ValueError, yaml.YAMLError):
            whole = False
        if not whole:
            sys.stderr.write(f"{path} was not whole and is made anew\n")
            path.unlink()


def check_study(files: list[str]) -> None:
    """Check params.yaml with its data and models, unless this very study was checked here before."""
    module = "workflow_scripts.lib.study.preflight"
    study = {
        "files": {path: contents([path]).get(path, "missing") for path in ["params.yaml", *files]},
        "code": syntax_digests(module),
    }
    if load(CHECKED) == study:
        return
    # In a process of its own: Snakemake stays free of torch.
    if subprocess.run(
        unmoved([sys.executable, "startup/warm.py", MODELS, module, "params.yaml", "--brief"]), check=False
    ).returncode:
        sys.exit("The study cannot run as params.yaml says it; nothing was started.")
    write(CHECKED, study)
