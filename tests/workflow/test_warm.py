"""A job forked from what has imported what it needs is the job that `python -m` gives, and ends when it must."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.processes import gone, processes_of, within
from tests.workflow.conftest import ROOT, TINY, clone_into

pytestmark = [
    pytest.mark.workflow,
    pytest.mark.skipif(sys.platform != "linux", reason="jobs are forked on Linux alone; elsewhere they start fresh"),
]
READY = ("models", "tables")
DIRECTLY, WARM = [sys.executable, "-m"], [sys.executable, str(ROOT / "startup/warm.py")]
RUN = """
from startup import warm
warm.start()
print(*[warm.os.environ.get(warm.address(ready), "-") for ready in ("models", "tables")], flush=True)
input()
"""
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
    """A process in Snakemake's place, and the servers that it started; its jobs are forked from one of them."""

    def __init__(self, said=None, ready="models", **environment):
        self.ready = ready
        self.environment = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
        self.process = subprocess.Popen(
            [sys.executable, "-c", RUN],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=said,
            text=True,
            env=self.environment,
        )
        addresses = self.process.stdout.readline().split()
        self.addresses = {
            f"ICL_IT_WARM_{one.upper()}": at for one, at in zip(READY, addresses, strict=True) if at != "-"
        }
        self.servers = [child.pid for child in psutil.Process(self.process.pid).children()]
        self.server = self.servers[READY.index(ready)] if self.servers else None

    def job(self, folder, *command, way=WARM, threads=1, **options):
        """Start a job as Snakemake would."""
        environment = {**self.environment, "OMP_NUM_THREADS": str(threads)}
        environment |= self.addresses
        pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        command = [*way, *([self.ready] if way is WARM else []), *command]
        return subprocess.Popen(command, cwd=folder, env=environment, text=True, **{**pipes, **options})

    def end(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        self.process.stdin.close()


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A run for each of the two servers."""
    path = tmp_path_factory.mktemp("run") / "said"
    with path.open("w") as said:
        runs = {ready: Run(said, ready) for ready in READY}
    yield runs
    for run in runs.values():
        run.end()
    assert path.read_text() == ""  # what jobs have to say is theirs; servers and their forks have nothing to say


@pytest.fixture(scope="module")
def run(runs):
    """The run whose jobs are forked from what has torch."""
    return runs["models"]


@pytest.fixture(params=READY)
def either(runs, request):
    """Either run."""
    return runs[request.param]


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


def started(folder):
    """Wait until the sleeping module runs; its process."""
    assert within(120, (folder / "started").exists)
    return int((folder / "started").read_text())


@pytest.mark.parametrize("threads", [1, 2])
def test_a_forked_job_sees_what_a_fresh_process_sees(either, tmp_path, threads):
    name = module(tmp_path, PROBE)
    ways = [
        result(either.job(tmp_path, name, "--a", "b c", "ü", way=way, threads=threads, stdin=subprocess.PIPE), "in\n")
        for way in (DIRECTLY, WARM)
    ]
    assert ways[0] == ways[1]
    assert ways[0][0] == 0
    assert f"\n{threads} ATen" in ways[0][1]


def test_what_has_numpy_forks_no_job_of_another_number_of_threads(runs, tmp_path):
    """BLAS makes its threads as it is loaded, and has one there."""
    name = module(tmp_path, "import os; print(os.getpid())")
    for threads, forked in ((1, True), (2, False)):
        job = runs["tables"].job(tmp_path, name, threads=threads)
        assert (result(job)[1] != f"{job.pid}\n") == forked


@pytest.mark.parametrize(("ready", "has"), [("models", True), ("tables", False)])
def test_only_what_forks_jobs_that_need_torch_has_it(runs, tmp_path, ready, has):
    name = module(tmp_path, "import sys; print(*[one in sys.modules for one in ('torch', 'pyarrow.parquet')])")
    assert result(runs[ready].job(tmp_path, name))[1] == f"{has} True\n"


@pytest.mark.parametrize(
    "text",
    [
        "raise SystemExit('what is wrong, and where')",
        "raise SystemExit(3)",
        "raise SystemExit",
        "import os, sys; sys.stdout.write('lost'); os._exit(7)",
        "import atexit; atexit.register(print, 'at the end')",
        "import weakref\nclass A: pass\na = A(); weakref.finalize(a, print, 'at the end')",
        "import threading, time; threading.Thread(target=lambda: (time.sleep(.2), print('thread'))).start()",
    ],
)
def test_a_forked_job_ends_as_a_fresh_process_does(either, tmp_path, text):
    name = module(tmp_path, text)
    assert result(either.job(tmp_path, name)) == result(either.job(tmp_path, name, way=DIRECTLY))


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


@pytest.mark.parametrize(
    ("stage", "ready"),
    [
        ("tune_lora", "models"),
        ("dump_hidden_states", "models"),
        ("prepare_dataset", "tables"),
        ("sample_demonstrations", "tables"),
    ],
)
def test_a_stage_gives_equal_bytes_either_way(runs, made, tmp_path, stage, ready):
    """Also of the adapters' last bits: same threads, same kernels."""
    outputs = []
    for way in (DIRECTLY, WARM):
        flags = [flag.replace("OUT", str(tmp_path / way[-1].strip("-").replace("/", "_"))) for flag in made[stage]]
        status, _, error = result(runs[ready].job(ROOT, f"workflow_scripts.{stage}", *flags, way=way))
        assert status == 0, error
        outputs.append(Path(flags[-1]))
    files = [{p.relative_to(o): p.read_bytes() for p in [o, *o.rglob("*")] if p.is_file()} for o in outputs]
    assert files[0]
    assert files[0] == files[1]


@pytest.fixture(scope="module")
def made(run, tmp_path_factory):
    """Flags of some stages for a tiny cell, whose inputs are made."""
    at = tmp_path_factory.mktemp("made")
    source = {"source": "world", "task": "topic"}
    files = {name: [f"--{name}", str(at / name)] for name in ("examples", "model", "demonstrations", "adapters")}
    inputs = [*files["demonstrations"], *files["examples"], *files["model"]]
    tuning = {
        "r": 4,
        "alpha": 8,
        "target_modules": "all-linear",
        "learning_rate": 0.01,
        "steps": 3,
        "max_grad_norm": 1,
        "tokens_per_batch": 512,
        "adapters_at_once": 4,
    }
    tune = [
        *inputs,
        "--weights",
        "tuned",
        "--trains",
        "lora",
        "--reseeded",
        "false",
        "--teacher",
        "null",
        "--kept_steps",
        "[]",
        "--rewording",
        "null",
        "--seed",
        "0",
        "--settings",
        json.dumps(tuning),
    ]
    tune += ["--adapters"]
    training = {"steps": 1, "tokens_per_step": 64, "learning_rate": 0.1, "gate_queries": 1}
    steps = {
        "prepare_dataset": ["--source", json.dumps(source), "--queries", "5", "--seed", "0", "--settings",
                            '{"pool": 20}', *files["examples"]],
        "prepare_model": ["--source", '{"source": "pocket", "untrained": true}', "--settings", json.dumps(training),
                          *files["model"]],
        "sample_demonstrations": [*files["examples"], "--other", "null", "--choice", '{"shots": 2, "labels": "gold"}',
                                  "--draws", "2", "--seed", "0", "--settings", '{"balanced": true}',
                                  *files["demonstrations"]],
        "tune_lora": [*tune, str(at / "adapters")],
    }  # fmt: skip
    for stage, flags in steps.items():
        status, _, error = result(run.job(ROOT, f"workflow_scripts.{stage}", *flags))
        assert status == 0, error
    kept = {"tokens_per_batch": 512, "layers": "all", "storage": "float32"}
    arm = ["--arm", "both", "--shows", "as_drawn", "--run", "batched"]
    dump = [*inputs, *files["adapters"], *arm, "--settings", json.dumps(kept), "--states", "OUT"]
    light = {stage: [*steps[stage][:-1], "OUT"] for stage in ("prepare_dataset", "sample_demonstrations")}
    return {"tune_lora": [*tune, "OUT"], "dump_hidden_states": dump, **light}


def test_an_expected_error_is_one_line_in_the_log(run, tmp_path):
    training = [
        '--settings={"steps": 1, "tokens_per_step": 1, "learning_rate": 1, "gate_queries": 1}',
        "--model=m",
    ]
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
    ended = own_run.servers if killed == "Snakemake" else [own_run.server]
    assert within(30, lambda: gone(pid) and all(map(gone, ended)))
    assert within(30, lambda: own_run.addresses["ICL_IT_WARM_MODELS"] not in Path("/proc/net/unix").read_text())
    after = own_run.job(tmp_path, module(tmp_path, "import os; print(os.getpid())"))
    assert result(after)[1] == f"{after.pid}\n"  # no server: the client itself has become the job


def test_without_a_server_a_job_runs_directly(tmp_path):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ICL_IT_WARM")}
    command = [*WARM, "models", module(tmp_path, "import sys; print(sys.argv[1:])"), "--a"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "['--a']\n"


# What a system may lack -> how Python is without it, and which of the three processes finds out.
LACKS = {
    "Unix sockets": ("import socket; del socket.AF_UNIX", "run client"),
    "abstract names": ("import socket; socket.socket.bind = fail", "run"),
    "names for the unnamed": ("import socket; socket.socket.getsockname = lambda _: ''", "run"),
    "a process to spare": ("import subprocess; subprocess.Popen = fail", "run"),
    "a way to name the user": ("import socket; del socket.SO_PEERCRED", "server"),
    "a way to name the user, in a job": ("import socket; del socket.SO_PEERCRED", "client"),
    "an answer to who the user is": ("import socket; socket.socket.getsockopt = fail", "server"),
    "an answer to who the user is, in a job": ("import socket; socket.socket.getsockopt = fail", "client"),
    "descriptors of processes": ("import os; del os.pidfd_open", "server"),
    "descriptors of processes in the kernel": ("import os; os.pidfd_open = fail", "server"),
    "descriptors to spare": ("import os; own = os.pidfd_open\n"
                             "os.pidfd_open = lambda pid: own(pid) if pid == os.getpid() else fail()", "server"),
    "ctypes": ("import sys; sys.modules['ctypes'] = None", "server"),
    "prctl": ("import ctypes; ctypes.CDLL = lambda _: object()", "server"),
    "a prctl that works": ("import ctypes, types; ctypes.CDLL = lambda _: types.SimpleNamespace(prctl=lambda *_: -1)",
                           "server"),
    "poll": ("import select; del select.poll", "run"),
    "fork": ("import os; del os.fork", "server"),
    "memory to fork": ("import os; os.fork = fail", "server"),
    "passing of streams": ("import socket; del socket.send_fds", "client"),
    "passing of streams that works": ("import socket; socket.send_fds = fail", "client"),
    "receiving of streams": ("import socket; del socket.recv_fds", "server"),
    "streams that arrive": ("import socket; own = socket.recv_fds\n"
                            "socket.recv_fds = lambda *a: (own(*a)[0], [], 0, None)", "server"),
    "one way to write a request": ("import marshal; marshal.dumps = lambda _: b'?'", "client"),
    "torch": ("import sys; sys.modules['torch'] = None", "server"),
    "only CPUs": ("import torch; torch.accelerator.is_available = lambda: True", "server"),
    "the folder, for the server": ("import os; os.chdir = fail", "server"),
}  # fmt: skip
# Torch and all the rest are names only: here no stage runs, and importing them takes seconds.
PARTLY = """
import sys, types
def fail(*_, **__):
    raise OSError("not here")
role = "server" if "warm_server.py" in sys.orig_argv[1] else "client" if "warm.py" in sys.orig_argv[1] else "run"
if role == "server":
    torch = types.SimpleNamespace(accelerator=types.SimpleNamespace(is_available=lambda: False))
    sys.modules |= {{"torch": torch}} | dict.fromkeys({modules}, torch)
    torch.set_num_threads = lambda _: None
if role in "{roles}".split() and sys.orig_argv[1] != "-m":
    exec({code!r})
"""
TELLS = """
import os, sys
print(sys.argv, os.getcwd(), sys.stdin.read(), os.environ["OMP_NUM_THREADS"], os.environ.get("ICL_IT_WARM_MODELS"))
sys.stderr.write("to the log"), open("pid", "w").write(str(os.getpid())), sys.exit(3)
"""


@pytest.mark.parametrize("lacks", [*LACKS, "nothing"])
def test_where_something_is_not_to_be_had_jobs_start_fresh(tmp_path, lacks):
    code, roles = LACKS.get(lacks, ("", ""))
    modules = re.findall(r'^ +"([\w.]+)",$', (ROOT / "startup/warm_server.py").read_text(), re.MULTILINE)
    (tmp_path / "sitecustomize.py").write_text(PARTLY.format(modules=modules, roles=roles, code=code))
    with (tmp_path / "said").open("w") as said:
        run = Run(said, PYTHONPATH=f"{tmp_path}:{ROOT}")
    command = [module(tmp_path, TELLS), "--a", "b c"]
    try:
        assert bool(run.addresses) == ("run" not in roles)
        job = run.job(tmp_path, *command, stdin=subprocess.PIPE)
        told = result(job, "in\n")
        assert (job.pid == int((tmp_path / "pid").read_text())) == bool(code)
        assert told == result(run.job(tmp_path, *command, stdin=subprocess.PIPE, way=DIRECTLY), "in\n")
        assert told[0] == 3
    finally:
        run.end()
    assert (tmp_path / "said").read_text() == ""


def test_a_killed_snakemake_leaves_no_process(tmp_path):
    clone = clone_into(tmp_path)
    clone.params(**{**TINY, "draws": 30}, tune_lora__steps=4000)
    clone.run("git init -q .")
    snakemake = [sys.executable, "-m", "snakemake", "--cores", "2", "--quiet"]
    with subprocess.Popen(snakemake, cwd=tmp_path, env=clone.environment, stderr=subprocess.DEVNULL) as process:
        begun = within(120, lambda: any((tmp_path / "logs/tune_lora").rglob("*.log")))
        there = processes_of(tmp_path)
        process.kill()
    assert begun
    assert there
    assert within(30, lambda: not processes_of(tmp_path))
