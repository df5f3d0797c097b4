"""Which GPUs there are, and how jobs side by side share them."""

import os
import select
import subprocess
import sys

import pytest

from tests.conftest import ROOT
from workflow_scripts.lib import gpus


def test_hidden_gpus_are_none(monkeypatch):
    monkeypatch.setattr(gpus, "GPUS", ["null"])  # /dev/null is there
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert gpus.cards()
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert not gpus.cards()


HOLDS = """
import sys
from workflow_scripts.lib import gpus
gpus.GPUS = ["null"]
print(*gpus.take_cards(int(sys.argv[1])), gpus.cards(), flush=True)
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
    monkeypatch.setattr(gpus, "GPUS", ["null"])
    monkeypatch.setattr(gpus, "gettempdir", lambda: str(tmp_path))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    assert gpus.take_cards(2) == ["1"]
    assert not [*tmp_path.iterdir()]
