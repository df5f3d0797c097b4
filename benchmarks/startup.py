"""What starting processes costs a study, and how busy it keeps the cores.

`python -m benchmarks.startup [--times 3] [--project PATH] [FILE]` runs `snakemake --cores all` on a params file, by
default the project's own, in a fresh copy of the project, and prints wall time, CPU time, the share of it that is
start-up, how busy the cores were over the middle 80 % of the run, and the same by command.

CPU time of the run is what the kernel says of all its processes, those that outlive their parent included. Start-up is
measured in every process, where it happens: benchmarks/recorder/sitecustomize.py says how. Shells, and interpreters
that take themselves down, write no record: their time is in the total, and not start-up.

Busy cores are samples of the same CPU time. Other work takes cores away, so measure on a quiet machine; the table says
how quiet it was.

`--times N` studies every data set N times under other names. That gives as many cells as N times as many factors would,
and, unlike them, as many anchors: some more short jobs, so start-up comes out larger rather than smaller.
"""

import argparse
import json
import os
import subprocess
import tempfile
import threading
import time
from collections import defaultdict
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import psutil
import yaml

from benchmarks.processes import cpu_of_the_dead, timed
from benchmarks.project import ROOT, copy_project
from benchmarks.tables import table

SAMPLE_SECONDS = 0.5
CORES = len(os.sched_getaffinity(0))


class Run(NamedTuple):
    """A run of the study, in seconds: samples are of (wall, CPU so far), records what each process wrote."""

    wall: float
    cpu: float
    machine: float
    samples: list[tuple[float, float]]
    records: list[dict[str, Any]]


def enlarge(params: Path, times: int) -> None:
    """Study every data set so many times."""
    content = yaml.safe_load(params.read_text())
    datasets = content["datasets"].items()
    content["datasets"] = {name if i == 0 else f"{name}-{i}": one for name, one in datasets for i in range(times)}
    params.write_text(yaml.safe_dump(content, sort_keys=False))


def run(folder: Path) -> Run:
    """Run the study in a copy of the project, timed and sampled until its last process has ended."""
    records = folder / "records"
    records.mkdir()
    environment = os.environ | {"PYTHONPATH": str(ROOT / "benchmarks/recorder"), "RECORDS": str(records)}
    ended, samples = threading.Event(), list[tuple[float, float]]()
    sampler = threading.Thread(target=sample, args=(ended, samples))
    machine = cpu_of_the_machine()
    sampler.start()
    try:
        taken = timed(["snakemake", "--cores", "all"], folder, environment)
    finally:
        ended.set()
        sampler.join()
    lines = [json.loads(path.read_text()) for path in records.glob("*.json")]
    return Run(taken.wall, taken.cpu, cpu_of_the_machine() - machine, samples, lines)


def cpu_of_the_machine() -> float:
    """CPU seconds of everything since the machine started."""
    times = psutil.cpu_times()
    return times.user + times.nice + times.system


def sample(ended: threading.Event, samples: list[tuple[float, float]]) -> None:
    """Note, until the run has ended, the CPU time of this process's descendants, dead and alive."""
    while not ended.wait(SAMPLE_SECONDS):
        total = 0.0
        for process in psutil.Process().children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                total += sum(process.cpu_times()[:4])
        samples.append((time.monotonic(), total + cpu_of_the_dead()))


def busy(samples: list[tuple[float, float]]) -> float:
    """Share of the cores in use over the middle 80 % of the samples."""
    (start, before), (end, after) = samples[len(samples) // 10], samples[-len(samples) // 10 - 1]
    return (after - before) / (end - start) / CORES


def command_of(argv: list[str]) -> str:
    """What a row of the table calls a process: its program, its module without packages, or the stage of its job."""
    if argv[0].removesuffix(".py").endswith(("/job", ".job")):
        argv = argv[2:]
    script = Path(argv[0])
    return script.parent.name if script.name == "__main__.py" else script.name.removesuffix(".py").split(".")[-1]


def report(run: Run) -> str:
    """The two tables."""
    kinds = defaultdict(list)
    for record in run.records:
        kinds[command_of(record["command"])].append((record["cpu"], record["startup"]))
    sums = {kind: (len(rows), *map(sum, zip(*rows, strict=True))) for kind, rows in kinds.items()}
    rows = sorted(sums.items(), key=lambda row: -row[1][1])
    startup = sum(record["startup"] for record in run.records)
    rest = run.cpu - sum(record["cpu"] for record in run.records)
    whole = [["wall, s", f"{run.wall:.0f}"], ["CPU, s", f"{run.cpu:.0f}"], ["start-up, CPU s", f"{startup:.1f}"]]
    whole += [["start-up, share of CPU", f"{startup / run.cpu:.1%}"]]
    whole += [[f"busy cores of {CORES}, middle 80 %", f"{busy(run.samples):.0%}"]]
    whole += [["other work, share of the cores", f"{(run.machine - run.cpu) / run.wall / CORES:.0%}"]]
    detail = [[kind, count, f"{cpu:.1f}", f"{start:.1f}"] for kind, (count, cpu, start) in rows]
    detail += [["shells, ends of interpreters", "", f"{rest:.1f}", ""]]
    header = ["command", "processes", "CPU, s", "start-up, CPU s"]
    return f"{table(['the run', ''], whole)}\n\n{table(header, detail)}"


def main() -> None:
    """Parse flags, run in a temporary folder, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("params", nargs="?", type=Path, metavar="FILE", help="a params file")
    parser.add_argument("--times", type=int, default=1, help="study every data set so many times")
    parser.add_argument("--project", type=Path, default=ROOT, help="another checkout of the project to measure")
    flags = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        copy_project(folder, flags.project)
        if flags.params:
            (folder / "params.yaml").write_text(flags.params.read_text())
        enlarge(folder / "params.yaml", flags.times)
        subprocess.run(["git", "init", "--quiet"], cwd=folder, check=True)
        print(report(run(folder)))


if __name__ == "__main__":
    main()
