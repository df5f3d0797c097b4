"""How cores and memory are shared out."""

import pytest

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
