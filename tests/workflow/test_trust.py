"""Nothing stale is ever called fresh, whatever was edited, when, and under which names."""

import json
import os
import re
import shutil
import signal
import subprocess
import time

import pytest
import yaml

from freshness.contents import digest, md5, write
from tests.workflow.conftest import ROOT, STUDY, colleague, copied, flip, metrics, metrics_made_afresh, unprotected

pytestmark = pytest.mark.workflow
ENGINES = ["snakemake --cores 2", "dvc repro"]
STAGES = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
ADAPTERS = "artifacts/tune_lora/one/words/reference/tuned"
ANCHOR = "artifacts/dump_hidden_states/one/words/reference/anchor.parquet"
STATES = "artifacts/dump_hidden_states/one/words/reference/icl.parquet"


@pytest.fixture
def copy(small, tmp_path):
    """The made study, a copy for one test to spoil."""
    return copied(small, tmp_path / "copy")


@pytest.fixture
def right(tmp_path):
    """Whether a clone's metrics are those that its settings, data and code give in a fresh one."""
    return lambda clone: metrics(clone) == metrics_made_afresh(clone, tmp_path / "fresh")


# 1 An error in judging


JUDGES = {
    "recipes": ("recipe", "name", "inputs_of", "outputs", "upstream", "source"),
    "judge": ("differences", "missing", "intact"),
    "plan": ("decide", "stale", "forced", "woken", "inputs", "markers", "_sort_out"),
    "planned": ("job_file",),
    "recall": ("bring_back", "_asked_for", "_recall"),
    "folders": ("sort_out", "date_back", "newest"),
    "cached": ("cache_dir", "remembered", "recalled"),
    "configured": ("settings",),
    "shown": ("fresh", "leads"),
    "syntax": ("said", "syntax_digests"),
    "seal": ("altered", "name", "intact"),
}
CLASSES = {"recipes": "Recipes.", "judge": "Judge.", "plan": "Plan.", "planned": "Planned.", "shown": "Shown."}


@pytest.mark.parametrize(("module", "judge"), [(module, judge) for module in JUDGES for judge in JUDGES[module]])
def test_an_error_in_judging_is_never_fresh(small, module, judge):
    path = small.folder / f"freshness/{module}.py"
    before = path.read_text()
    boom = "\n\ndef boom(*given, **named):\n    raise RuntimeError('boom')\n\n\n"
    small.params(aggregate_similarity__confidence=0.8)
    try:
        path.write_text(f"{before}{boom}{CLASSES.get(module, '')}{judge} = boom\n")
        output = small.run("snakemake -n; echo status $?")
    finally:
        path.write_text(before)
        small.run("git checkout -q params.yaml")
    assert "status 1" in output
    assert "boom" in output
    assert "Nothing to be done" not in output


ODD = {
    "query": "<review>{text}</review> [INST] <s>ø 影评 好き 🙂 "
    + "文" * 120
    + " {{x}} * ? ' \" \\ $HOME `ls` | label :"
}


def test_settings_of_any_script_and_length_make_stale_what_they_touch(copy, right):
    copy.params(
        datasets={"words": {**STUDY["datasets"]["words"], "template": ODD}},
        render_report__title="{x} <y> " + "🙂影" * 100 + " % $PATH 'quoted' \"twice\"",
    )
    planned = copy.planned()
    assert planned["tune_lora"] == 2
    assert planned["dump_hidden_states"] == 6
    copy.run("snakemake --cores 2")
    copy.quiet()
    assert "🙂影" * 100 in (copy.folder / "artifacts/render_report/report.html").read_text()
    assert right(copy)


# 2 What a job reads is what its recipe says


def while_tuning(clone, edit, command="snakemake --cores 1"):
    """Output of a run and its status; `edit` is called as soon as the job that tunes has begun."""
    begun = f"{digest(ADAPTERS)}-*.begun"
    for old in (clone.folder / ".snakemake/plan").glob(begun):
        old.unlink()
    with subprocess.Popen(
        f"{command} 2>&1; echo status $?",
        shell=True, cwd=clone.folder, env=clone.environment, text=True, stdout=subprocess.PIPE,
    ) as process:  # fmt: skip
        while process.poll() is None and not any((clone.folder / ".snakemake/plan").glob(begun)):
            time.sleep(0.01)
        edit()
        output, _ = process.communicate()
    return output


@pytest.mark.parametrize("put_back", [False, True], ids=["left", "put back"])
@pytest.mark.parametrize(
    ("name", "edited"),
    [("workflow_scripts/lib/lora/train.py", "\nX = 1\n"), ("artifacts/prepare_model/one/model.json", "\n")],
    ids=["a module", "an input"],
)
def test_what_was_edited_while_a_job_read_it_seals_nothing(copy, right, name, edited, put_back):
    copy.params(tune_lora__steps=150)
    path = copy.folder / name
    before = path.read_text()

    def edit():
        path.write_text(before + edited)
        if put_back:
            time.sleep(0.05)
            path.write_text(before)

    output = while_tuning(copy, edit)
    assert "status 1" in output
    assert f"{name} was written to while the job ran" in output
    assert "Traceback" not in output
    assert not (copy.folder / f"{ADAPTERS}.recipe").exists()
    path.write_text(before)
    copy.run("snakemake --cores 2")
    copy.quiet()
    assert right(copy)


@pytest.mark.parametrize("engine", ENGINES)
def test_data_edited_in_the_middle_of_a_run_is_not_recorded_as_what_it_had(copy, right, engine):
    copy.params(seed=3, tune_lora__steps=150)
    output = while_tuning(copy, lambda: flip_a_label(copy.folder / "words.csv"), engine)
    if engine != "dvc repro":  # which has recorded the stage of the data by then, with those it had
        assert "words.csv was edited since this run began, so nothing is recorded" in output
    assert "up to date" not in copy.run("dvc status")
    copy.params(tune_lora__steps=2)
    copy.run(engine)
    copy.quiet()
    assert right(copy)


@pytest.mark.parametrize("engine", ENGINES)
def test_settings_edited_in_the_middle_of_a_run_are_not_recorded_as_those_it_had(copy, right, engine):
    copy.params(tune_lora__steps=150)
    output = while_tuning(copy, lambda: copy.params(tune_lora__steps=2, render_report__title="x"), engine)
    assert "status 0" not in output
    assert "params.yaml was edited since this run began" in output
    assert "up to date" not in copy.run("dvc status")
    copy.run(engine)
    copy.quiet()
    assert right(copy)


# A queue that runs a job at once, after `meanwhile`; its id says how the job ended.
QSUB = """#!/bin/bash
echo "$*" >> asked.txt
{meanwhile}
bash "${{!#}}" >> job.txt 2>&1
echo "$?.$RANDOM"
"""
QSTAT = """#!/bin/bash
job=${!#}
echo "job_state = F"
echo "Exit_status = ${job%%.*}"
"""


def test_jobs_on_other_machines_refuse_settings_that_are_not_their_runs(copy, right):
    def queue(meanwhile):
        plan = copy.folder / f".snakemake/estimates/{md5(copy.folder / 'params.yaml')}.json"
        write(plan, {"kinds": {}})  # or the run would make one
        for name, text in (("qsub", QSUB.format(meanwhile=meanwhile)), ("qstat", QSTAT)):
            (copy.folder / "bin" / name).write_text(text)
            (copy.folder / "bin" / name).chmod(0o755)

    (copy.folder / "bin").mkdir()
    copy.environment["PATH"] = f"{copy.folder}/bin:{copy.environment['PATH']}"
    cluster = "snakemake --workflow-profile profiles/cluster-generic --jobs 2 --latency-wait 2 --retries 0"
    cluster += " --seconds-between-status-checks 1"
    copy.params(tune_lora__steps=3)
    queue("sed -i 's/steps: 3$/steps: 4/' params.yaml")  # each job reads params.yaml anew
    output = copy.run(f"{cluster}; echo status $?")
    assert "status 1" in output
    assert "not what they were when this run began" in output
    recipes = (copy.folder / "artifacts/tune_lora").rglob("*.recipe")
    assert {json.loads(path.read_text())["params"]["settings.steps"] for path in recipes} <= {2}, (
        "what was there before"
    )
    assert copy.planned()["tune_lora"] == 2
    queue("true")
    copy.run(cluster)
    copy.quiet()
    assert right(copy)
    asked = (copy.folder / "asked.txt").read_text()
    assert re.search(r"-N icl-it-tune_lora -l select=1:ncpus=1:mem=4000mb:ngpus=0 -l walltime=0:30:0 ", asked)


# 3 DVC sees data and models


def flip_a_label(path):
    text = path.read_text()
    path.write_text(text.replace("positive", "\0").replace("negative", "positive", 1).replace("\0", "positive"))
    assert path.read_text() != text


def same_size(path):
    """Another label at the same size: the same letters in another order would be refused, so other words of a text."""
    lines = path.read_text().splitlines()
    lines[1], lines[2] = lines[2], lines[1]
    path.write_text("\n".join(lines) + "\n")


def another_file_at_the_same_time(path):
    """As `cp --preserve` or `sed --in-place` and `touch` leave it: same size, same time."""
    keep = path.stat()
    copy = path.with_name("other.csv")
    shutil.copy(path, copy)
    same_size(copy)
    copy.replace(path)
    os.utime(path, ns=(keep.st_atime_ns, keep.st_mtime_ns))


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("edit", [flip_a_label, same_size, another_file_at_the_same_time])
def test_dvc_sees_the_data(copy, right, engine, edit):
    path = copy.folder / "queries.csv"
    edit(path)
    assert "queries.csv" in copy.run("dvc status")
    assert copy.planned()["prepare_dataset"] == 1
    copy.run(engine)
    copy.quiet()
    assert right(copy)


def test_dvc_sees_where_a_link_leads(copy, right):
    path = copy.folder / "queries.csv"
    shutil.move(path, copy.folder / "target.csv")
    path.symlink_to("target.csv")
    copy.run("snakemake --cores 1")
    copy.quiet()
    same_size(copy.folder / "target.csv")
    assert "target.csv" in copy.run("dvc status")
    copy.run("dvc repro")
    copy.quiet()
    assert right(copy)
    shutil.copy(copy.folder / "words.csv", copy.folder / "another.csv")
    path.unlink()
    path.symlink_to("another.csv")
    assert "queries.csv" in copy.run("dvc status")
    assert copy.planned()["prepare_dataset"] == 1


def test_bytes_that_changed_under_their_old_time_are_shown_to_dvc_by_snakemake(copy):
    path = copy.folder / "queries.csv"
    keep = path.stat()
    same_size(path)
    os.utime(path, ns=(keep.st_atime_ns, keep.st_mtime_ns))
    assert copy.planned()["prepare_dataset"] == 1
    assert "queries.csv" in copy.run("dvc status")


def test_a_file_that_is_gone_is_missed_by_both(copy):
    (copy.folder / "queries.csv").unlink()
    assert "queries.csv" in copy.run("dvc status")
    assert copy.planned()["prepare_dataset"] == 1
    output = copy.run("snakemake --cores 1; echo status $?")
    assert "queries.csv: no such file" in output
    assert "status 1" in output


@pytest.mark.parametrize("engine", ENGINES)
def test_dvc_sees_a_models_files(copy, tiny_folder, engine):
    shutil.copytree(tiny_folder, copy.folder / "model")
    copy.params(models={"one": {"source": "local", "path": "model", "device": "cpu"}})
    copy.run(engine)
    copy.quiet()
    weights = copy.folder / "model/model.safetensors"
    flip(weights)
    assert "model" in copy.run("dvc status")
    assert copy.planned()["dump_hidden_states"] == 6
    copy.run(engine)
    copy.quiet()
    (copy.folder / "model/generation_config.json").write_text("{}")
    assert "model" in copy.run("dvc status")
    assert copy.planned()["prepare_model"] == 1


@pytest.mark.parametrize("engine", ENGINES)
def test_another_data_file_needs_one_run(copy, tmp_path, engine):
    for where in ("more words.csv", str(tmp_path / "outside.csv"), "../beside.csv"):
        shutil.copy(copy.folder / "words.csv", copy.folder / where)
        same_size(copy.folder / where)
        copy.params(datasets={"words": {**STUDY["datasets"]["words"], "pool": where}})
        assert "up to date" not in copy.run("dvc status")
        copy.run(engine)
        copy.quiet()
        written = (copy.folder / "sources/dvc.lock").read_text()
        copy.run("dvc commit -q -f")
        recorded = (copy.folder / "sources/dvc.lock").read_text()
        assert yaml.safe_load(recorded) == yaml.safe_load(written), "DVC would have written the same"
    assert copy.run("git diff --stat -- dvc.yaml") == ""


@pytest.mark.parametrize("engine", ENGINES)
def test_every_file_of_a_pattern_is_tracked_and_so_is_one_that_comes_to_match(copy, engine):
    head, *rows = (copy.folder / "words.csv").read_text().splitlines(keepends=True)
    (copy.folder / "shards").mkdir()
    for name, some in (("1", rows[:10]), ("2", rows[10:20])):
        (copy.folder / f"shards/{name}.csv").write_text("".join([head, *some]))
    copy.params(datasets={"words": {**STUDY["datasets"]["words"], "pool": "shards/*.csv"}})
    copy.run(engine)
    copy.quiet()
    same_size(copy.folder / "shards/2.csv")
    assert "shards" in copy.run("dvc status")
    assert copy.planned()["prepare_dataset"] == 1
    copy.run(engine)
    copy.quiet()
    (copy.folder / "shards/3.csv").write_text("".join([head, *rows[20:]]))
    assert "shards" in copy.run("dvc status")
    assert copy.planned()["prepare_dataset"] == 1
    copy.run(engine)
    copy.quiet()
    assert "rows read: 30 of shards/1.csv and 2 more" in (copy.folder / "logs/prepare_dataset/words.log").read_text()


# 4 What is forced runs


def spoil(clone):
    """A wrong artifact that was sealed, recorded and cached: what a machine that computes wrongly leaves."""
    from freshness import seal

    path = clone.folder / ANCHOR
    flip(path)
    recipe = unprotected(clone.folder / f"{ANCHOR}.recipe")
    sealed = json.loads(recipe.read_text())
    sealed["bytes"] = {"states": seal.md5(path)}
    recipe.write_text(json.dumps(sealed, indent=1, sort_keys=True) + "\n")
    clone.run("dvc commit -q -f")


@pytest.mark.parametrize(
    "force",
    [
        "snakemake --cores 2 --forceall",
        "snakemake --cores 2 --forcerun dump_hidden_states",
        "dvc repro -f",
        f"make forget TARGET={ANCHOR} && snakemake --cores 2",
    ],
)
def test_a_forced_job_runs_and_a_wrong_byte_goes(copy, force):
    right = (copy.folder / ANCHOR).read_bytes()
    spoil(copy)
    output = copy.run(force)
    assert f"{ANCHOR}: from DVC's cache" not in output
    assert (copy.folder / ANCHOR).read_bytes() == right
    copy.quiet()
    assert copy.run("git diff --exit-code -- dvc.lock") == ""


def test_forgetting_names_what_goes_and_nothing_else_does(copy):
    output = copy.run(f"make forget TARGET={STATES}")
    forgotten = {line.split(":")[0] for line in output.splitlines() if line.endswith(": forgotten")}
    assert STATES in forgotten
    assert "artifacts/render_report/report.html" in forgotten
    assert len(forgotten) == 5
    assert not (copy.folder / STATES).exists()
    assert copy.planned() == {
        "dump_hidden_states": 1, "compare_hidden_states": 1, "patch_hidden_states": 1,
        "aggregate_similarity": 1, "render_report": 1,
    }  # fmt: skip
    copy.run("snakemake --cores 2")
    copy.quiet()
    assert copy.run("git status --short") == ""


# Another release of torch, as the installed one's metadata would say it.
UPGRADE = """
import importlib.metadata as metadata
version = metadata.version
metadata.version = lambda name: "2.99.1" if name == "torch" else version(name)
"""


def test_a_minor_release_makes_stale_what_it_counts_for(copy, tmp_path):
    (tmp_path / "site").mkdir()
    (tmp_path / "site/sitecustomize.py").write_text(UPGRADE)
    copy.environment["PYTHONPATH"] = str(tmp_path / "site")
    assert "torch was 2.13, is 2.99" in copy.run("snakemake -n")
    assert copy.planned()["dump_hidden_states"] == 6
    assert "prepare_dataset" not in copy.planned()
    copy.params(counts_as={"torch": "2.13"})
    assert copy.planned() == {}
    copy.params(counts_as={"torch": "2.13"}, tune_lora__r=4)
    copy.run("snakemake --cores 2")
    copy.quiet()
    assert "torch 2.13 (made with 2.99, accepted by counts_as)" in copy.run(f"make explain TARGET={ADAPTERS}")
    assert "made with" not in copy.run(f"make explain TARGET={ANCHOR}")


def test_a_library_that_does_not_count_is_refused_by_name(copy):
    copy.params(counts_as={"pydantic": "2.1"})
    assert "counts_as.pydantic: no library whose version counts" in copy.run("snakemake -n", check=False)


# 5 File times


@pytest.mark.parametrize("engine", ENGINES)
def test_times_in_the_future_change_nothing(copy, engine):
    copy.run(
        "touch -d '+2 years' words.csv queries.csv dvc.lock params.yaml && find artifacts -exec touch -d '+1 year' {} +"
    )
    assert copy.planned() == {}
    copy.params(tune_lora__steps=4)
    copy.run("find artifacts words.csv queries.csv -exec touch -d '+1 year' {} +")
    output = copy.run(engine)
    assert "clock skew" not in output
    copy.quiet()


# 6 Other people's files


@pytest.mark.parametrize("engine", ENGINES)
def test_what_is_not_ours_is_set_aside_and_named(copy, engine):
    notes = ["artifacts/tune_lora/notes.txt", f"{ADAPTERS}/analysis.csv"]
    for name in notes:
        (copy.folder / name).write_text("mine")
    copy.params(factors={"shots": [1]})
    output = copy.run("snakemake -n")
    for name in notes:
        assert f"{name}: none of the study's artifacts, would be moved to aside/" in output
    assert (
        "artifacts/compare_hidden_states/one/words/labels/similarity.parquet: of no study any more, would be removed"
        in output
    )
    assert all((copy.folder / name).exists() for name in notes)
    output = copy.run(engine)
    for name in notes:
        assert (copy.folder / "aside" / name).read_text() == "mine"
        assert f"{name} is none of the study's artifacts: moved to aside/{name}" in output
    assert output.count("none of the study's artifacts") == len(notes)
    copy.quiet()
    assert not list((copy.folder / "artifacts").rglob("labels*"))


# 7, 8 Versioning


def test_dvcs_own_reason_is_shown_and_nothing_is_lost(copy):
    copy.params(render_report__title="Other")
    copy.run("mv .dvc/cache/files kept && touch .dvc/cache/files")
    output = copy.run("snakemake --cores 1; echo status $?")
    assert "status 1" in output
    assert "dvc commit failed, so nothing is recorded" in output
    assert "Not a directory" in output or "File exists" in output
    copy.run("rm .dvc/cache/files && mv kept .dvc/cache/files && snakemake --cores 1")
    copy.quiet()


def test_a_cache_that_cannot_be_written_to_is_refused_before_anything_runs(copy):
    copy.params(render_report__title="Other")
    copy.run("mv .dvc/cache kept && touch .dvc/cache")
    output = copy.run("snakemake --cores 1; echo status $?")
    assert "status 1" in output
    assert "DVC's cache cannot be written to, so nothing is started" in output
    assert "File exists" in output
    assert "rule render_report" not in output
    copy.run("rm .dvc/cache && mv kept .dvc/cache && snakemake --cores 1")
    copy.quiet()


HOLD = "from dvc.repo import Repo; r = Repo(); r.lock.lock(); print('held', flush=True); input()"


def test_dvcs_lock_is_waited_for(copy):
    copy.params(render_report__title="Other")
    log = copy.folder / "logs/version_artifacts.log"
    started = {"cwd": copy.folder, "env": copy.environment, "text": True, "stdout": subprocess.PIPE}
    with (
        subprocess.Popen(["python", "-c", HOLD], stdin=subprocess.PIPE, **started) as holder,
        subprocess.Popen(["snakemake", "--cores", "1"], **started) as run,
    ):
        assert holder.stdout.readline() == "held\n"
        while run.poll() is None and "waiting for another DVC command" not in (log.read_text() if log.exists() else ""):
            time.sleep(0.1)
        assert run.poll() is None, run.stdout.read()
        holder.communicate("\n")
        run.communicate()
    assert run.returncode == 0
    copy.quiet()


def test_a_cache_that_is_gone_is_filled_again(copy, tmp_path):
    copy.run("rm -rf .dvc/cache")
    assert "version_artifacts" in copy.run("snakemake -n")
    assert copy.planned() == {}
    copy.run("snakemake --cores 1")
    copy.quiet()
    copy.run(f"dvc remote add -q -f -d new {tmp_path}/remote && dvc push -q && git commit -qam remote")
    other = colleague(copy, tmp_path / "c", "HEAD")
    other.run("dvc pull -q")
    other.quiet()


# 9 Flags


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ("-n --workflow-profile none", "leave the profile in force"),
        ("-n --rerun-triggers mtime params code", "leave the profile in force"),
        ("-n --directory {tmp}", "without --directory"),
        ("--list-changes params", "`snakemake -n` names it"),
        ("--lp", "`snakemake -n` names it"),
    ],
)
def test_flags_that_would_mislead_are_refused_in_one_line(small, tmp_path, flags, words):
    output = small.run(f"snakemake {flags.format(tmp=tmp_path)}; echo status $?")
    assert words in output
    assert "status 1" in output
    assert "Traceback" not in output
    assert len([line for line in output.splitlines() if words in line]) == 1


def test_summaries_say_what_is_fresh(small):
    rows = [line.split("\t") for line in small.run("snakemake --summary 2>/dev/null").splitlines()]
    table = {row[0]: row[rows[0].index("plan")] for row in rows[1:]}
    assert set(table.values()) == {"no update"}, table
    small.params(tune_lora__steps=9)
    rows = [line.split("\t") for line in small.run("snakemake --summary 2>/dev/null").splitlines()]
    small.run("git checkout -q params.yaml")
    table = {row[0]: row[rows[0].index("plan")] for row in rows[1:]}
    assert table[ADAPTERS] == "update pending"
    assert table[ANCHOR] == "no update"
    small.quiet()


# 10 What Snakemake is shown of what is fresh


REPORT = "artifacts/render_report/report.html"


def test_what_is_altered_far_above_a_fresh_target_is_made_again(copy):
    """All between them is fresh, and shown because it leads there; what does not is no job of the run."""
    path = copy.folder / "artifacts/sample_demonstrations/words/reference.parquet"
    before = path.read_bytes()
    flip(path)
    copy.run("rm -r .dvc/cache/recipes")  # or it would come back without a job
    output = copy.run(f"snakemake -n {REPORT}")
    assert copy.jobs(output) == {"sample_demonstrations": 1}
    assert "reference.parquet is not as it was made" in output
    copy.run(f"snakemake --cores 2 {REPORT}")
    assert path.read_bytes() == before
    copy.quiet()


def test_a_run_of_a_part_is_told_of_all_that_is_fresh(small):
    small.params(aggregate_similarity__confidence=0.8)
    try:
        assert {"aggregate_similarity", "render_report"} <= small.planned().keys()
        for part in ("--omit-from prepare_dataset", "--until compare_hidden_states"):
            output = small.run(f"snakemake -n {part}")
            assert small.jobs(output).keys() <= {"version_artifacts"}, output
    finally:
        small.run("git checkout -q params.yaml")


def test_graphs_and_reports_have_the_jobs_that_are_fresh(small):
    assert small.run("snakemake --dag 2>/dev/null").count("tune_lora") == 2


# 11 Names, and clones that share a cache

ENDS = {"version_artifacts", "all", "all_sources"} | {f"all_{stage}" for stage in STAGES}


def ran(output):
    """Rules of which a run had jobs."""
    return set(re.findall(r"^(?:local)?rule (\w+):", output, re.MULTILINE))


@pytest.mark.parametrize("engine", ENGINES)
def test_a_new_name_makes_nothing_anew(copy, engine):
    before = metrics(copy)
    copy.params(models={"uno": STUDY["models"]["one"]}, datasets={"texts": STUDY["datasets"]["words"]})
    assert ran(copy.run(engine)) <= {"aggregate_similarity", "render_report", *ENDS}
    copy.quiet()
    assert metrics(copy)["uno"]["texts"] == before["one"]["words"]


def test_clones_that_share_a_cache_share_the_work(copy, small, tmp_path):
    other = colleague(small, tmp_path / "c", "HEAD")
    other.run(f"dvc cache dir --local {copy.folder}/.dvc/cache && rm dvc.lock")
    output = other.run("snakemake --cores 2")
    assert ran(output) <= ENDS
    other.quiet()
    assert other.run("git diff --stat -- dvc.lock") == ""


# 12 What it costs


def test_notes_do_not_grow_with_dry_runs(small):
    small.run("snakemake -n")
    small.params(tune_lora__steps=5)
    small.run("snakemake -n")
    before = sorted(str(path) for path in (small.folder / ".snakemake").rglob("*") if "log" not in path.parts)
    for _ in range(2):
        small.run("snakemake -n")
    after = sorted(str(path) for path in (small.folder / ".snakemake").rglob("*") if "log" not in path.parts)
    small.run("git checkout -q params.yaml")
    assert after == before


# What a search for holes found


def test_the_order_of_labels_is_content(copy, right):
    labels = {"negative": "negative", "positive": "positive"}
    copy.params(datasets={"words": {**STUDY["datasets"]["words"], "labels": labels}}, factors={"labels": ["random"]})
    assert copy.planned()["prepare_dataset"] == 1
    copy.run("snakemake --cores 2")
    copy.quiet()
    assert right(copy)


def test_which_file_of_a_model_has_which_name_is_content(copy, tiny_folder):
    shutil.copytree(tiny_folder, copy.folder / "model")
    shutil.copy(copy.folder / "model/config.json", copy.folder / "model/config_b.json")
    copy.params(models={"one": {"source": "local", "path": "model", "device": "cpu"}})
    copy.run("snakemake --cores 2")
    copy.run("mv model/config.json model/config.a.json && mv model/config_b.json model/config.json")
    assert copy.planned()["prepare_model"] == 1


def test_what_another_study_accepts_is_not_accepted_here(copy, tmp_path):
    copy.params(counts_as={"torch": "2.12"})
    copy.run("snakemake --cores 2 && git checkout -q params.yaml")
    (tmp_path / "site").mkdir()
    (tmp_path / "site/sitecustomize.py").write_text(UPGRADE.replace("2.99.1", "2.12.0"))
    copy.environment["PYTHONPATH"] = str(tmp_path / "site")
    output = copy.run("snakemake -n")
    assert "was made with torch 2.13" in output
    assert f"{ANCHOR}: would come from DVC's cache" not in output


def test_forgetting_sets_other_peoples_files_aside(copy):
    (copy.folder / "artifacts/render_report/figures/mine.svg").write_text("mine")
    copy.run("make forget TARGET=./artifacts/render_report/report.html")
    assert (copy.folder / "aside/artifacts/render_report/figures/mine.svg").read_text() == "mine"
    copy.run("snakemake --cores 1")
    copy.quiet()


def test_what_came_back_after_a_kill_is_not_made_again(copy):
    copy.params(tune_lora__steps=400)
    kill_when(copy, lambda: list((copy.folder / ".snakemake/plan").glob("*.begun")))
    copy.run("git checkout -q params.yaml")
    assert ran(copy.run("snakemake --cores 2")) <= ENDS
    copy.quiet()


def kill_when(clone, ready):
    """Start a run and kill it, and all that it started, as soon as something is so."""
    with subprocess.Popen(
        ["snakemake", "--cores", "1"], cwd=clone.folder, env=clone.environment, start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    ) as process:  # fmt: skip
        while process.poll() is None and not ready():
            time.sleep(0.01)
        os.killpg(process.pid, signal.SIGKILL)
    time.sleep(1)


def test_settings_are_read_as_dvc_reads_them_and_other_stages_left_alone(copy):
    path = copy.folder / "params.yaml"
    path.write_text(path.read_text().replace("learning_rate: 0.002", "learning_rate: 2e-3"))
    copy.run("dvc stage add -q -n note -d artifacts/aggregate_similarity/metrics.json -o note.json 'cp $PWD/"
             "artifacts/aggregate_similarity/metrics.json note.json'")  # fmt: skip
    copy.run("git add -A && git commit -qm note")
    assert copy.planned() == {}


def test_a_new_module_needs_no_command_of_its_own(copy):
    (copy.folder / "workflow_scripts/lib/helper.py").write_text("X = 1\n")
    path = copy.folder / "workflow_scripts/lib/results/statistics.py"
    path.write_text(path.read_text() + "\nfrom workflow_scripts.lib import helper\n")
    copy.run("snakemake --cores 2")
    copy.quiet()
    assert "workflow_scripts/lib/helper.py" in (copy.folder / "dvc.yaml").read_text()


@pytest.mark.parametrize("path", ["artifacts/mine/words.csv", "${x}.csv"])
def test_data_where_it_cannot_lie_is_refused_in_one_line(copy, path):
    copy.params(datasets={"words": {**STUDY["datasets"]["words"], "pool": path}})
    output = copy.run("snakemake -n; echo status $?")
    assert f"{path}: data and models lie outside artifacts/" in output
    assert "status 1" in output
    assert "Traceback" not in output


def test_a_pattern_that_looks_in_the_projects_own_folder_is_refused_in_one_line(copy):
    copy.params(datasets={"words": {**STUDY["datasets"]["words"], "pool": "*.csv"}})
    output = copy.run("snakemake -n; echo status $?")
    assert "params.yaml: .: holds artifacts/; files of a pattern need a folder of their own" in output
    assert "status 1" in output


def test_braces_in_a_path_are_its_own(copy):
    shutil.copy(copy.folder / "words.csv", copy.folder / "words {x} [1] *.csv")
    copy.params(datasets={"words": {**STUDY["datasets"]["words"], "pool": "words {x} [1] *.csv"}})
    copy.run("snakemake --cores 2")
    copy.quiet()
