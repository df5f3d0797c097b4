"""How cores and memory are shared out."""

import os
import select
import subprocess
import sys

import pytest

from tests.conftest import ROOT
from workflow_scripts.lib import machine

GB = 2**30
SMOLLM2, LLAMA2_7B = 134_515_008, 6_738_415_616


@pytest.mark.parametrize(
    ("parameters", "cores", "memory", "threads"),
    [
        (200_000, 2, 4, 1),  # the embedded model: a job a core
        (SMOLLM2, 2, 8, 1),  # 1.75 GiB each, of 6.4
        (SMOLLM2, 2, 3, 2),  # 2.4 GiB hold one
        (SMOLLM2, 32, 64, 2),  # 51.2 GiB hold 29 jobs, not 32
        (SMOLLM2, 32, 16, 5),  # 12.8 GiB hold 7: 6 of 5 threads
        (LLAMA2_7B, 32, 128, 16),  # 38.7 GiB each: 2 jobs
        (LLAMA2_7B, 8, 16, 8),  # not even one: it tries, alone
    ],
)
def test_threads(parameters, cores, memory, threads):
    assert machine.threads(parameters, cores, memory * GB) == threads


def test_jobs_at_once_never_need_more_than_memory_has():
    for cores in range(1, 65):
        for memory in (8, 12, 16, 24, 32, 64):
            at_once = cores // machine.threads(SMOLLM2, cores, memory * GB)
            assert at_once * machine.needed(SMOLLM2) <= memory * GB, (cores, memory)


@pytest.mark.parametrize(
    ("groups", "limit"),
    [
        ("", "memory.max"),  # of a container, which is the root of what it sees
        ("", "memory/memory.limit_in_bytes"),
        ("0::/slurm/job_7/step_0\n", "slurm/job_7/memory.max"),  # of a job, above the group of its step
        ("9:cpu:/slurm\n4:memory:/slurm/job_7\n", "memory/slurm/job_7/memory.limit_in_bytes"),
    ],
)
def test_a_containers_or_a_jobs_limit_counts(tmp_path, monkeypatch, groups, limit):
    (tmp_path / "self").write_text(groups)
    monkeypatch.setattr(machine, "GROUP", tmp_path / "self")
    monkeypatch.setattr(machine, "GROUPS", tmp_path / "cgroup")
    path = tmp_path / "cgroup" / limit
    path.parent.mkdir(parents=True)
    path.write_text("1073741824\n")
    assert machine.memory() == GB
    path.write_text("max\n")
    assert machine.memory() > GB


def test_a_job_has_the_share_of_its_threads(monkeypatch):
    monkeypatch.setattr(machine, "memory", lambda: 10 * GB)
    monkeypatch.setattr(machine, "cores", lambda: 4)
    monkeypatch.setattr(machine.psutil, "virtual_memory", lambda: type("M", (), {"available": 7 * GB}))
    assert machine.share(1) == 2 * GB
    assert machine.share(2) == 4 * GB
    assert machine.share(4) == 7 * GB  # others take the rest already


def test_hidden_gpus_are_none(monkeypatch):
    monkeypatch.setattr(machine, "GPUS", ["null"])  # /dev/null is there
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert machine.has_gpu()
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert not machine.has_gpu()


HOLDS = """
import sys
from workflow_scripts.lib import machine
machine.GPUS = ["null"]
print(*machine.take_cards(int(sys.argv[1])), machine.cards(), flush=True)
sys.stdin.read()
"""


@pytest.fixture
def job(tmp_path):
    """Starts a process that takes so many of two cards, and keeps them until it ends."""
    started = []

    def start(count):
        where = {"CUDA_VISIBLE_DEVICES": "3,5", "TMPDIR": str(tmp_path)}
        command = [sys.executable, "-c", HOLDS, str(count)]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        started.append(subprocess.Popen(command, env=os.environ | where, cwd=ROOT, **pipes))
        return started[-1]

    yield start
    for one in started:
        one.kill()
        one.communicate()


def test_jobs_side_by_side_have_a_card_each(job):
    first = job(1)
    assert first.stdout.readline() == "3 ['3']\n"
    second = job(1)
    assert second.stdout.readline() == "5 ['5']\n"
    of_both = job(2)
    assert not select.select([of_both.stdout], [], [], 2)[0]  # it waits
    first.kill()  # however a job ends, its card is free
    second.communicate()
    assert of_both.stdout.readline() == "3 5 ['3', '5']\n"


def test_one_card_is_not_locked(monkeypatch, tmp_path):
    monkeypatch.setattr(machine, "GPUS", ["null"])
    monkeypatch.setattr(machine, "gettempdir", lambda: str(tmp_path))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    assert machine.take_cards(2) == ["1"]
    assert not [*tmp_path.iterdir()]
