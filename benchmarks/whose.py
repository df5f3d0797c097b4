"""Whose the CPU time of a run is: `python -m benchmarks.whose FLAGS...` is `snakemake FLAGS...`, and prints shares.

Every few milliseconds of CPU time the stack is looked at. A sample is an import's if one is under way; else it is its
innermost function's that has a row below; else the rest's. A profiler that follows every call makes small functions, of
which Snakemake has many, look larger than they are.
"""

import json
import signal
import sys
from collections import Counter
from pathlib import Path
from types import FrameType

from snakemake.cli import main

EVERY = 0.002  # seconds of CPU time
OURS = str(Path(__file__).parents[1])
ROWS = {  # name of a function of Snakemake -> what it does
    "update_needrun": "asks which jobs run",
    "update_conda_envs": "works out params",
    "printjob": "prints jobs",
    "schedule": "goes through jobs in order",
    "init": "finds jobs for files, and inputs for jobs",
    "include": "reads rules",
}
IMPORTS, OF_OURS, REST = "imports", "ours: recipes, judging, versions, functions of rules", "the rest"
seen: Counter[str] = Counter()


def look(signal_: int, frame: FrameType | None) -> None:
    """Count a sample."""
    found = ""
    while frame:
        code = frame.f_code
        if code.co_name == "_find_and_load":
            found = IMPORTS
            break
        if not found:
            if code.co_filename.startswith(OURS) and not code.co_filename.endswith("benchmarks/whose.py"):
                found = OF_OURS
            elif "snakemake" in code.co_filename and code.co_name in ROWS:
                found = f"Snakemake {ROWS[code.co_name]}"
        frame = frame.f_back
    seen[found or REST] += 1


def shares(output: str) -> dict[str, float]:
    """What a run of this module printed, as shares of its time."""
    counts = next(json.loads(line) for line in output.splitlines() if line.startswith("{"))
    return {name: count / sum(counts.values()) for name, count in counts.items()}


if __name__ == "__main__":
    sys.argv[0] = "snakemake"
    signal.signal(signal.SIGPROF, look)
    signal.setitimer(signal.ITIMER_PROF, EVERY, EVERY)
    try:
        main(sys.argv[1:])
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        sys.stdout.write("\n" + json.dumps(dict(seen.most_common())) + "\n")
