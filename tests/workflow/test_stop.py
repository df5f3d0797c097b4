"""Ctrl-C at any moment of a run: a line, nothing left behind, and the next run goes on where this one was."""

import os
import shutil
import signal
import subprocess
import time

import pytest

from startup.stop import LINE
from tests.processes import processes_of, within
from tests.workflow.conftest import TINY, clone_into

pytestmark = pytest.mark.workflow
STUDY = {**TINY, "draws": 10}
SLOW = """
rule slow:
    input: lambda wildcards: (Path("plans").touch(), __import__("time").sleep(600))[:0]
"""
STATUS = "python -m runs.status"
RUN = "snakemake --cores 2"
SECONDS = 10  # a quiet machine needs one


def planning(clone):
    return any((clone.folder / ".snakemake/plan").glob("*.json"))


def checking(clone):
    return any("study.preflight" in command for command in processes_of(clone.folder).values())


def making(stage):
    """Some job of a stage has begun: which of them is Snakemake's to choose."""
    return lambda clone: bool(logs(clone, stage))


def logs(clone, stage):
    return [*(clone.folder / "logs").glob(f"{stage}.log"), *(clone.folder / "logs" / stage).rglob("*.log")]


TUNING = making("tune_lora")
MOMENTS = {
    "it plans": planning,
    "it checks the study": checking,
    "torch is imported": making("prepare_model"),
    "adapters are tuned": lambda clone: TUNING(clone) and "A run is at work" in clone.run(STATUS),
    "states are dumped": making("dump_hidden_states"),
    "DVC records versions": making("version_artifacts"),
}

BEFORE_JOBS = ("it plans", "it checks the study")


@pytest.fixture
def clone(tmp_path):
    """A clone whose params.yaml is a tiny study; nothing made yet."""
    clone = clone_into(tmp_path)
    clone.params(**STUDY, tune_lora__steps=20)
    clone.run("git init -q . && git add -A && git commit -qm tiny")
    return clone


def stopped(clone, command, moment, send=lambda process: os.killpg(process.pid, signal.SIGINT)):
    """Status of a command that is stopped at a moment, and its output from then on."""
    path = clone.folder / "logs/stopped.txt"
    path.parent.mkdir(exist_ok=True)
    with path.open("w") as output:
        process = subprocess.Popen(
            f"exec {command}", shell=True, cwd=clone.folder, env=clone.environment, start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=output, stderr=output,
        )  # fmt: skip
    assert within(120, lambda: moment(clone) or process.poll() is not None)
    said, started = path.stat().st_size, time.monotonic()
    send(process)
    status = process.wait(120)
    assert time.monotonic() - started < SECONDS
    assert processes_of(clone.folder) == {}
    assert [str(found) for found in clone.folder.rglob("*.tmp")] == []
    return status, path.read_bytes()[said:].decode()


def is_one_line(said):
    """Nothing but what the run had to say anyway, and then the line."""
    unwanted = ("Traceback", "Error", "shell:", "this might take some time")
    return said.endswith(LINE.decode()) and not any(word in said for word in unwanted)


def test_ctrl_c_at_any_moment(clone):
    for name, moment in MOMENTS.items():
        shutil.rmtree(clone.folder / "logs", ignore_errors=True)
        status, said = stopped(clone, RUN, moment)
        assert status == 130, name
        assert is_one_line(said), f"while {name}:\n{said}"
        told = clone.run(STATUS)
        how = "was stopped or killed" if name not in BEFORE_JOBS else "ended before its first job"
        assert "No run is at work. The last one " in told
        assert how in told
    finished = {path: path.stat().st_mtime_ns for path in (clone.folder / "artifacts").rglob("*.recipe")}
    clone.run(RUN)
    assert all(path.stat().st_mtime_ns == time for path, time in finished.items())
    clone.quiet()


def test_ctrl_c_in_a_dry_run(clone):
    with (clone.folder / "Snakefile").open("a") as snakefile:
        snakefile.write(SLOW)
    status, said = stopped(clone, "snakemake -n slow", lambda clone: (clone.folder / "plans").exists())
    assert status
    assert is_one_line(said), said


@pytest.mark.parametrize("command", ["dvc repro", "make reproduce"])
def test_ctrl_c_in_what_runs_snakemake(clone, command):
    status, said = stopped(clone, command, TUNING)
    assert status
    ours, line, theirs = said.partition(LINE.decode())
    assert is_one_line(ours + line), said
    assert len(theirs.splitlines()) <= 2, said  # DVC and make each have a word about it
    clone.run(command)
    clone.quiet()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_told_to_end_a_run_does_not_wait_for_its_jobs(clone, number):
    clone.params(tune_lora__steps=4000)
    status, said = stopped(clone, RUN, TUNING, lambda process: process.send_signal(number))
    assert status == 128 + number
    assert is_one_line(said), said
