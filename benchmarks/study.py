"""A whole study: the workflow in a fresh copy of the project, against the same study as one script.

python -m benchmarks.study                                    # params.yaml; half an hour and more
python -m benchmarks.study --params benchmarks/look.yaml      # a look, in a minute

The workflow is `snakemake --cores all` and makes, seals and versions every artifact and the report; the script is
benchmarks/usual_study.py. Both start from nothing, one after the other. Prints wall time, CPU time (of all processes:
what other work on the machine disturbs less) and the largest difference between the numbers of their metrics.json.
"""

import argparse
import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from benchmarks.project import ROOT, copy_project
from benchmarks.tables import table

TOLERANCE = 1e-3
THREADS = "of the script; torch's own choice if left out, and 1 is far faster for a small model on shared cores"
Numbers = dict[str, Any]  # metrics.json, parsed


class Seconds(NamedTuple):
    """What a command took."""

    wall: float
    cpu: float


def workflow(folder: Path, params: Path) -> tuple[Seconds, Numbers]:
    """What it took and the numbers."""
    copy_project(folder)
    shutil.copyfile(params, folder / "params.yaml")
    subprocess.run(["git", "init", "--quiet"], cwd=folder, check=True)  # DVC looks for it
    seconds, _ = _timed([sys.executable, "-m", "snakemake", "--cores", "all"], folder)
    return seconds, json.loads((folder / "artifacts/aggregate_similarity/metrics.json").read_text())


def usual(folder: Path, params: Path, threads: int | None) -> tuple[Seconds, Numbers, str]:
    """What it took, the numbers, and what the script says of its parts."""
    metrics = folder / "usual.json"
    command = [sys.executable, "-m", "benchmarks.usual_study", "--params", str(params), "--metrics", str(metrics)]
    command += ["--threads", str(threads)] if threads else []
    seconds, parts = _timed(command, ROOT)
    return seconds, json.loads(metrics.read_text()), parts


def _timed(command: list[str], folder: Path) -> tuple[Seconds, str]:
    before, start = _cpu(), time.perf_counter()
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    taken = Seconds(time.perf_counter() - start, _cpu() - before)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
    return taken, done.stdout


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _leaves(value: Any, name: str) -> Iterator[tuple[str, Any]]:
    if not isinstance(value, dict):
        yield name, value
    for key in value if isinstance(value, dict) else ():
        yield from _leaves(value[key], f"{name}/{key}")


def differences(ours: Numbers, theirs: Numbers) -> dict[str, float]:
    """Path in the JSON -> how far the two are apart; infinite where one is missing, or no number and not the same.

    Of what the script has: it does not run the anchor again to learn the noise.
    """
    one, other = dict(_leaves(ours, "")), dict(_leaves(theirs, ""))
    one = {name: value for name, value in one.items() if "/noise/" not in name}
    return {name: _apart(one.get(name), other.get(name)) for name in one.keys() | other.keys()}


def _apart(one: Any, other: Any) -> float:
    if isinstance(one, int | float) and isinstance(other, int | float):
        return abs(one - other)
    return 0.0 if one == other and one is not None else float("inf")


def compare(params: Path, rounds: int, threads: int | None) -> None:
    """Print the tables; SystemExit where the numbers are not the same."""
    taken: dict[str, list[Seconds]] = {"usual script": [], "workflow": []}
    apart: dict[str, float] = {}
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as folder:
            seconds, ours = workflow(Path(folder), params)
            taken["workflow"].append(seconds)
        with tempfile.TemporaryDirectory() as folder:
            seconds, theirs, parts = usual(Path(folder), params, threads)
            taken["usual script"].append(seconds)
        apart = differences(ours, theirs)
    worst = max(apart, key=apart.__getitem__)
    medians = {name: Seconds(*map(median, zip(*all_taken, strict=True))) for name, all_taken in taken.items()}
    base = medians["usual script"]
    rows = [
        [name, f"{one.wall:.1f}", f"{base.wall / one.wall:.2f}", f"{one.cpu:.1f}", f"{base.cpu / one.cpu:.2f}"]
        for name, one in medians.items()
    ]
    print(f"{len(apart)} numbers, largest difference {apart[worst]:.1e} ({worst})\n")
    print(table(["way", "wall, s", "ratio", "CPU, s", "ratio"], rows))
    print(f"\nThe script's parts, last round:\n\n{parts}")
    if apart[worst] > TOLERANCE:
        raise SystemExit(f"numbers differ by more than {TOLERANCE}: the two did not do the same study")


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--params", type=Path, default=ROOT / "params.yaml")
    parser.add_argument("--threads", type=int, help=THREADS)
    parser.add_argument("--rounds", type=int, default=1)
    options = parser.parse_args()
    compare(options.params.resolve(), options.rounds, options.threads)


if __name__ == "__main__":
    main()
