"""What dvc.lock says, here and in the commit, whatever stands there."""

import subprocess

import pytest

from freshness import lock


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    lock.LOCK.write_text("stages: {one: {cmd: x, outs: [{path: artifacts/one, md5: a.dir}]}}")


def test_the_commit_is_told_from_what_is_here(monkeypatch):
    assert lock.committed() == {}, "in no repository"
    name = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    for words in (["init", "-q"], ["add", "-A"], [*name, "commit", "-qm", "one"]):
        subprocess.run(["git", *words], check=True)
    lock.LOCK.write_text("stages: {}")
    assert lock.committed()["one"]["outs"] == {"artifacts/one": "a.dir"}
    assert lock.said() == {}
    monkeypatch.setenv("PATH", "")
    assert lock.committed() == {}, "without git"


@pytest.mark.parametrize(
    "text", ["", "- 1", "stages:", "stages: [1]", "stages: {one: }", "<<<<<<< HEAD\nstages: {}", "stages: {one: ["]
)
def test_what_is_not_of_its_form_says_nothing(text):
    lock.LOCK.write_text(text)
    assert lock.said() == {}


@pytest.mark.parametrize("outs", ["", "x", "[{md5: a.dir}]", "[1]", "{path: x}"])
def test_an_output_without_a_path_is_none(outs):
    lock.LOCK.write_text(f"stages: {{one: {{outs: {outs}, params: [1]}}}}")
    assert lock.said() == {"one": {"cmd": None, "deps": {}, "params": {}, "outs": {}}}
