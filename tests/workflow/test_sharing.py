"""A part of a study is fetched by name, a colleague's run is gone on with, and an export needs nothing of all this."""

import subprocess
import sys

import pytest

from tests.workflow.conftest import colleague, copied, flip

pytestmark = pytest.mark.workflow
REPORT = "artifacts/render_report/report.html"


def stages(clone):
    """Stages of which any artifact is there."""
    return {path.name for path in (clone.folder / "artifacts").glob("*")}


def said(clone, command):
    """The one line of an error beside make's own."""
    lines = clone.run(command, check=False).splitlines()
    (line,) = [line for line in lines if not line.startswith("make")]
    return line


def test_parts_are_fetched_by_name(small, tmp_path):
    other = colleague(small, tmp_path / "other", "HEAD")
    assert "dvc.lock records no such stage; it has prepare_dataset, " in said(other, "make fetch STAGE=report")
    assert "MODEL=three: dvc.lock records no such model; it has one" in said(other, "make fetch MODEL=three")
    assert "it has one/words/labels, one/words/" in said(other, "make fetch CELL=one/words/template")
    assert "say what: STAGE=" in said(other, "make fetch")
    assert stages(other) == set()

    other.run("make fetch STAGE=render_report")
    assert stages(other) == {"render_report"}
    small.run(f"diff -r --exclude .snakemake_timestamp artifacts/render_report {other.folder}/artifacts/render_report")
    other.run("make fetch STAGE=dump_hidden_states CELL=one/words/labels")
    found = {path.parent.name for path in (other.folder / "artifacts/dump_hidden_states").rglob("*.parquet")}
    assert found == {"reference", "labels-flipped"}
    other.run("dvc pull -q")
    other.quiet()


def test_a_colleagues_run_is_gone_on_with_from_one_change(small, tmp_path):
    other = colleague(small, tmp_path / "other", "HEAD")
    other.run("dvc pull -q")
    other.params(render_report__title="Another")
    assert other.planned() == {"render_report": 1}
    other.run("snakemake --cores 2")
    other.quiet()
    other.run("git commit -qam another && dvc push -q && make verify-remote")
    assert "Another" in (other.folder / REPORT).read_text()

    back = colleague(other, tmp_path / "back", "HEAD")
    back.run("make fetch STAGE=render_report")
    assert (back.folder / REPORT).read_bytes() == (other.folder / REPORT).read_bytes()
    back.run("git checkout -q HEAD~1 && make fetch STAGE=render_report")
    assert (back.folder / REPORT).read_bytes() == (small.folder / REPORT).read_bytes()


def test_an_export_needs_nothing_of_this_project(small, tmp_path):
    folder = tmp_path / "export"
    small.run(f"make export FOLDER={folder}")
    small.run(f"diff -r --exclude .snakemake_timestamp artifacts {folder}/artifacts")
    small.run(f"make verify FOLDER={folder}")
    check = [sys.executable, "-I", "-S", folder / "check.py"]  # without site-packages
    subprocess.run(check, cwd="/", check=True)
    subprocess.run(["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=folder, check=True)
    flip(folder / REPORT)
    assert f"{REPORT}: altered" in small.run(f"make verify FOLDER={folder}", check=False)
    assert "is there already" in said(small, f"make export FOLDER={folder}")


def test_what_is_not_one_recorded_study_is_not_exported(small, tmp_path):
    copy = copied(small, tmp_path / "copy")
    copy.params(render_report__title="Another")
    assert "params.yaml has edits that are in no commit" in said(copy, "make export FOLDER=out")
    copy.run("git checkout -q params.yaml")
    flip(copy.folder / REPORT)
    assert f"{REPORT} is not as dvc.lock records it" in said(copy, "make export FOLDER=out")
    copy.run("dvc checkout -q --force")
    module = copy.folder / "workflow_scripts/render_report.py"
    module.write_text(module.read_text() + "\nX = 1\n")
    copy.run("git commit -qam edited")
    assert "was made by another workflow_scripts/render_report.py" in said(copy, "make export FOLDER=out")
    assert not list(copy.folder.glob("*out*"))
