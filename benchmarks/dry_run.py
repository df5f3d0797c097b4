"""What a large study costs before its first job runs, and after its last: `snakemake -n` and `dvc commit`.

`python -m benchmarks.dry_run` makes temporary copies of the project whose params.yaml has the factors of the default
study and so many random models that there are about 100, 1,000 and 3,000 jobs. It times a dry run of each when nothing
is made. Then it writes every artifact with random bytes, seals it, has DVC record all of it, and times a dry run when
all is fresh. Artifacts are deleted at last and come back from DVC's cache. `--against REVISION` times another version
of the project beside this one, in turns.

Seconds are of the CPU, of all processes; wall time stands in brackets.
"""

import argparse
import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from random import Random
from statistics import median
from typing import Any, NamedTuple

import yaml

from benchmarks import whose
from benchmarks.project import ROOT, copy_project
from benchmarks.tables import table

PER_CELL, PER_DATASET = 119, 16  # jobs of the factors of params.yaml: for a model and a data set, and for a data set
SEVERAL = 400  # jobs from which there is more than one data set
FABRICATE = "\nfrom benchmarks.dry_run import fabricate\nfabricate(PLAN)\n"
DRY = [sys.executable, "-m", "snakemake", "--dry-run"]
RUN = [sys.executable, "-m", "snakemake", "--cores", "2", "--quiet", "all"]
COMMIT = [sys.executable, "-m", "dvc", "commit", "--force"]
MADE, FRESH, FIRST, AGAIN = "all is to be made", "all is fresh", "dvc commit, all new", "dvc commit, nothing new"
BACK = "all back from the cache"
ESTIMATED = 30_000  # jobs


class Taken(NamedTuple):
    """Seconds of a command: of the CPU, with all processes that it waited for, and of wall time; what it printed."""

    cpu: float
    wall: float
    output: str = ""


def fabricate(plan: Any) -> None:
    """Write every artifact of the study with bytes at random and seal it (called from the copy's Snakefile)."""
    from freshness import seal

    for job in plan.recipes.every_job:
        for name, path in plan.recipes.outputs(job).items():
            is_folder = plan.recipes.producer(job).output[name].flags.get("directory")
            file = Path(path) / "part" if is_folder else Path(path)
            file.parent.mkdir(parents=True, exist_ok=True)
            # The same of the same recipe, as of a real job: two data sets may share one.
            file.write_bytes(Random(f"{plan.recipes.name(job)} {name}").randbytes(int(os.environ["BYTES"])))
        made, path = plan.planned.job_content(job, plan.dvc.folder), Path(plan.planned.job_file(job))
        seal.begin(made, path)
        seal.seal(made, path)


def enlarge(params_file: Path, jobs: int) -> None:
    """Give params.yaml as many models as make about that many jobs; few jobs have one data set and not three."""
    params = yaml.safe_load(params_file.read_text())
    if jobs < SEVERAL:
        params["datasets"] = dict([*params["datasets"].items()][:1])
        del params["factors"]["task"]  # which needs another data set, as does the arm
        params["arms"].remove("length-control")
    cells = len(params["datasets"])
    models = max(1, round((jobs / cells - PER_DATASET) / PER_CELL))
    params["models"] = {f"random-{i}": {"source": "pocket", "untrained": True, "seed": i} for i in range(models)}
    params_file.write_text(yaml.safe_dump(params, sort_keys=False))


def timed(folder: Path, command: list[str], **environment: str) -> Taken:
    """Run a command in a folder; its failure ends the benchmark."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(command, cwd=folder, env=os.environ | environment, capture_output=True, text=True)
    wall, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        sys.exit(done.stdout + done.stderr)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Taken(cpu, wall, done.stdout + done.stderr)


class Copy:
    """A copy of the project with a large study; `revision`: which of its versions, or what is here."""

    def __init__(self, folder: Path, jobs: int, revision: str | None) -> None:
        self.folder = folder
        copy_project(folder)
        if revision:
            for name in (
                "Snakefile",
                "dvc.yaml",
                "rules",
                "freshness",
                "runs",
                "sharing",
                "startup",
                "workflow_scripts",
            ):
                path = folder / name
                shutil.rmtree(path) if path.is_dir() else path.unlink()
                archive = subprocess.run(["git", "archive", revision, name], cwd=ROOT, capture_output=True, check=True)
                subprocess.run(["tar", "x"], cwd=folder, input=archive.stdout, check=True)
        enlarge(folder / "params.yaml", jobs)
        for command in ("git init --quiet", f"{sys.executable} -m dvc init --force --quiet"):
            subprocess.run(command.split(), cwd=folder, check=True)

    def fabricate(self, size: int) -> None:
        """Write and seal all artifacts, of so many bytes each file."""
        snakefile = self.folder / "Snakefile"
        text = snakefile.read_text()
        snakefile.write_text(text + FABRICATE)
        timed(self.folder, [*DRY, "--quiet", "all"], BYTES=str(size))
        snakefile.write_text(text)

    def dry_run(self, expected: str = "") -> Taken:
        """A dry run, which says what is expected of it."""
        taken = timed(self.folder, DRY)
        assert expected in taken.output, taken.output[-2000:]
        return taken

    def record(self) -> None:
        """Have a run record what is there."""
        timed(self.folder, RUN)

    def come_back(self) -> Taken:
        """Delete all artifacts, and have a run bring them back."""
        shutil.rmtree(self.folder / "artifacts")
        taken = timed(self.folder, RUN)
        self.dry_run("Nothing to be done")
        return taken


def in_turns(ways: dict[str, Callable[[], Taken]], rounds: int) -> dict[str, Taken]:
    """Medians of every way; each round runs all of them, so that a busy machine slows all alike."""
    taken: dict[str, list[Taken]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, run in ways.items():
            taken[name].append(run())
    return {
        name: Taken(median(one.cpu for one in some), median(one.wall for one in some), some[0].output)
        for name, some in taken.items()
    }


def measure(folder: Path, jobs: int, sides: dict[str, str | None], size: int, rounds: int) -> dict[str, dict[str, Any]]:
    """Side -> what was timed, and the number of jobs; and whose time it was, of this version."""
    copies = {side: Copy(folder / f"{jobs}-{side}", jobs, revision) for side, revision in sides.items()}
    for copy in copies.values():
        copy.dry_run()  # compiles modules, asks DVC where its cache is
    told: dict[str, dict[str, Any]] = {side: {} for side in sides}

    def turn(name: str, ways: dict[str, Callable[[], Taken]], times: int = 1) -> None:
        for side, taken in in_turns(ways, times).items():
            told[side][name] = taken

    turn(MADE, {side: copy.dry_run for side, copy in copies.items()}, rounds)
    here = copies["here"].folder
    told["here"]["whose"] = {MADE: profile(here)}
    for copy in copies.values():
        copy.fabricate(size)
    turn(FIRST, {side: lambda copy=copy: timed(copy.folder, COMMIT) for side, copy in copies.items()})  # type: ignore[misc]
    for copy in copies.values():
        copy.record()
    fresh = {side: lambda copy=copy: copy.dry_run("Nothing to be done") for side, copy in copies.items()}
    turn(FRESH, fresh, rounds)  # type: ignore[arg-type]
    told["here"]["whose"][FRESH] = profile(here)
    turn(AGAIN, {side: lambda copy=copy: timed(copy.folder, COMMIT) for side, copy in copies.items()})  # type: ignore[misc]
    turn(BACK, {side: copy.come_back for side, copy in copies.items()})
    for side in sides:
        told[side]["jobs"] = int(re.findall(r"^total +(\d+)", told[side][MADE].output, re.M)[0])
        shutil.rmtree(copies[side].folder)
    return told


def profile(folder: Path) -> dict[str, float]:
    """Whose time a dry run is."""
    return whose.shares(timed(folder, [sys.executable, "-m", "benchmarks.whose", "--dry-run"]).output)


def seconds(taken: Taken) -> str:
    """As the table has them."""
    return f"{taken.cpu:.1f} ({taken.wall:.1f})"


def estimate(points: list[tuple[int, float]]) -> float:
    """Seconds at ESTIMATED jobs, on a straight line through the last two points."""
    (few, quick), (many, slow) = points[-2:]
    return slow + (ESTIMATED - many) * (slow - quick) / (many - few)


def report(measured: list[dict[str, dict[str, Any]]], sides: list[str]) -> None:
    """Print tables: seconds, ratios to the other version, and whose time it is."""
    rows = []
    names = (MADE, FRESH, FIRST, AGAIN, BACK)
    for side in sides:
        rows += [[told[side]["jobs"], side, *(seconds(told[side][name]) for name in names)] for told in measured]
        if len(measured) > 1:
            by_name = ([(told[side]["jobs"], told[side][name].cpu) for told in measured] for name in names)
            rows.append([f"{ESTIMATED} (estimate)", side, *(f"{estimate(points):.0f}" for points in by_name)])
    if len(sides) > 1:
        other = sides[1]
        for told in measured:
            ratios = (told[other][name].cpu / told["here"][name].cpu for name in names)
            rows.append([told["here"]["jobs"], f"{other} / here", *(f"{ratio:.2f}" for ratio in ratios)])
    print("CPU seconds, and wall time in brackets. Estimates: a straight line through the last two sizes.\n")
    print(table(["jobs", "version", *names], rows))
    print(f"\nWhose CPU time, at {measured[-1]['here']['jobs']} jobs:\n")
    shares = measured[-1]["here"]["whose"]
    owners = dict.fromkeys(name for some in shares.values() for name in some)
    print(table(["", *shares], [[one, *(f"{some.get(one, 0):.0%}" for some in shares.values())] for one in owners]))


def main() -> None:
    """Parse flags and measure in a temporary folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, nargs="+", default=[100, 1000, 3000])
    parser.add_argument("--against", help="a revision of the project that is timed beside this one")
    parser.add_argument("--bytes", type=int, default=1000, help="of a file of an artifact")
    parser.add_argument("--rounds", type=int, default=3)
    flags = parser.parse_args()
    sides = {"here": None} | ({flags.against: flags.against} if flags.against else {})
    with tempfile.TemporaryDirectory() as folder:
        measured = [measure(Path(folder), jobs, sides, flags.bytes, flags.rounds) for jobs in flags.jobs]
    report(measured, list(sides))


if __name__ == "__main__":
    main()
