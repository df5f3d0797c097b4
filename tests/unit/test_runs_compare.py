"""Two versions side by side: what is told of estimates that are what a test says, and what a version is read from."""

import json
import subprocess

import pytest
import yaml

from freshness import cached
from freshness.contents import md5
from runs.compare import differ, differences, flat, have_intervals, lines, moved, side_by_side
from runs.revision import Revision
from tests.synthetic_estimates import LAYERS, Made, tables_of
from workflow_scripts.lib.arms import ICL, IT
from workflow_scripts.lib.artifacts.tables import write_table
from workflow_scripts.lib.errors import StudyError
from workflow_scripts.lib.measures import ACCURACY, HEADLINE, NOISE
from workflow_scripts.lib.measures.contrasts import OWN

ESTIMATE = {"layer": LAYERS, "one": ICL.name, "other": IT.name, "match": OWN.name, "measure": HEADLINE.name}
AT = {**ESTIMATE, "factor": "reference", "answers": "all"}


def frame(*cases):
    return tables_of(cases)["similarity"].to_pandas()


def found(both, which):
    return both[which][["measure", "factor", "one"]].to_numpy().tolist()


def changed(mean, low, high, **keys):
    return Made().change({"mean": mean, "low": low, "high": high}, **keys)


def test_an_estimate_has_moved_where_each_mean_is_outside_the_others_interval():
    one = frame(changed(0.5, 0.4, 0.6, **AT))
    for mean, low, high, expected in (
        (0.7, 0.65, 0.75, True),
        (0.3, 0.25, 0.35, True),
        (0.7, 0.45, 0.95, False),  # outside A's, but A's mean is inside B's
        (0.55, 0.52, 0.58, False),  # A's mean is outside B's, but B's is inside A's
    ):
        both = side_by_side(one, frame(changed(mean, low, high, **AT)))
        assert found(both, moved(both)) == ([[HEADLINE.name, "reference", ICL.name]] if expected else [])


def test_a_mean_that_rounding_puts_outside_its_own_interval_has_not_moved():
    one = frame(changed(1 + 2**-52, 1.0, 1.0, **AT))
    assert not moved(side_by_side(one, one)).any()


def test_layers_below_the_last_do_not_count():
    both = side_by_side(frame(Made()), frame(changed(0.9, 0.89, 0.91, **{**AT, "layer": LAYERS - 1})))
    assert not moved(both).any()
    assert not differ(both).any()


def test_without_an_interval_another_number_is_told_and_rounding_is_not():
    keys = {"one": "anchor", "measure": ACCURACY.name, "factor": "reference", "layer": None}
    for mean, expected in ((0.6, True), (0.5 + 1e-7, False), (None, True)):
        both = side_by_side(frame(Made()), frame(changed(mean, None, None, **keys)))
        told = differ(both) & ~have_intervals(both)
        assert found(both, told) == ([[ACCURACY.name, "reference", "anchor"]] if expected else [])
        assert not moved(both).any()


def test_settings_differ_by_name_and_a_list_is_one_value():
    a = {"models": {"one": {"source": "pocket"}}, "draws": 3, "arms": ["anchor", "icl"]}
    b = {"models": {"one": {"source": "pocket"}, "two": {"seed": 2}}, "draws": 4, "arms": ["anchor"]}
    assert differences(flat(a), flat(b)) == {
        "draws": ("3", "4"),
        "arms": ('["anchor", "icl"]', '["anchor"]'),
        "models.two.seed": ("not set", "2"),
    }


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """A repository with a cache of DVC's, in which versions are committed."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(cached, "cache_dir", lambda: tmp_path / "cache")
    subprocess.run(["git", "init", "-q", "."], check=True)

    def commit(tag, case, **params):
        stage = {"outs": [{"path": "artifacts/aggregate_similarity", "md5": keep(case)}]}
        stage |= {"params": {"params.yaml": params}, "deps": [{"path": "code.py", "md5": "0"}, {"path": "artifacts/x"}]}
        (tmp_path / "dvc.lock").write_text(yaml.safe_dump({"stages": {"aggregate_similarity": stage}}))
        author = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
        subprocess.run(["git", "add", "dvc.lock"], check=True)
        subprocess.run(["git", *author, "commit", "-qm", tag], check=True)
        subprocess.run(["git", "tag", tag], check=True)

    def keep(case):
        table = tmp_path / "similarity.parquet"
        write_table(tables_of([case])["similarity"], table, {})
        listed = tmp_path / "listed"
        listed.write_text(json.dumps([{"md5": stored(table), "relpath": "similarity.parquet"}]))
        return stored(listed, ".dir")

    def stored(path, suffix=""):
        digest = md5(path) + suffix
        kept = cached.object_path(tmp_path / "cache", digest)
        kept.parent.mkdir(parents=True, exist_ok=True)
        path.rename(kept)
        return digest

    return commit


def test_a_version_is_read_from_git_and_the_cache(repository):
    repository("one", Made(), draws=3, tune_lora={"steps": 10})
    repository("two", changed(0.9, 0.89, 0.91, **AT), draws=3, tune_lora={"steps": 20})
    told = "\n".join(lines(Revision("one"), Revision()))
    assert "A: one    B: the working tree" in told
    assert "Settings that differ: 1\n  tune_lora.steps  10 -> 20\n" in told
    assert "Estimates that moved beyond both intervals: 1 of " in told
    assert "0.500 [0.480, 0.520]  0.900 [0.890, 0.910]" in told
    assert "only in" not in told


def test_estimates_of_one_version_alone_are_counted_by_where_they_are(repository):
    repository("one", Made(dataset="reviews"))
    repository("two", Made(dataset="reviews", levels={"shots": ["1", "8"]}).without(measures=[NOISE.name]))
    told = "\n".join(lines(Revision("one"), Revision("two")))
    assert "Estimates only in A, by place: " in told
    assert "\n  pocket, reviews, shots 16: " in told
    assert "\n  pocket, reviews, reference: " in told
    assert "only in B" not in told


def test_more_rows_than_are_shown_are_counted(repository):
    repository("one", Made())
    repository("two", Made(own=0.9))
    told = [*lines(Revision("one"), Revision("two"), shown=3)]
    assert sum("mutual" in line or "cosine" in line for line in told) <= 3
    assert any("more (ALL=1 shows all)" in line for line in told)


def test_what_cannot_be_read_is_said_with_what_to_do(repository, tmp_path):
    subprocess.run(
        ["git", "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "--allow-empty", "-m", "empty"], check=True
    )
    subprocess.run(["git", "tag", "empty"], check=True)
    with pytest.raises(StudyError, match="git knows no such revision here"):
        Revision("--all")
    with pytest.raises(StudyError, match=r"empty has no dvc\.lock"):
        Revision("empty")
    with pytest.raises(StudyError, match="nothing is recorded here yet"):
        Revision()
    for text in ("stages: null", "words", "<<<<<<< a\nstages: {}\n"):
        (tmp_path / "dvc.lock").write_text(text)
        with pytest.raises(StudyError, match=r"dvc\.lock of the working tree is not whole"):
            Revision()
    repository("one", Made())
    (kept,) = (path for path in (tmp_path / "cache").rglob("*") if path.is_file() and path.suffix != ".dir")
    kept.write_bytes(b"altered")
    with pytest.raises(StudyError, match=r"similarity\.parquet of one is not in DVC's cache.*dvc fetch"):
        [*lines(Revision("one"), Revision())]
    with pytest.raises(StudyError, match=r"one has no artifacts/none"):
        Revision("one").file("artifacts/none")
