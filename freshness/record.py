"""The end of a run: check that nothing was edited meanwhile, remove what is of no study any more, record what is there.

`python -m freshness.record check PLAN` is the last job of `snakemake all_<stage>`, after which DVC records the stage;
`... commit PLAN` that of `snakemake all`.
"""

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from freshness import cached, configured, folders, keep, lock, seal
from freshness.contents import load, md5
from workflow_scripts.lib.errors import StudyError

BUSY = ("Unable to acquire lock", "is busy")
PATIENCE, PAUSE = 600, 2  # seconds


def changed(plan: dict[str, Any], jobs: list[seal.Job]) -> Iterator[str]:
    """What is not as it was when the run began, or not of one piece, in words."""
    for path, planned in plan["params"].items():
        if md5(Path(path)) != planned:
            yield f"{path} was edited since this run began"
    for job in jobs:
        output = seal.first(job["outputs"])
        yield from (f"{path} was edited since this run began" for path in seal.changed_files(job))
        sealed = seal.intact(job["outputs"])
        if sealed is None or seal.name(sealed) != seal.name(job["recipe"]):
            yield f"{output} is not what this run made"
        elif sealed["made_from"] != seal.made_from(job):
            yield f"{output} was made from other bytes of its inputs than are here now"


def commit() -> None:
    """Have DVC record what is there; waits for its lock, and passes its own words on where it fails."""
    deadline = time.monotonic() + PATIENCE
    while True:
        command = [sys.executable, "-m", "dvc", "commit", "--force"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode == 0:
            return
        words = (done.stderr or done.stdout).strip()
        if not any(busy in words for busy in BUSY) or time.monotonic() > deadline:
            sys.exit(f"dvc commit failed, so nothing is recorded: {words}")
        sys.stderr.write("waiting for another DVC command to end\n")
        time.sleep(PAUSE)


def record(jobs: dict[str, list[dict[str, str]]]) -> None:
    """Record what is there as DVC would, where it is not installed; exits with one line where that fails.

    Args:
        jobs: folder of a stage -> the outputs of each of its jobs
    """
    cache = cached.cache()
    files = {folder: folders.recorded(folder, outputs) for folder, outputs in jobs.items()}
    try:
        for folder, inside in files.items():
            keep.keep_folder(cache, Path(folder), inside, hard=cache.hard)
        lock.write(files)
    except (StudyError, OSError) as error:
        sys.exit(f"nothing is recorded: {error}")


def main(action: str, path: str) -> None:
    """Check, tidy, and commit if that is asked for; exits with one line where the check fails."""
    plan = load(Path(path))
    jobs = {folder: [load(Path(job)) for job in some] for folder, some in (plan or {"stages": {}})["stages"].items()}
    if plan is None or not all(job for some in jobs.values() for job in some):
        sys.exit(f"{path} and what it names are not of this run; run again")
    for found in changed(plan, [job for some in jobs.values() for job in some if job]):
        sys.exit(f"{found}, so nothing is recorded; run again")
    outputs = {folder: [job["outputs"] for job in some if job] for folder, some in jobs.items()}
    for folder, some_outputs in outputs.items():
        folders.tidy(folder, some_outputs)
    if action == "commit" and configured.dvc_installed():
        commit()
    elif action == "commit":
        record(outputs)


if __name__ == "__main__":
    main(*sys.argv[1:])
