"""Snakemake and DVC agree about every artifact: the promises of docs/design.md, each on a clone with a tiny study."""

import fcntl
import json
import os
import random
import re

import pytest

from tests.workflow.conftest import STUDY, colleague, flip, kill_after, unprotected

pytestmark = pytest.mark.workflow
# Of two models and three settings: the reference and two levels. Arms that are given sets have states at each of them.
CELLS = {"sample_demonstrations": 3, "tune_lora": 6, "dump_hidden_states": 12, "compare_hidden_states": 6}
CELLS |= {"patch_hidden_states": 2}  # at the reference
ALL_STATES = {"dump_hidden_states": 16}  # with the anchor and its repeat, once a model
SUMMARY = {"aggregate_similarity": 1, "render_report": 1}
ANCHORS = "artifacts/dump_hidden_states/one/words/reference/anchor.parquet"


# 1 A fresh clone: either engine makes everything


def test_either_engine_makes_the_same(made, tmp_path):
    made.quiet()
    other = colleague(made, tmp_path / "c")
    other.run("dvc repro -q")
    other.quiet()
    assert other.run("git status --short") == ""  # dvc.lock has the very same bytes
    made.run(f"diff -r --exclude .snakemake_timestamp artifacts {other.folder}/artifacts")


# 2 Exactly what is affected


@pytest.mark.parametrize(
    ("change", "jobs", "reason"),
    [
        (
            {"tune_lora__r": 4},
            {**CELLS, **SUMMARY, "sample_demonstrations": 0, "dump_hidden_states": 6},
            "settings.r was 8, is 4",
        ),
        (
            {"models": {**STUDY["models"], "two": {**STUDY["models"]["two"], "seed": 3}}},
            {"prepare_model": 1, "tune_lora": 3, "dump_hidden_states": 8, "compare_hidden_states": 3, **SUMMARY}
            | {"patch_hidden_states": 1},
            "source.seed was 2, is 3",
        ),
        ({"draws": 3}, {**CELLS, **SUMMARY}, "draws was 2, is 3"),
        (
            {"factors": {"shots": [1, 2, 4], "labels": ["gold", "flipped"]}},
            {"sample_demonstrations": 1, "tune_lora": 2, "dump_hidden_states": 4, "compare_hidden_states": 2} | SUMMARY,
            "Missing output files: artifacts/sample_demonstrations/words/shots-4.parquet",
        ),
        (
            {"arms": ["anchor", "icl", "it", "both"]},
            {"dump_hidden_states": 2, "compare_hidden_states": 2, **SUMMARY},
            "Missing output files: artifacts/dump_hidden_states/one/words/reference/both.parquet",
        ),
        (
            {"arms": ["anchor", "icl", "it", "it-reseeded"]},
            {"tune_lora": 2, "dump_hidden_states": 2, "compare_hidden_states": 2, **SUMMARY},
            "Missing output files: artifacts/tune_lora/one/words/reference/reseeded",
        ),
        (
            {"datasets": {"words": {**STUDY["datasets"]["words"], "template": {"query": "x : {text}\ny :"}}}},
            {**CELLS, **SUMMARY, **ALL_STATES, "prepare_dataset": 1},
            "source.template.query was",
        ),
        (
            {"datasets": {**STUDY["datasets"], "more": {"source": "world", "task": "topic"}}},
            {**CELLS, **SUMMARY, **ALL_STATES, "prepare_dataset": 1},
            "Missing output files: artifacts/prepare_dataset/more.parquet",
        ),
        ({"render_report__title": "Other"}, {"render_report": 1}, "title was"),
        ({"compare_hidden_states__measures": ["cosine"]}, {"compare_hidden_states": 6, **SUMMARY}, "measures was"),
        ({"patch_hidden_states__layers": [1, 4]}, {"patch_hidden_states": 2, **SUMMARY}, "settings.layers was all"),
        (
            {"patch_hidden_states__factors": ["reference", "labels"]},
            {"patch_hidden_states": 2, **SUMMARY},
            "Missing output files: artifacts/patch_hidden_states/one/words/labels/similarity.parquet",
        ),
        (
            {"compare_hidden_states__contrasts": ["own", "other-draw", "other-query-other-label"]},
            {"compare_hidden_states": 6, **SUMMARY},
            "contrasts was",
        ),
    ],
    ids=[
        "tuning",
        "model",
        "draw",
        "level",
        "arm",
        "ceiling",
        "template",
        "dataset",
        "title",
        "measures",
        "patched layers",
        "patched factors",
        "contrasts",
    ],
)
def test_a_setting_reruns_what_it_touches(made, change, jobs, reason):
    made.params(**change)
    try:
        assert made.planned() == {rule: count for rule, count in jobs.items() if count}
        assert reason in made.run("snakemake -n")
        assert "changed" in made.run("dvc status")
    finally:
        made.run("git checkout -q params.yaml")
    made.quiet()


@pytest.mark.parametrize(
    ("module", "edit", "jobs"),
    [
        (
            "lib/forward/reader.py",
            lambda text: text + "\nX = 1\n",
            {**ALL_STATES, "compare_hidden_states": 6, "patch_hidden_states": 2, **SUMMARY},
        ),
        (
            "lib/lora/files.py",
            lambda text: text + "\nX = 1\n",
            {**CELLS, **SUMMARY, **ALL_STATES, "sample_demonstrations": 0},
        ),
        ("lib/lora/files.py", lambda text: "# why\n" + text.replace("\n\n\n", "\n\n\n\n"), {}),
        ("tune_lora.py", lambda text: text.replace('"""Tune one', '"""Train one'), {}),
    ],
    ids=["one stage imports it", "two stages import it", "comment and layout", "docstring"],
)
def test_code_reruns_what_imports_it(made, module, edit, jobs):
    path = made.folder / "workflow_scripts" / module
    path.write_text(edit(path.read_text()))
    try:
        assert made.planned() == {rule: count for rule, count in jobs.items() if count}
    finally:
        made.run("git checkout -q workflow_scripts")
    made.quiet()


def test_how_a_process_is_started_makes_nothing_stale(made):
    path = made.folder / "freshness/recipes.py"
    path.write_text(path.read_text().replace("python startup/warm.py {params.ready} ", "python -m "))
    try:
        assert made.run("git diff --stat")
        assert made.planned() == {}
    finally:
        made.run("git checkout -q freshness")
    made.quiet()


def test_an_edit_that_changes_nothing_costs_seconds_in_either_engine(copy):
    path = copy.folder / "workflow_scripts/lib/lora/config.py"
    path.write_text("# a comment\n" + path.read_text())
    assert "Finished jobid: 0 (Rule: all_tune_lora)" in (output := copy.run("dvc repro"))
    assert "Rule: tune_lora)" not in output
    copy.quiet()


def test_data_that_changed_is_noticed_by_its_bytes(made):
    path = made.folder / "words.csv"
    path.write_text(path.read_text().replace("positive", "negative", 1))
    try:
        assert made.planned()["prepare_dataset"] == 1
    finally:
        made.run("git checkout -q words.csv")
    made.quiet()


@pytest.mark.parametrize("command", ["snakemake --cores 2", "dvc repro -q"])
def test_a_smaller_grid_leaves_no_orphans(copy, command):
    copy.params(models={"one": STUDY["models"]["one"]}, factors={"shots": [1, 2]})
    copy.run(command)
    copy.quiet()
    left = [path for path in (copy.folder / "artifacts").rglob("*") if path.stem == "two" or "labels" in path.name]
    assert not left


def test_every_setting_that_a_rule_reads_is_declared_to_dvc(made):

    changes = {
        "seed": 1,
        "queries": 7,
        "reference": {"shots": 1, "labels": "gold"},
        "sample_demonstrations": {"balanced": False},
        "dump_hidden_states": {"tokens_per_batch": 77, "layers": "all", "storage": "float32"},
        "aggregate_similarity": {"confidence": 0.8, "resamples": 200},
        "prepare_dataset": {"pool": 11},
        "prepare_model": {"steps": 1, "tokens_per_step": 99, "learning_rate": 0.1, "gate_queries": 3},
    }
    for key, value in changes.items():
        made.params(**{key: value})
        output, status = made.run("snakemake -n --quiet host"), json.loads(made.run("dvc status --json 2>/dev/null"))
        made.run("git checkout -q params.yaml")
        blocks = re.split(r"\n(?:local)?rule ", output)[1:]
        own = re.compile(r"input: .*\.snakemake/changed/(?!artifacts )")  # stale by what its rule reads itself
        stale = {block.split(":")[0] for block in blocks if own.search(block)}
        stages = stale - {"version_artifacts"}
        assert stages, f"{key} changed nothing"
        assert stages <= set(status), f"{key}: {stages} are stale, and DVC sees {set(status)}"


# 3, 4, 5 Checkout and pull


def test_rollback_and_forward_again(copy):
    for version in ("one", "two", "one"):
        copy.run(f"git checkout -q {version} && dvc checkout -q")
        copy.quiet()


def test_file_times_and_snakemakes_own_notes_decide_nothing(copy):
    copy.run("find artifacts words.csv workflow_scripts -exec touch {} + && rm -rf .snakemake")
    copy.quiet()


@pytest.mark.parametrize("link", ["copy", "hardlink", "symlink"])
def test_a_pull_is_enough(made, tmp_path, link):
    other = colleague(made, tmp_path / "c")
    other.run(f"dvc config --local cache.type {link}")
    other.run("dvc pull -q artifacts/render_report artifacts/tune_lora && dvc pull -q")
    other.quiet()


def test_a_pull_file_by_file(made, tmp_path):
    other = colleague(made, tmp_path / "c")
    names = made.run("git ls-files >/dev/null; find artifacts -type f ! -name .snakemake_timestamp").split()
    for name in random.Random(0).sample(sorted(names), 6):
        other.run(f"dvc pull -q {name}")
    other.run("dvc pull -q")
    other.quiet()


@pytest.mark.parametrize(
    ("pulled", "made_here"),
    [
        ("prepare_dataset prepare_model sample_demonstrations tune_lora", ALL_STATES),
        (
            "dump_hidden_states compare_hidden_states patch_hidden_states aggregate_similarity render_report",
            {"prepare_dataset": 1},
        ),
    ],
    ids=["the first", "the last"],
)
def test_a_partial_pull_computes_only_the_rest(made, tmp_path, pulled, made_here):
    other = colleague(made, tmp_path / "c")
    other.run(f"dvc pull -q {pulled}")
    planned = other.planned()
    assert made_here.items() <= planned.items()
    assert not set(planned) & set(pulled.split())
    other.run("snakemake --cores 2")
    other.quiet()
    assert other.run("git status --short") == ""


# 6 Experiments


def test_dvc_experiments(copy):
    copy.run("dvc exp run -q -n fewer -S render_report.title=Fewer")
    assert "Fewer" in (copy.folder / "artifacts/render_report/report.html").read_text()
    copy.quiet()
    copy.run("git checkout -q . && dvc checkout -q")
    copy.run("dvc exp run -q --temp -n apart -S aggregate_similarity.confidence=0.5001")
    copy.quiet()
    assert {"fewer", "apart"} <= set(copy.run("dvc exp list --name-only").split())
    copy.run("dvc exp apply -q apart")
    copy.quiet()
    assert "0.5001" in copy.run("dvc params diff")
    assert "apart" in copy.run("dvc exp show --csv")
    assert "anchor right" in copy.run("dvc metrics diff --all one two")
    copy.run("dvc plots diff --json one two")


# 7 Changed and changed back


@pytest.mark.parametrize("cache", ["", "../elsewhere"])
def test_changed_back_comes_from_the_cache(copy, cache):
    if cache:
        copy.run(f"dvc cache dir --local {cache} && mv .dvc/cache {cache}")
    copy.params(tune_lora__steps=2)
    output = copy.run("snakemake --cores 2")
    assert (
        output.count(": from DVC's cache") == 20 + 1
    )  # adapters, the states through them, cells, patched ones, the rest
    assert f"and {6 + 6 + 6 + 2 + 2 - 20} more: from DVC's cache" in output
    copy.quiet()
    copy.run("git diff --exit-code one -- dvc.lock")


# 9 What was altered is found before it is used


def older(path):
    keep = path.stat()
    flip(path)
    os.utime(path, ns=(keep.st_atime_ns, keep.st_mtime_ns))


@pytest.mark.parametrize("engine", ["snakemake --cores 2", "dvc repro"])
@pytest.mark.parametrize(
    ("harm", "named"),
    [
        (flip, "is not as it was made"),
        (older, "is not as it was made"),
        (lambda path: unprotected(path).write_bytes(path.read_bytes()[:100]), "is not as it was made"),
        (lambda path: path.unlink(), "anchor.parquet"),
        (lambda path: path.with_name(f"{path.name}.recipe").unlink(), "has no recipe"),
    ],
    ids=["flipped", "flipped at the same time", "truncated", "deleted", "recipe deleted"],
)
def test_an_altered_artifact_is_rebuilt(copy, engine, harm, named):
    harm(copy.folder / ANCHORS)
    assert named in copy.run("snakemake -n")
    assert "up to date" not in copy.run("dvc status")
    copy.run(engine)
    copy.quiet()
    assert copy.run("git status --short") == ""


def test_a_corrupt_cache_is_not_restored_from(copy):
    copy.run(
        "chmod -R u+w .dvc/cache && for f in $(find .dvc/cache/files/md5 -type f -size +3k); do echo x >> $f; done"
    )
    flip(copy.folder / ANCHORS)
    output = copy.run("snakemake --cores 2 --until dump_hidden_states")
    assert f"{ANCHORS}: from DVC's cache" not in output
    assert copy.planned() == {}


# 10 Alone, and on a full disk


def test_a_second_run_is_refused(copy):
    copy.params(tune_lora__steps=4)
    with (copy.folder / ".snakemake/run.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        output = copy.run("snakemake --cores 1; echo status $?")
    assert "Another run is at work in this folder" in output
    assert "status 1" in output
    assert "Traceback" not in output


def test_a_full_disk_leaves_nothing_corrupt(copy, tmp_path):
    full = tmp_path / "full"
    full.mkdir()
    if os.system(f"mount -t tmpfs -o size=300k tmpfs {full} 2>/dev/null"):
        pytest.skip("needs the right to mount a small tmpfs")
    try:
        copy.params(tune_lora__r=32)
        copy.run(f"mv artifacts/tune_lora kept && ln -s {full} artifacts/tune_lora")
        output = copy.run("snakemake --cores 1 --until tune_lora", check=False)
        assert "No space left on device" in output
        assert not list(full.rglob("*.recipe"))
    finally:
        os.system(f"umount -l {full}")
    copy.run("rm artifacts/tune_lora && mv kept artifacts/tune_lora && snakemake --cores 2")
    copy.quiet()


def test_what_dvc_leaves_half_written_is_made_anew(copy):
    path = copy.folder / "dvc.lock"
    before = path.read_text()
    path.write_text(before[: len(before) // 2] + "\n  - {")
    (copy.folder / ".dvc/tmp/rwlock").write_text('{"read"')
    copy.run("snakemake --cores 1")
    copy.quiet()
    assert path.read_text() == before


def test_an_artifact_is_explained(made):
    assert f"{ANCHORS}: fresh" in (told := made.run(f"make explain TARGET={ANCHORS}"))
    assert "workflow_scripts/lib/forward/reader.py" in told
    assert "artifacts/prepare_model/one: fresh" in told
    made.params(dump_hidden_states__tokens_per_batch=77)
    told = made.run(f"make explain TARGET={ANCHORS}")
    made.run("git checkout -q params.yaml")
    assert "tokens_per_batch was auto, is 77" in told


# 8 Killed at any moment

KILLS = int(os.environ.get("KILLS", "2"))  # `make test-kills` for the full count


@pytest.mark.parametrize("engine", ["snakemake --cores 2", "dvc repro"])
def test_a_killed_run_goes_on_where_it_was(made, tmp_path, engine):
    other = colleague(made, tmp_path / "c")
    moments = random.Random(engine)
    for _ in range(KILLS):
        kill_after(other, engine, moments.uniform(2, 40))
        if (other.folder / "artifacts/render_report/report.html.recipe").exists():
            other.run("rm -rf artifacts .dvc/cache")
    finished = {path: path.stat().st_mtime_ns for path in (other.folder / "artifacts").rglob("*.recipe")}
    other.run(engine)
    assert all(path.stat().st_mtime_ns == time for path, time in finished.items())
    other.quiet()
    assert other.run("git status --short") == ""
    made.run(f"diff -r --exclude .snakemake_timestamp artifacts {other.folder}/artifacts")
