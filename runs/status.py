"""How far the study is: `python -m runs.status`, from any terminal, while a run is at work or when none is.

A run notes what it does every second (watch.py), and when it began what each job of the study is to make (freshness/
plan.py): an artifact counts as made if the recipe sealed beside it is the planned one. Bytes are not read again.
"""

import json
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil

from freshness import seal
from freshness.contents import PLANNED, files_of, load, load_sealed, md5
from runs.failure import lines_of
from runs.tally import Taken, spoken
from runs.watch import FILE
from startup.checks import LOCK

PARAMS = Path("params.yaml")
SHOWN = 20  # failed jobs
TRIES, PAUSE = 10, 0.02  # the file is written in place: a moment later it is whole


def last_process() -> list[float] | None:
    """The process of the last run in this folder: its number, and when it began."""
    try:
        number, began = json.loads(LOCK.read_text(encoding="utf-8"))
    except (OSError, ValueError, TypeError):
        return None
    return [number, began]


def is_there(process: list[float]) -> bool:
    """Whether a process is still at work."""
    try:
        return psutil.Process(int(process[0])).create_time() == process[1]
    except psutil.Error:
        return False


def noted() -> dict[str, Any]:
    """What the last run that has come as far as its jobs noted of itself; empty where there is none."""
    for _ in range(TRIES):
        if not FILE.exists():
            break
        if found := load(FILE):
            return found
        time.sleep(PAUSE)
    return {}


def lines() -> Iterator[str]:
    """What there is to say."""
    process, run, now = last_process(), noted(), time.time()
    if process is None:
        yield "No run is at work, and none was before: `make reproduce` starts one."
    elif run.get("process") == process:
        yield from _of_jobs(run, now, at_work=is_there(process))
    elif is_there(process):
        yield f"A run has begun {spoken(now - process[1])} ago, and plans what is to be done or checks the study."
    else:
        yield "No run is at work. The last one had nothing to do, or ended before its first job."
    yield from made(run.get("taken", {}))


def _of_jobs(run: dict[str, Any], now: float, *, at_work: bool) -> Iterator[str]:
    """What there is to say of a run that has come as far as its jobs."""
    if at_work:
        number, began = run["process"]
        yield f"A run is at work for {spoken(now - began)} (process {number}): {run['line']}."
        yield from (f"  running {spoken(now - job['since']):>6}  {_job(job)}" for job in run["running"])
    else:
        how = f"{run['ended'] or 'was stopped or killed'} {spoken(now - run['told'])} ago"
        yield f"No run is at work. The last one {how}: {run['counts']}."
    for job in run["failed"][:SHOWN]:
        yield f"  failed  {_job(job)}"
        yield f"          log: {job['log']}"


def _job(job: dict[str, Any]) -> str:
    """An artifact, and the last that its job said."""
    return ": ".join([job["artifact"], *lines_of(Path(job["log"]))[-1:]] if job["log"] else [job["artifact"]])


def made(taken: Taken) -> Iterator[str]:
    """Stage by stage, how many artifacts of the study that was planned last are there, and what they take.

    taken: of each kind of jobs, what they took in the last run that had them.
    """
    if not (plan := load(PLANNED / "all.json")):
        return
    of = {folder: Counter(map(_is_made, map(Path, jobs))) for folder, jobs in plan["stages"].items()}
    width = max(map(len, of))
    yield ""
    for folder, counts in of.items():
        megabytes = sum(file.stat().st_size for file in files_of([folder]) if file.is_file()) / 1e6
        told = [f"{counts[True]:>5} of {counts.total()} made", f"{megabytes:,.1f} MB", *_took(Path(folder).name, taken)]
        yield f"{folder:{width}}  {', '.join(told)}"
    if plan["params"].get(str(PARAMS)) != (md5(PARAMS) if PARAMS.exists() else None):
        yield f"{PARAMS} was edited since: `snakemake -n` says what a run would do."


def _took(stage: str, taken: Taken) -> Iterator[str]:
    """The time of a stage's jobs, one after the other; nothing where none is known."""
    some = [both for kind, both in taken.items() if kind.split()[0] == stage]
    if some:
        jobs, seconds = (sum(column) for column in zip(*some, strict=True))
        yield f"{spoken(seconds)} of {jobs:.0f} jobs when last made"


def _is_made(planned: Path) -> bool:
    if not (job := load(planned)):
        return False
    sealed = load_sealed(seal.recipe_path(seal.first(job["outputs"])))
    return sealed is not None and seal.name(sealed) == seal.name(job["recipe"])


def main() -> None:
    """Run from the command line."""
    sys.stdout.write("\n".join(lines()) + "\n")


if __name__ == "__main__":
    main()
