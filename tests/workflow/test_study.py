"""A whole tiny study from two commands, and what each engine then says is left to do."""

import json

import nbformat
import pyarrow.parquet as pq
import pytest
from nbclient import NotebookClient

from benchmarks.study import differences

ON_A_TERMINAL = 'import pty, sys; sys.exit(pty.spawn(["snakemake", "--cores", "1"]) != 0)'
pytestmark = pytest.mark.workflow


def test_everything_is_made_once_and_then_nothing_is_left(study):
    assert study.jobs(study.first_output) == {
        "prepare_dataset": 1,
        "prepare_model": 1,
        "sample_demonstrations": 3,  # the reference and a level of each factor
        "tune_lora": 5,  # at the reference once more from another seed, and once to imitate
        "dump_hidden_states": 8 + 2 + 2,
        "compare_hidden_states": 3,
        "patch_hidden_states": 1,
        "aggregate_similarity": 1,
        "render_report": 1,
        "version_artifacts": 1,
    }
    assert study.run("git diff --stat -- dvc.yaml") == "", "commit the dvc.yaml that a run of Snakemake writes"
    assert "Nothing to be done" in study.run("snakemake --cores 2")
    assert "up to date" in study.run("dvc status")
    assert "up to date" in study.run("dvc repro")


def test_nothing_is_tuned_or_dumped_twice(study):
    """No arm and set have states, and no weights and set an adapter, in more than one place."""
    folder = study.folder / "artifacts"
    held = []
    for path in (folder / "dump_hidden_states").rglob("*.parquet"):
        rows = pq.read_table(path, columns=["arm", "set"]).group_by(["arm", "set"]).aggregate([]).to_pylist()
        held += [(row["arm"], row["set"]) for row in rows]
    assert len(set(held)) == len(held) == 2 + 2 * (6 + 2 + 2)  # anchors; draws of arms at each setting
    tuned = []
    for path in (folder / "tune_lora").rglob("tuning.parquet"):
        tuned += [tuple(row.values()) for row in pq.read_table(path, columns=["weights", "set", "seed"]).to_pylist()]
    assert len(set(tuned)) == len(tuned) == 2 * 5
    queries = pq.read_table(folder / "dump_hidden_states/random/work-arbitrary/reference/icl.parquet").num_rows
    assert queries == 2 * 10


def test_the_report_and_the_metrics_are_there(study):
    report = (study.folder / "artifacts/render_report/report.html").read_text()
    assert "work-arbitrary" in report
    assert "random" in report
    metrics = json.loads((study.folder / "artifacts/aggregate_similarity/metrics.json").read_text())
    assert set(metrics["random"]["work-arbitrary"]["accuracy"]) == {"anchor", "icl", "it"}
    told = study.run("dvc metrics show").splitlines()
    assert "anchor right" in told[0]
    assert "headline/random/work-arbitrary.json" in told[1]
    assert max(map(len, told)) < 250
    study.run("dvc plots show --json")


def test_the_notebook_draws_the_figure_and_the_states(study, monkeypatch):
    monkeypatch.setenv("PATH", study.environment["PATH"])
    folder = study.folder / "docs"
    notebook = nbformat.read(folder / "explore.ipynb", as_version=4)
    assert [cell for cell in notebook.cells if cell.get("outputs") or cell.get("execution_count")] == []
    NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(folder)}}).execute()
    shown = [output.get("data", {}) for cell in notebook.cells for output in cell.get("outputs", [])]
    table, figure, states = shown
    assert "work-arbitrary" in table["text/plain"]
    assert all(part in figure["image/svg+xml"] for part in ("interaction", "other-draw", "update cosine"))
    assert all(arm in states["image/svg+xml"] for arm in ("anchor", "ICL", "IT", "random, work-arbitrary"))


def test_the_numbers_are_those_of_the_same_study_as_one_plain_script(study):
    study.run("python -m benchmarks.usual_study --threads 1 --metrics .snakemake/usual.json")
    ours, theirs = (
        json.loads((study.folder / path).read_text())
        for path in ("artifacts/aggregate_similarity/metrics.json", ".snakemake/usual.json")
    )
    apart = differences(ours, theirs)
    assert any("update_cosine" in name for name in apart)
    assert max(apart.values()) < 1e-3, apart


def test_artifacts_name_no_path_of_this_machine(study):
    for path in (study.folder / "artifacts").rglob("*"):
        if path.is_file():
            assert str(study.folder).encode() not in path.read_bytes(), path


def test_another_run_gives_equal_bytes(study):
    before = (study.folder / "dvc.lock").read_text()
    study.run("mv artifacts made-before && mv dvc.lock lock-before && rm -rf .snakemake")
    study.run("snakemake --cores 1 --forceall")
    study.run("diff -r artifacts made-before && rm -r made-before lock-before")
    assert (study.folder / "dvc.lock").read_text() == before


def test_one_setting_reruns_what_it_touches_and_stands_beside_the_version_before(study):
    study.run("git add -A && git commit -qm before && git tag before")
    study.params(aggregate_similarity__confidence=0.9)
    assert study.jobs(study.run("snakemake -n")) == {
        "aggregate_similarity": 1,
        "render_report": 1,
        "version_artifacts": 1,
    }
    assert "Running stage 'aggregate_similarity'" in study.run("dvc repro")
    assert "up to date" in study.run("dvc status")
    assert "Nothing to be done" in study.run("snakemake -n")
    told = study.run("make compare A=before")
    assert "A: before    B: the working tree" in told
    assert "Settings that differ: 1\n  aggregate_similarity.confidence  0.95 -> 0.9\n" in told
    assert "Estimates that moved beyond both intervals: 0 of " in told  # narrower, about the same means
    assert "only in" not in told
    assert "git knows no such revision" in study.run("make compare A=nothing", check=False)


def test_an_edit_of_a_module_reruns_the_stages_that_import_it(study):
    path = study.folder / "workflow_scripts/lib/measures/on_states.py"
    path.write_text(path.read_text() + "\nUNUSED = 1\n")
    jobs = study.jobs(study.run("snakemake -n"))
    study.run("git checkout -q workflow_scripts")
    assert jobs["compare_hidden_states"] == 3
    assert "dump_hidden_states" not in jobs


def test_a_colleague_pulls_the_same_bytes(study, tmp_path):
    study.run(f"dvc remote add --force -d shared {tmp_path}/remote && dvc push -q && git add -A && git commit -qm made")
    study.run(f"git clone -q . {tmp_path}/colleague && cd {tmp_path}/colleague && dvc pull -q")
    study.run(f"diff -r --exclude .snakemake_timestamp artifacts {tmp_path}/colleague/artifacts")
    assert "up to date" in study.run(f"cd {tmp_path}/colleague && dvc status")


def test_a_job_that_fails_says_why_and_leaves_nothing_half_written(study):
    study.params(tune_lora__learning_rate=1e30, tune_lora__max_grad_norm=1e30, tune_lora__steps=5)
    output = study.run(f"python -c '{ON_A_TERMINAL}'", check=False)
    assert "jobs and 0 of 3 cells done, 1 running, 0 failed" in output
    assert "rule tune_lora:" not in output
    assert output.count("FAILED artifacts/tune_lora/random/work-arbitrary/") == 1
    assert output.count("lower tune_lora.learning_rate") == 1
    assert output.count("by hand: python -m workflow_scripts.tune_lora --") == 1
    assert not any(words in output for words in ("CalledProcessError", "Exiting because", "startup/warm.py"))
    told = study.run("make status")
    assert "The last one failed" in told
    assert "lower tune_lora.learning_rate" in told
    assert "params.yaml was edited" not in told
    assert not list((study.folder / "artifacts").rglob("*.tmp"))
    study.run("git checkout -q params.yaml")
    study.run("snakemake --cores 2")
    study.quiet()
