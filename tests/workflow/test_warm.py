"""A job forked from the process that has imported torch is the job that `python -m` gives, and ends when it must."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.workflow.conftest import ROOT, TINY, clone_into
from workflow_scripts.lib.datasets import WORLD_TEMPLATE

pytestmark = pytest.mark.workflow
DIRECTLY, WARM = [sys.executable, "-m"], [sys.executable, str(ROOT / "rules/warm.py")]
RUN = "import sys; from rules import warm; warm.start(); print(warm.os.environ[warm.ADDRESS], flush=True); input()"
PROBE = """
import gc, json, os, sys
print(json.dumps({
    "name": __name__, "argv": sys.argv, "folder": os.getcwd(), "path": sys.path, "environment": dict(os.environ),
    "own": sys.modules["__main__"].__dict__ is globals(), "input": sys.stdin.read(), "collects": gc.isenabled(),
}))
import torch
print(torch.get_num_threads(), torch.__config__.parallel_info())
sys.stdout.write("no newline"), sys.stderr.write("to the log")
"""
SLEEPS = """
import os, pathlib, time
pathlib.Path("pid").write_text(str(os.getpid())), pathlib.Path("pid").rename("started")
time.sleep(600)
"""


class Run:
    """A process in Snakemake's place, and the server that it started."""

    def __init__(self, **environment):
        self.environment = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
        self.process = subprocess.Popen(
            [sys.executable, "-c", RUN], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=self.environment
        )
        self.address = self.process.stdout.readline().strip()
        (server,) = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        self.server = int(server)

    def job(self, folder, *command, way=WARM, threads=1, **options):
        """Start a job as Snakemake would."""
        environment = {**self.environment, "ICL_IT_WARM": self.address, "OMP_NUM_THREADS": str(threads)}
        pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        return subprocess.Popen([*way, *command], cwd=folder, env=environment, text=True, **{**pipes, **options})

    def end(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        self.process.stdin.close()


@pytest.fixture(scope="module")
def run():
    run = Run()
    yield run
    run.end()


@pytest.fixture
def own_run():
    """One that the test may kill."""
    run = Run()
    yield run
    run.end()


def module(folder, text):
    (folder / "probe.py").write_text(text)
    return "probe"


def result(job, text=None):
    output, error = job.communicate(text, timeout=120)
    return job.returncode, output, error


def within(seconds, condition):
    """Whether a condition comes true in time."""
    until = time.monotonic() + seconds
    while not (true := condition()) and time.monotonic() < until:
        time.sleep(0.05)
    return true


def gone(pid):
    """Whether a process has ended, buried or not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")")[-1].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def started(folder):
    """Wait until the sleeping module runs; its process."""
    assert within(120, (folder / "started").exists)
    return int((folder / "started").read_text())


@pytest.mark.parametrize("threads", [1, 2])
def test_a_forked_job_sees_what_a_fresh_process_sees(run, tmp_path, threads):
    name = module(tmp_path, PROBE)
    ways = [
        result(run.job(tmp_path, name, "--a", "b c", "ü", way=way, threads=threads, stdin=subprocess.PIPE), "in\n")
        for way in (DIRECTLY, WARM)
    ]
    assert ways[0] == ways[1]
    assert ways[0][0] == 0
    assert f"\n{threads} ATen" in ways[0][1]


@pytest.mark.parametrize(
    "text",
    [
        "raise SystemExit('what is wrong, and where')",
        "raise SystemExit(3)",
        "raise SystemExit",
        "import os, sys; sys.stdout.write('lost'); os._exit(7)",
        "import atexit; atexit.register(print, 'at the end')",
        "import threading, time; threading.Thread(target=lambda: (time.sleep(.2), print('thread'))).start()",
    ],
)
def test_a_forked_job_ends_as_a_fresh_process_does(run, tmp_path, text):
    name = module(tmp_path, text)
    assert result(run.job(tmp_path, name)) == result(run.job(tmp_path, name, way=DIRECTLY))


def test_a_bug_keeps_its_traceback_and_a_signal_its_number(run, tmp_path):
    status, _, error = result(run.job(tmp_path, module(tmp_path, "def f():\n    1 / 0\nf()")))
    assert status == 1
    assert 'probe.py", line 2, in f\n    1 / 0' in error
    assert error.endswith("ZeroDivisionError: division by zero\n")
    name = module(tmp_path, "import os; os.kill(os.getpid(), 15)")
    assert result(run.job(tmp_path, name))[0] == 128 + 15
    assert result(run.job(tmp_path, "no_such_module"))[2].endswith("No module named no_such_module\n")


def test_jobs_run_side_by_side_and_one_does_not_wait_for_another(run, tmp_path):
    (tmp_path / "long").mkdir()
    long = run.job(tmp_path / "long", module(tmp_path / "long", SLEEPS))
    started(tmp_path / "long")
    assert result(run.job(tmp_path, module(tmp_path, "print('short')"))) == (0, "short\n", "")
    long.kill()
    long.communicate()


@pytest.mark.parametrize("stage", ["tune_lora", "dump_hidden_states"])
def test_a_stage_gives_equal_bytes_either_way(run, made, tmp_path, stage):
    """Also of the adapters' last bits: same threads, same kernels."""
    outputs = []
    for way in (DIRECTLY, WARM):
        flags = [flag.replace("OUT", str(tmp_path / way[-1].strip("-").replace("/", "_"))) for flag in made[stage]]
        status, _, error = result(run.job(ROOT, f"workflow_scripts.{stage}", *flags, way=way))
        assert status == 0, error
        outputs.append(Path(flags[-1]))
    files = [{p.relative_to(o): p.read_bytes() for p in [o, *o.rglob("*")] if p.is_file()} for o in outputs]
    assert files[0]
    assert files[0] == files[1]


@pytest.fixture(scope="module")
def made(run, tmp_path_factory):
    """Flags of two stages for a tiny cell, whose inputs are made."""
    at = tmp_path_factory.mktemp("made")
    source = {"source": "world", "task": "topic"}
    files = {name: [f"--{name}", str(at / name)] for name in ("examples", "model", "demonstrations", "adapters")}
    template = ["--template", WORLD_TEMPLATE.model_dump_json()]
    inputs = [*files["demonstrations"], *files["examples"], *files["model"], *template]
    tuning = (
        "--r 4 --alpha 8 --target_modules all-linear --learning_rate 0.01 --steps 3 --max_grad_norm 1"
        " --tokens_per_batch 512 --adapters_at_once 4 --seed 0 --adapters"
    )
    tune = [*inputs, *tuning.split()]
    steps = {
        "prepare_dataset": ["--dataset", "topic", "--source", json.dumps(source), "--pool", "20", "--queries", "5",
                            "--seed", "0", *files["examples"]],
        "prepare_model": ["--source", '{"source": "pocket", "untrained": true}', "--steps", "1", "--tokens_per_step",
                          "64", "--learning_rate", "0.1", "--gate_queries", "1", *files["model"]],
        "sample_demonstrations": [*files["examples"], "--dataset", "topic", "--factor", "shots", "--levels", "[1, 2]",
                                  "--reference", '{"shots": 2, "labels": "gold"}', "--draws", "2", "--balanced",
                                  "true", "--seed", "0", *files["demonstrations"]],
        "tune_lora": [*tune, str(at / "adapters")],
    }  # fmt: skip
    for stage, flags in steps.items():
        status, _, error = result(run.job(ROOT, f"workflow_scripts.{stage}", *flags))
        assert status == 0, error
    dump = [*inputs, *files["adapters"], "--tokens_per_batch", "512", "--states", "OUT"]
    return {"tune_lora": [*tune, "OUT"], "dump_hidden_states": dump}


def test_an_expected_error_is_one_line_in_the_log(run, tmp_path):
    training = ["--steps=1", "--tokens_per_step=1", "--learning_rate=1", "--gate_queries=1", "--model=m"]
    source = '--source={"source": "local", "path": "nowhere"}'
    with (tmp_path / "log").open("w") as log:
        job = run.job(ROOT, "workflow_scripts.prepare_model", source, *training, stderr=log)
        assert result(job)[0] == 1
    lines = (tmp_path / "log").read_text().splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("prepare_model: models.m: nowhere: no such folder")


def test_a_job_ends_with_its_client(run, tmp_path):
    client = run.job(tmp_path, module(tmp_path, SLEEPS))
    pid = started(tmp_path)
    assert pid != client.pid
    client.kill()
    assert within(30, lambda: gone(pid))
    client.communicate()
    assert result(run.job(tmp_path, module(tmp_path, "print(1)"))) == (0, "1\n", "")


@pytest.mark.parametrize("killed", ["Snakemake", "server"])
def test_nothing_outlives_a_run_and_its_jobs_fail(own_run, tmp_path, killed):
    client = own_run.job(tmp_path, module(tmp_path, SLEEPS))
    pid = started(tmp_path)
    os.kill(own_run.process.pid if killed == "Snakemake" else own_run.server, signal.SIGKILL)
    status, _, error = result(client)
    assert status == 1
    assert error == "probe: the process that this job was forked from is gone\n"
    assert within(30, lambda: gone(pid) and gone(own_run.server))
    assert within(30, lambda: own_run.address not in Path("/proc/net/unix").read_text())
    after = own_run.job(tmp_path, module(tmp_path, "import os; print(os.getpid())"))
    assert result(after)[1] == f"{after.pid}\n"  # no server: the client itself has become the job


def test_without_a_server_a_job_runs_directly(tmp_path):
    environment = {name: value for name, value in os.environ.items() if name != "ICL_IT_WARM"}
    command = [*WARM, module(tmp_path, "import sys; print(sys.argv[1:])"), "--a"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "['--a']\n"


@pytest.mark.parametrize("torch", ["def is_available(): return True", "raise ImportError"])
def test_where_a_gpu_is_at_hand_or_no_torch_jobs_run_directly(tmp_path, torch):
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch/__init__.py").write_text("from torch import accelerator")
    (tmp_path / "torch/accelerator.py").write_text(torch)
    run = Run(PYTHONPATH=f"{tmp_path}:{ROOT}")
    client = run.job(tmp_path, module(tmp_path, "import os; print(os.getpid())"))
    try:
        assert result(client)[1] == f"{client.pid}\n"
    finally:
        run.end()


def test_a_killed_snakemake_leaves_no_process(tmp_path):
    clone = clone_into(tmp_path)
    clone.params(**{**TINY, "draws": 30}, tune_lora__steps=4000)
    clone.run("git init -q .")
    snakemake = [sys.executable, "-m", "snakemake", "--cores", "2", "--quiet"]
    with subprocess.Popen(snakemake, cwd=tmp_path, env=clone.environment, stderr=subprocess.DEVNULL) as process:
        log = tmp_path / "logs/tune_lora/random/work-arbitrary/shots.log"
        assert within(120, log.exists)
        assert processes_of(tmp_path)
        process.kill()
    assert within(30, lambda: all(map(gone, processes_of(tmp_path))))


def processes_of(folder):
    """Processes that run in a folder."""
    found = []
    for link in Path("/proc").glob("[0-9]*/cwd"):
        with contextlib.suppress(OSError):
            found += [int(link.parent.name)] if link.resolve(strict=True) == folder.resolve() else []
    return found
