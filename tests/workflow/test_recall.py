"""What comes back where a cache has more than one thing to give, or not all of it, and what is left lying about."""

import pytest
import yaml

from freshness.contents import load_sealed, md5, write
from freshness.seal import name
from tests.workflow.conftest import SMALL, copied
from tests.workflow.test_sharing import REPORT

pytestmark = pytest.mark.workflow
CELL = "artifacts/compare_hidden_states/one/words/labels/similarity.parquet"


@pytest.fixture
def clone(small, tmp_path):
    return copied(small, tmp_path / "clone")


def noted_elsewhere(clone, artifact):
    """Note, as the newest, that an artifact's recipe gave other bytes, as in another clone that shares the cache."""
    sealed = load_sealed(clone.folder / f"{artifact}.recipe")
    sealed["bytes"] = dict.fromkeys(sealed["bytes"], md5(clone.folder / "artifacts/aggregate_similarity/metrics.json"))
    notes = clone.folder / ".dvc/cache/recipes" / name(sealed)[:2]
    assert list(notes.glob(f"{name(sealed)}-*.json"))
    write(notes / f"{name(sealed)}-elsewhere.json", sealed)


def test_what_is_changed_and_changed_back_is_what_the_commit_has(clone):
    before = md5(clone.folder / REPORT)
    noted_elsewhere(clone, REPORT)
    clone.params(render_report__title="Another")
    clone.run("snakemake --cores 2")
    clone.run("git checkout -q params.yaml")
    assert "from DVC's cache" in clone.run("snakemake --cores 2")
    assert md5(clone.folder / REPORT) == before
    clone.quiet()


def test_of_a_renamed_model_comes_back_what_this_clone_made(clone):
    before = md5(clone.folder / CELL)
    noted_elsewhere(clone, CELL)
    clone.params(models={"uno": SMALL["models"]["one"]})
    clone.run("snakemake --cores 2")
    assert md5(clone.folder / CELL.replace("/one/", "/uno/")) == before
    clone.quiet()


def test_files_of_the_study_before_go_when_everything_else_came_back(clone):
    clone.params(models={"uno": SMALL["models"]["one"]})
    clone.run("snakemake --cores 2")
    clone.run("git checkout -q .")
    half = clone.folder / "artifacts/render_report/.figures.77.tmp/figure.svg"  # as a kill leaves it
    half.parent.mkdir()
    half.write_text("<svg>")
    assert "of no study any more, would be removed" in clone.run("snakemake -n")
    clone.run("snakemake --cores 2")
    assert not list((clone.folder / "artifacts").rglob("uno"))
    assert not half.parent.exists()
    clone.quiet()
    assert clone.run("git status --short") == ""


def test_a_list_that_is_not_whole_is_said_and_mended(clone, tmp_path):
    lock = yaml.safe_load((clone.folder / "dvc.lock").read_text())
    (out,) = lock["stages"]["render_report"]["outs"]
    kept = clone.folder / ".dvc/cache/files/md5" / out["md5"][:2] / out["md5"][2:]
    whole = kept.read_bytes()
    kept.chmod(0o644)
    kept.write_bytes(whole[:-9])
    clone.run("dvc remote remove shared && git commit -qam alone")
    assert "which files artifacts/render_report has is known neither" in clone.run("make export FOLDER=x", check=False)
    assert "Traceback" not in clone.run("make gc", check=False)
    clone.run("snakemake --cores 2")
    assert kept.read_bytes() == whole
    clone.quiet()
