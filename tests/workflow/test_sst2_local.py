"""The ready-made study of real data on a real checkpoint, made smaller, with the paths that a user would set."""

import json
import shutil

import pytest

from tests.workflow.conftest import ROOT

pytestmark = pytest.mark.workflow


def test_real_data_and_a_real_model_by_settings_alone(clone, outside):
    data, checkpoint = outside("data/sst2"), outside("checkpoints/stories260K")
    shutil.copy(ROOT / "studies/sst2-local.yaml", clone.folder / "params.yaml")
    path = clone.folder / "params.yaml"
    text = path.read_text().replace("/path/to/model", str(checkpoint)).replace("data/sst2", str(data))
    path.write_text(text)
    clone.params(draws=2, queries=12, factors={"shots": [1, 2]}, tune_lora__steps=3)
    before = {path.name for folder in (data, checkpoint) for path in folder.iterdir()}
    clone.run("snakemake --cores 2")
    assert {path.name for folder in (data, checkpoint) for path in folder.iterdir()} == before
    metrics = json.loads((clone.folder / "artifacts/aggregate_similarity/metrics.json").read_text())
    assert set(metrics) == {"local", "local-untrained"}
    assert metrics["local"]["sst2"]["adapters_not_moved"] == 0
    assert 0 < metrics["local"]["sst2"]["cosine"]["anchor_it"] < 1
    assert "Nothing to be done" in clone.run("snakemake -n")
