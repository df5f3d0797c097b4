"""Where DVC is not installed a study runs, is judged, comes back and goes to another clone; DVC agrees later."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from freshness.contents import load_sealed, md5, write
from freshness.seal import name
from tests.workflow.conftest import SMALL, clone_into, colleague, copied, flip, write_words
from tests.workflow.test_links import AS_USER, cloned, objects
from tests.workflow.test_sharing import REPORT, said

pytestmark = pytest.mark.workflow
RUN = f"{AS_USER if shutil.which('setpriv') else ''} snakemake --cores 2"
LACKS = "needs DVC, which is not installed here: `python -m pip install"


@pytest.fixture(scope="module")
def path_without_dvc(tmp_path_factory):
    """PATH to an environment that has all of this one but DVC: neither its packages nor its command."""
    top = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", top], check=True)
    (site,) = top.glob("lib/python*/site-packages")
    for entry in (one for folder in sys.path if folder.endswith("site-packages") for one in Path(folder).iterdir()):
        if not entry.name.startswith("dvc") and not (site / entry.name).exists():
            (site / entry.name).symlink_to(entry)
    (top / "bin/snakemake").write_text(f"#!{top}/bin/python\nfrom snakemake.cli import main\n\nmain()\n")
    (top / "bin/snakemake").chmod(0o755)
    path = f"{top}/bin:/usr/bin:/bin"
    assert shutil.which("dvc", path=path) is None
    found = "from importlib.util import find_spec; print(find_spec('dvc'), find_spec('dvc_objects'))"
    assert subprocess.check_output([top / "bin/python", "-c", found], cwd=top, text=True) == "None None\n"
    return path


@pytest.fixture(scope="module")
def made(path_without_dvc, tmp_path_factory):
    """The small study, made and committed without DVC."""
    clone = clone_into(tmp_path_factory.mktemp("without"))
    clone.environment["PATH"] = path_without_dvc
    write_words(clone.folder)
    for file in ("words.csv", "workflow_scripts/tune_lora.py"):
        (clone.folder / file).chmod(0o755)  # DVC records it
    clone.params(**SMALL, tune_lora__steps=2, aggregate_similarity__resamples=100)
    clone.run("git init -q . && git add -A && git commit -qm start")
    clone.first_output = clone.run(RUN)
    clone.run("git add -A && git commit -qm made")
    return clone


@pytest.fixture(scope="module")
def exported(made, tmp_path_factory):
    folder = tmp_path_factory.mktemp("exported") / "study"
    made.run(f"make export FOLDER={folder} && make verify FOLDER={folder}")
    return folder


def with_dvc(clone):
    """The clone in this test's own environment."""
    clone.environment["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return clone


def without_dvc(clone, made):
    """Another clone in the environment of the one that was made without DVC."""
    clone.environment["PATH"] = made.environment["PATH"]
    return clone


def bytes_of(folder):
    """Path -> MD5, of all that is below."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != ".snakemake_timestamp"]
    return {str(path.relative_to(folder)): md5(path) for path in files}


def test_a_study_is_made_kept_and_recorded(made, tmp_path):
    assert made.first_output.count("DVC is not installed") == 1
    kept = objects(made)
    assert all(md5(path) == name and path.stat().st_mode & 0o777 == 0o444 for name, path in kept.items())
    assert set(bytes_of(made.folder / "artifacts").values()) <= set(kept)
    if "links into DVC's cache" in made.first_output and not cloned(tmp_path):
        assert (made.folder / REPORT).samefile(kept[md5(made.folder / REPORT)])
    assert not list((made.folder / ".dvc/cache/unfinished").iterdir())
    assert "Nothing to be done" in made.run(RUN)


def test_what_is_changed_and_changed_back_comes_back_without_a_job(made):
    before = bytes_of(made.folder / "artifacts")
    made.params(aggregate_similarity__resamples=200)
    assert made.planned() == {"aggregate_similarity": 1, "render_report": 1}
    made.run(RUN)
    assert bytes_of(made.folder / "artifacts") != before
    assert "aggregate_similarity.resamples  100 -> 200" in made.run("make compare")
    made.run("git checkout -q params.yaml")
    output = made.run(RUN)
    assert f"{REPORT}: from DVC's cache" in output
    assert made.jobs(output) == {"version_artifacts": 1}
    assert bytes_of(made.folder / "artifacts") == before
    assert made.run("git status --short") == ""
    next((made.folder / "artifacts/tune_lora").rglob("tuning.parquet")).unlink()
    output = made.run(f"{RUN} all_compare_hidden_states")  # which are fresh, and what they were made from is not
    assert "from DVC's cache" in output
    assert "tune_lora" not in made.jobs(output)
    assert bytes_of(made.folder / "artifacts") == before


def test_dvc_finds_what_it_would_have_written(made, tmp_path):
    other = with_dvc(copied(made, tmp_path / "other"))
    other.quiet()
    other.run("mv dvc.lock ours && dvc commit -q --force && cmp ours dvc.lock")
    before = bytes_of(other.folder / "artifacts")
    other.run("rm -r artifacts && dvc checkout -q")
    assert bytes_of(other.folder / "artifacts") == before


@pytest.mark.parametrize("there", ["with DVC", "without DVC"])
def test_an_export_comes_back_in_another_clone_and_no_job_runs(made, exported, tmp_path, there):
    other = colleague(made, tmp_path / "other", "HEAD")  # with DVC
    if there == "without DVC":
        without_dvc(other, made)
    told = other.run(f"make import FOLDER={exported}").splitlines()
    assert len(told) == 1, "nothing differs"
    assert not (other.folder / "artifacts").exists()
    assert f"{REPORT}: would come from DVC's cache" in other.run("snakemake -n")
    assert "Nothing to be done" in other.run("snakemake --cores 2")
    assert bytes_of(other.folder / "artifacts") == bytes_of(made.folder / "artifacts")
    assert other.run("git status --short") == ""
    with_dvc(other).quiet()


def test_what_differs_from_an_export_is_said(made, exported, tmp_path):
    other = without_dvc(colleague(made, tmp_path / "other", "HEAD"), made)
    other.params(draws=3, counts_as={"torch": "2.0"})
    (other.folder / "words.csv").unlink()
    for path, edit in (("workflow_scripts/tune_lora.py", "\ndef x(:\n"), ("workflow_scripts/lib/arms.py", "\n# why\n")):
        (other.folder / path).write_text((other.folder / path).read_text() + edit)
    rule = other.folder / "rules/tune_lora.smk"
    rule.write_text(rule.read_text().replace('" --seed {params.seed}"', '" --seed  {params.seed}"'))
    before = other.run("git status --short")
    told = other.run(f"make import FOLDER={exported}").splitlines()
    assert [line.split(" here")[0] for line in told[1:3]] == ["params.yaml is another", "data or models are not"]
    assert told[1].split(" in ")[1].startswith("counts_as, draws: `cp ")
    assert told[2].endswith(": words.csv")
    assert told[3].endswith(": rules/tune_lora.smk, workflow_scripts/tune_lora.py")
    assert "torch" in told[4]
    assert told[4].endswith("(2.0 here)")
    assert len(told) == 5
    assert other.run("git status --short") == before


def test_an_import_mends_the_cache_and_leaves_what_was_made_here(made, exported, tmp_path):
    other = without_dvc(copied(made, tmp_path / "other"), made)
    harmed, *_, foreign = objects(other).values()
    whole = harmed.read_bytes()
    harmed.chmod(0o644)
    flip(harmed)
    harmed.chmod(0o444)
    sealed = load_sealed(other.folder / f"{REPORT}.recipe")
    (note,) = (other.folder / ".dvc/cache/recipes").glob(f"*/{name(sealed)}-*.json")
    sealed["bytes"] = dict.fromkeys(sealed["bytes"], foreign.parent.name + foreign.name)
    note = note.rename(note.with_name(f"{name(sealed)}-elsewhere.json"))
    write(note, sealed)
    told = other.run(f"make import FOLDER={exported}")
    assert f"; 1 gave other bytes here, too ({REPORT}): what dvc.lock names comes back" in told
    assert harmed.read_bytes() == whole
    assert load_sealed(note) == sealed


def test_of_what_one_recipe_gave_twice_comes_back_what_the_commit_names_or_the_newest(made, tmp_path):
    """As where two clones share a cache, and a job does not give the same bytes in both."""
    clone, kept = without_dvc(copied(made, tmp_path / "other"), made), made.folder / REPORT
    sealed = load_sealed(clone.folder / f"{REPORT}.recipe")
    elsewhere = md5(clone.folder / "artifacts/aggregate_similarity/metrics.json")
    sealed["bytes"] = dict.fromkeys(sealed["bytes"], elsewhere)
    note = clone.folder / ".dvc/cache/recipes" / name(sealed)[:2] / f"{name(sealed)}-elsewhere.json"
    before = ("true", "rm dvc.lock", "git rm -q dvc.lock && git commit -qm unrecorded")
    for command, wanted in zip(before, (md5(kept), md5(kept), elsewhere), strict=True):
        write(note, sealed)  # after what is noted by a run
        clone.run(f"rm -r artifacts/render_report && {command}")
        assert f"{REPORT}: from DVC's cache" in clone.run(RUN)
        assert md5(clone.folder / REPORT) == wanted


def test_of_a_harmed_export_nothing_is_taken(made, exported, tmp_path):
    other = without_dvc(colleague(made, tmp_path / "other", "HEAD"), made)
    harmed = tmp_path / "harmed"
    shutil.copytree(exported, harmed)
    flip(harmed / REPORT)
    assert f"{REPORT}: altered: {harmed} is not as it was exported" in said(other, f"make import FOLDER={harmed}")
    assert "is no exported study" in said(other, "make import FOLDER=docs")
    assert "FOLDER says which" in said(other, "make import")
    assert not (other.folder / ".dvc/cache").exists()


def test_targets_that_need_dvc_say_so_and_others_work(made, tmp_path):
    copy = without_dvc(copied(made, tmp_path / "copy"), made)
    for target in ("remote URL=there", "fetch STAGE=render_report"):
        assert LACKS in said(copy, f"make {target}")
    assert "no default remote" in said(copy, "make verify-remote")
    (copy.folder / ".dvc/config.local").write_text(
        "[core]\n    remote = there\n['remote \"there\"']\n    url = /there\n"
    )
    assert LACKS in said(copy, "make verify-remote")
    assert "fresh" in copy.run(f"make explain TARGET={REPORT}")
    unneeded = copy.folder / ".dvc/cache/files/md5/00" / ("0" * 30)
    unneeded.parent.mkdir(exist_ok=True)
    unneeded.write_text("of a study that is gone")
    assert "deleted: " in copy.run("make gc YES=1")
    assert not unneeded.exists()
    assert "Nothing to be done" in copy.run("snakemake --cores 2")
