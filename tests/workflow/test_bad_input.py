"""What cannot run is refused at the start, all of it at once, before anything is made."""

import pytest

pytestmark = pytest.mark.workflow


def test_wrong_settings_stop_snakemake_before_the_dag(clone):
    clone.params(draws=0, tune_lora__rank=3)
    output = clone.run("snakemake -n", check=False)
    clone.run("git checkout -q params.yaml")
    assert "draws: input should be greater than 0" in output
    assert "tune_lora.rank: unknown key" in output
    assert "Traceback" not in output


def test_unusable_data_and_models_stop_a_run_before_its_first_job(clone):
    template = {"query": "Review: {review}\nSentiment:"}
    local = {"source": "local", "format": "csv", "labels": {"0": "no", "1": "yes"}, "template": template}
    (clone.folder / "data.csv").write_text("text,label\na,0\nb,1\n")
    clone.params(
        models={
            "gone": {"source": "local", "path": "nowhere"},
            "random": {"source": "pocket", "untrained": True},
        },
        datasets={
            "lacking": {**local, "pool": "data.csv", "queries": "data.csv"},
            "gone": {**local, "pool": "nowhere.csv", "queries": "data.csv"},
            "tiny": {"source": "world", "task": "topic"},
            "unknown": {"source": "world", "task": "philosophy"},
        },
        factors={"shots": [16, 30]},
        tune_lora__target_modules=["nowhere"],
    )
    output = clone.run("snakemake --cores 1", check=False)
    made = (clone.folder / "artifacts").exists()
    clone.run("git checkout -q params.yaml; rm data.csv")
    for line in (
        "datasets.lacking: data.csv: rows lack review (columns are text, label)",
        "datasets.gone: nowhere.csv: no such file",
        "datasets.tiny: 30 shots are more than the pool's 20",
        "datasets.unknown: task 'philosophy' is not in the embedded world",
        "models.gone: nowhere: no such folder",
        "models.random: tune_lora.target_modules",
    ):
        assert line in output, output
    assert "nothing was started" in output
    assert not made


def test_a_prompt_longer_than_the_context(clone, tiny_folder):
    clone.params(
        models={"short": {"source": "local", "path": str(tiny_folder)}},
        factors={"shots": [2, 60]},
        prepare_dataset={"pool": 80},
    )
    output = clone.run("snakemake --cores 1", check=False)
    clone.run("git checkout -q params.yaml")
    assert "models.short with datasets.work-arbitrary: the longest prompt (shots-60" in output
    assert "the context holds 512" in output


def test_the_study_is_params_yaml_alone(clone):
    output = clone.run("snakemake -n --config draws=3", check=False)
    assert "The study is params.yaml and nothing else" in output
