"""`make reproduce STUDY=...`: params.yaml becomes the study, and nothing that stands there is lost."""

import shutil
import subprocess

import pytest

from startup.take import take
from tests.workflow.conftest import ROOT

pytestmark = pytest.mark.workflow


@pytest.fixture
def project(tmp_path, monkeypatch):
    shutil.copytree(ROOT / "studies", tmp_path / "studies")
    shutil.copy(ROOT / "params.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    for command in (["init", "-q"], ["add", "-A"], ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "a"]):
        subprocess.run(["git", *command], check=True)
    return tmp_path


def edit(path, text="\n# mine\n"):
    path.write_text(path.read_text() + text)
    return path.read_text()


def test_a_study_is_taken_and_another_after_it(project, capsys):
    for name in ("smollm2.yaml", "smoke.yaml"):
        take(project / "studies" / name)
        assert (project / "params.yaml").read_text() == (project / "studies" / name).read_text()
    assert "`git checkout params.yaml` brings back what was committed" in capsys.readouterr().err


def test_edits_that_are_nowhere_else_are_kept(project):
    mine = edit(project / "params.yaml")
    with pytest.raises(SystemExit, match=r"has edits that are in no commit and no file of studies/"):
        take(project / "studies" / "smoke.yaml")
    assert (project / "params.yaml").read_text() == mine
    shutil.copy(project / "params.yaml", project / "studies" / "mine.yaml")
    take(project / "studies" / "smoke.yaml")


def test_a_study_that_does_not_hold_is_not_taken(project):
    before = (project / "params.yaml").read_text()
    edit(project / "studies" / "smoke.yaml", "unknown: 1\n")
    with pytest.raises(SystemExit, match=r"unknown: unknown key"):
        take(project / "studies" / "smoke.yaml")
    assert (project / "params.yaml").read_text() == before
    with pytest.raises(SystemExit, match=r"no such file"):
        take(project / "studies" / "none.yaml")


def test_make_takes_a_study_only_if_one_is_named(project):
    def said(*given):
        make = ["make", "--dry-run", "--directory", str(ROOT), "reproduce", *given]
        return subprocess.run(make, check=True, capture_output=True, text=True).stdout

    assert "startup.take" not in said()
    assert said("STUDY=studies/smollm2.yaml").index("startup.take studies/smollm2.yaml") < said(
        "STUDY=studies/smollm2.yaml"
    ).index("snakemake --cores all")
