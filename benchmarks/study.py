"""A whole study: the workflow in a fresh copy of the project, against the same study as one script.

python -m benchmarks.study                                    # params.yaml; about half an hour
python -m benchmarks.study --params studies/smollm2.yaml      # a real model
python -m benchmarks.study --params benchmarks/look.yaml      # a look, in a minute

The study is cut to the factors and arms that the script knows (benchmarks/usual_study.py). The workflow is `snakemake
--cores all` and makes, measures, patches, seals, versions and reports whatever it always does. Both start from nothing,
one after the other. Prints wall time, CPU time (of all processes: what other work on the machine disturbs less) and the
largest difference between the numbers of their metrics.json.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

import yaml

from benchmarks.processes import Taken, timed
from benchmarks.project import ROOT, copy_project
from benchmarks.tables import table

TOLERANCE = 1e-3
FACTORS = ("shots", "labels", "inputs", "order", "strength", "modules", "rank")  # that the script varies
ARMS = ("anchor", "icl", "it", "both", "icl-reordered", "it-reseeded")  # that it has
THREADS = "of the script; torch's own choice if left out, and 1 is far faster for a small model on shared cores"
Numbers = dict[str, Any]  # metrics.json, parsed


def comparable(params: Path) -> str:
    """A params file with nothing but what the script does too."""
    study = yaml.safe_load(params.read_text())
    study["factors"] = {name: levels for name, levels in study["factors"].items() if name in FACTORS}
    study["arms"] = [name for name in study["arms"] if name in ARMS]
    study["patch_hidden_states"]["factors"] = ["reference"]
    return yaml.safe_dump(study, sort_keys=False)


def workflow(folder: Path, params: Path) -> tuple[Taken, Numbers]:
    """What it took and the numbers."""
    copy_project(folder)
    shutil.copyfile(params, folder / "params.yaml")
    subprocess.run(["git", "init", "--quiet"], cwd=folder, check=True)  # DVC looks for it
    taken = timed([sys.executable, "-m", "snakemake", "--cores", "all"], folder)
    return taken, json.loads((folder / "artifacts/aggregate_similarity/metrics.json").read_text())


def usual(folder: Path, params: Path, threads: int | None) -> tuple[Taken, Numbers]:
    """What it took, with what the script says of its parts, and the numbers."""
    metrics = folder / "usual.json"
    command = [sys.executable, "-m", "benchmarks.usual_study", "--params", str(params), "--metrics", str(metrics)]
    command += ["--threads", str(threads)] if threads else []
    return timed(command, ROOT), json.loads(metrics.read_text())


def _leaves(value: Any, name: str) -> Iterator[tuple[str, Any]]:
    if not isinstance(value, dict):
        yield name, value
    for key in value if isinstance(value, dict) else ():
        yield from _leaves(value[key], f"{name}/{key}")


def differences(ours: Numbers, theirs: Numbers) -> dict[str, float]:
    """Path in the JSON -> how far the two are apart; infinite where one is missing, or no number and not the same.

    Of what the script has: it makes the same states and adapters, and works out a part of the measures.
    """
    one, other = dict(_leaves(ours, "")), dict(_leaves(theirs, ""))
    return {name: _apart(one.get(name), value) for name, value in other.items()}


def _apart(one: Any, other: Any) -> float:
    if isinstance(one, int | float) and isinstance(other, int | float):
        return abs(one - other)
    return 0.0 if one == other and one is not None else float("inf")


def compare(params: Path, rounds: int, threads: int | None) -> None:
    """Print the tables; SystemExit where the numbers are not the same."""
    taken: dict[str, list[Taken]] = {"usual script": [], "workflow": []}
    apart: dict[str, float] = {}
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as folder:
            of_workflow, ours = workflow(Path(folder), params)
            taken["workflow"].append(of_workflow)
        with tempfile.TemporaryDirectory() as folder:
            of_script, theirs = usual(Path(folder), params, threads)
            taken["usual script"].append(of_script)
        apart = differences(ours, theirs)
    worst = max(apart, key=apart.__getitem__)
    medians = {
        name: (median(one.wall for one in some), median(one.cpu for one in some)) for name, some in taken.items()
    }
    usual_wall, usual_cpu = medians["usual script"]
    rows = [
        [name, f"{wall:.1f}", f"{usual_wall / wall:.2f}", f"{cpu:.1f}", f"{usual_cpu / cpu:.2f}"]
        for name, (wall, cpu) in medians.items()
    ]
    print(f"{len(apart)} numbers, largest difference {apart[worst]:.1e} ({worst})\n")
    print(table(["way", "wall, s", "ratio", "CPU, s", "ratio"], rows))
    print(f"\nThe script's parts, last round:\n\n{taken['usual script'][-1].output}")
    if apart[worst] > TOLERANCE:
        raise SystemExit(f"numbers differ by more than {TOLERANCE}: the two did not do the same study")


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--params", type=Path, default=ROOT / "params.yaml")
    parser.add_argument("--threads", type=int, help=THREADS)
    parser.add_argument("--rounds", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        params = Path(folder) / "params.yaml"
        params.write_text(comparable(options.params))
        compare(params, options.rounds, options.threads)


if __name__ == "__main__":
    main()
