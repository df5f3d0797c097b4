"""What recipes cost: `snakemake -n` on a large grid, with them and without, side by side; and what they save.

`python -m benchmarks.dry_run --cells 1000 --gigabytes 1` fabricates a study of that many artifacts in a temporary copy
of the project, runs both in turn, and prints the ratio. The first run with recipes reads every byte once; it is shown
apart. Then all artifacts are deleted and come back from DVC's cache.
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

JOBS_PER_MODEL = (
    12  # prepare, anchor twice, and of two settings: adapters, states of two arms, comparison; one patching
)
SETTINGS = {
    "datasets": {"topic": {"source": "world", "task": "topic"}},
    "factors": {"shots": [1], "labels": ["flipped"]},
    "reference": {"shots": 1, "labels": "gold"},
    "arms": ["anchor", "icl", "it"],
}
FABRICATE = "\nfrom benchmarks.dry_run import fabricate\nfabricate(PLAN)\n"
WITH, WITHOUT = "follow(PLAN)", "PLAN.decide, PLAN.woken, PLAN.unrecorded = lambda: None, lambda job: True, list"


def fabricate(plan: Any) -> None:
    """Write every artifact of the study with random bytes and seal it (called from the copy's Snakefile)."""
    from freshness import seal

    size = int(os.environ["BYTES"])
    for job in plan.recipes.every_job:
        outputs = plan.recipes.outputs(job)
        for name, path in outputs.items():
            is_folder = plan.recipes.producer(job).output[name].flags.get("directory")
            file = Path(path) / "part" if is_folder else Path(path)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(os.urandom(size))
        made = plan.job_content(job)
        path = Path(plan.job_file(job))
        seal.begin(made, path)
        seal.seal(made, path)


def enlarge(params_file: Path, cells: int) -> None:
    """Write params.yaml for a grid of that many artifacts."""
    params = yaml.safe_load(params_file.read_text()) | SETTINGS
    seeds = range(cells // JOBS_PER_MODEL)
    params["models"] = {f"random-{i}": {"source": "pocket", "untrained": True, "seed": i} for i in seeds}
    params_file.write_text(yaml.safe_dump(params, sort_keys=False))


def timed(folder: Path, *flags: str, **environment: str) -> float:
    """Seconds of wall time of a run of Snakemake."""
    started = time.perf_counter()
    command = [sys.executable, "-m", "snakemake", "--quiet", "all", *flags]
    done = subprocess.run(command, cwd=folder, env=os.environ | environment, capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stdout + done.stderr)
    return time.perf_counter() - started


def swap(path: Path, old: str, new: str) -> None:
    """Replace text that must be there."""
    text = path.read_text()
    assert old in text, f"{path} lacks {old!r}"
    path.write_text(text.replace(old, new))


def measure(folder: Path, cells: int, gigabytes: float, rounds: int) -> None:
    """Print the table."""
    copy_project(folder)
    subprocess.run(["git", "init", "--quiet"], cwd=folder, check=True)  # DVC wants one
    enlarge(folder / "params.yaml", cells)
    snakefile, rules = folder / "Snakefile", folder / "rules/dvc.smk"
    text = snakefile.read_text()
    snakefile.write_text(text + FABRICATE)
    timed(folder, "-n", BYTES=str(int(gigabytes * 1e9 / cells)))
    snakefile.write_text(text)
    shutil.rmtree(folder / ".snakemake/seen")
    print(f"first dry run with recipes, every byte read: {timed(folder, '-n'):.2f} s")
    times: dict[str, list[float]] = {"with recipes": [], "without": []}
    for _ in range(rounds):
        times["with recipes"].append(timed(folder, "-n"))
        swap(rules, WITH, WITHOUT)
        times["without"].append(timed(folder, "-n"))
        swap(rules, WITHOUT, WITH)
    for name, seconds in times.items():
        print(f"{name:14s} median {statistics.median(seconds):6.2f} s   of {', '.join(f'{s:.2f}' for s in seconds)}")
    timed(folder, "--cores", "2")  # DVC's cache gets the bytes
    shutil.rmtree(folder / "artifacts")
    back = timed(folder, "--cores", "2")
    print(f"all artifacts back from DVC's cache: {back:.2f} s")
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
