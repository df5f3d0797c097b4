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
from freshness.contents import load, load_sealed, md5
from freshness.plan import PLANNED
from runs.failure import last_lines
from runs.tally import spoken
from runs.watch import FAILED, FILE
from startup.checks import LOCK

PARAMS = Path("params.yaml")
SHOWN = 20  # failed jobs
TRIES, PAUSE = 10, 0.02  # the file is written in place: a moment later it is whole


def at_work() -> list[float] | None:
    """The process of the run that is at work in this folder: its number, and when it began."""
    try:
        number, began = json.loads(LOCK.read_text(encoding="utf-8"))
        alive = psutil.Process(number).create_time() == began
    except (OSError, ValueError, TypeError, psutil.Error):
        return None
    return [number, began] if alive else None


def noted() -> dict[str, Any]:
    """What the last run to get as far as its jobs noted of itself; empty where there is none."""
    for _ in range(TRIES):
        if not FILE.exists():
            break
        if found := load(FILE):
            return found
        time.sleep(PAUSE)
    return {}


def lines() -> Iterator[str]:
    """What there is to say."""
    process, run, now = at_work(), noted(), time.time()
    if process and run.get("process") != process:
        yield f"A run has begun {spoken(now - process[1])} ago, and plans what is to be done or checks the study."
    elif process:
        yield f"A run is at work for {spoken(now - process[1])} (process {process[0]}): {run['line']}."
        yield from (f"  running {spoken(now - job['since']):>6}  {_job(job)}" for job in run["running"])
    elif run:
        how = f"{run['ended'] or 'was stopped or killed'} {spoken(now - run['told'])} ago"
        yield f"No run is at work. The last one {how}: {run['counts']}."
    else:
        yield "No run is at work, and none has come as far as its jobs here: `make reproduce` starts one."
    failed = run.get("failed", []) if run.get("ended") in ("", FAILED) else []
    for job in failed[:SHOWN]:
        yield f"  failed  {_job(job)}"
        yield f"          log: {job['log']}"
    yield from made()


def _job(job: dict[str, Any]) -> str:
    """An artifact, and the last that its job said."""
    return ": ".join([job["artifact"], *last_lines(Path(job["log"]), 1)] if job["log"] else [job["artifact"]])


def made() -> Iterator[str]:
    """Stage by stage, how many artifacts of the study that was planned last are there."""
    if not (plan := load(PLANNED / "all.json")):
        return
    of = {folder: Counter(map(_is_made, map(Path, jobs))) for folder, jobs in plan["stages"].items()}
    width = max(map(len, of))
    yield ""
    yield from (f"{folder:{width}}  {counts[True]:>5} of {counts.total()} made" for folder, counts in of.items())
    if plan["params"].get(str(PARAMS)) != (md5(PARAMS) if PARAMS.exists() else None):
        yield f"{PARAMS} was edited since: `snakemake -n` says what a run would do."


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
