"""What recipes cost: `snakemake -n` on a large grid, with them and without, side by side.

`python -m benchmarks.dry_run --cells 1000 --gigabytes 1` fabricates a study of that many cells in a temporary copy of
the project, runs both in turn, and prints the ratio. The first run with recipes reads every byte once; it is shown
apart.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import yaml

from benchmarks.project import copy_project

JOBS_PER_DATASET = 10  # prepare, sample x 2, anchor, (tune, dump, compare) x 2 for one model
FABRICATE = "\nfrom benchmarks.dry_run import fabricate\nfabricate(RECIPES, JOBS)\n"
WITH, WITHOUT = "RECIPES = follow(STAGE_RULES)", "RECIPES = Recipes(STAGE_RULES)"


def fabricate(recipes: Any, jobs: dict[str, list[str]]) -> None:
    """Write every artifact of the study with random bytes and seal it (called from the copy's Snakefile)."""
    from rules import seal

    size = int(os.environ["BYTES"])
    for output in (output for outputs in jobs.values() for output in outputs):
        for path in map(Path, recipes.outputs(output)):
            path.parent.mkdir(parents=True, exist_ok=True)
            is_folder = recipes.producer(str(path)).output[0].flags.get("directory") and not path.suffix
            path = path / "part" if is_folder else path
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(os.urandom(size))
        seal.seal(recipes.recipe(output), recipes.outputs(output))


def enlarge(params_file: Path, cells: int) -> None:
    """Write params.yaml for a grid of that many cells."""
    params = yaml.safe_load(params_file.read_text())
    params["models"] = {"random": {"source": "pocket", "untrained": True}}
    names = [f"topic-{i}" for i in range(cells // JOBS_PER_DATASET)]
    params["datasets"] = {name: {"source": "world", "task": "topic"} for name in names}
    params_file.write_text(yaml.safe_dump(params, sort_keys=False))


def dry_run(folder: Path, **environment: str) -> float:
    """Seconds of wall time of a dry run."""
    started = time.perf_counter()
    command = [sys.executable, "-m", "snakemake", "-n", "--quiet", "all"]
    subprocess.run(command, cwd=folder, env=os.environ | environment, check=True, capture_output=True)
    return time.perf_counter() - started


def swap(path: Path, old: str, new: str) -> None:
    """Replace text that must be there."""
    text = path.read_text()
    assert old in text, f"{path} lacks {old!r}"
    path.write_text(text.replace(old, new))


def measure(folder: Path, cells: int, gigabytes: float, rounds: int) -> None:
    """Print the table."""
    copy_project(folder)
    enlarge(folder / "params.yaml", cells)
    snakefile, rules = folder / "Snakefile", folder / "rules/dvc.smk"
    swap(rules, "import follow,", "import Recipes, follow,")
    text = snakefile.read_text()
    snakefile.write_text(text + FABRICATE)
    dry_run(folder, BYTES=str(int(gigabytes * 1e9 / cells)))
    snakefile.write_text(text)
    shutil.rmtree(folder / ".snakemake/seen")
    print(f"first dry run with recipes, every byte read: {dry_run(folder):.2f} s")
    times: dict[str, list[float]] = {"with recipes": [], "without": []}
    for _ in range(rounds):
        times["with recipes"].append(dry_run(folder))
        swap(rules, WITH, WITHOUT)
        times["without"].append(dry_run(folder))
        swap(rules, WITHOUT, WITH)
    for name, seconds in times.items():
        print(f"{name:14s} median {statistics.median(seconds):6.2f} s   of {', '.join(f'{s:.2f}' for s in seconds)}")
    ratios = [a / b for a, b in zip(times["with recipes"], times["without"], strict=True)]
    print(f"ratio          median {statistics.median(ratios):6.2f}")


def main() -> None:
    """Parse flags and measure in a temporary folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cells", type=int, default=1000)
    parser.add_argument("--gigabytes", type=float, default=1.0)
    parser.add_argument("--rounds", type=int, default=3)
    flags = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        measure(Path(folder), flags.cells, flags.gigabytes, flags.rounds)


if __name__ == "__main__":
    main()
