"""The stages of one small cell, one after the other, on a tiny model in two precisions."""

from types import SimpleNamespace

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from tests import reference
from tests.stage.test_lora import TUNING
from tests.stage.test_models import TRAINING
from workflow_scripts.compare_hidden_states import compare_hidden_states
from workflow_scripts.dump_hidden_states import dump_hidden_states
from workflow_scripts.lib import models
from workflow_scripts.lib.datasets import template_of
from workflow_scripts.lib.dumps import ALONE, ANCHOR, FLOAT32, Group, open_dump
from workflow_scripts.lib.examples import read_examples
from workflow_scripts.lib.prompts import Prompts
from workflow_scripts.lib.sources import LocalModel, WorldDataset
from workflow_scripts.prepare_dataset import prepare_dataset
from workflow_scripts.prepare_model import prepare_model
from workflow_scripts.sample_demonstrations import sample_demonstrations
from workflow_scripts.tune_lora import tune_lora

pytestmark = pytest.mark.stage
DATA = WorldDataset(source="world", task="topic")
QUERIES, DRAWS = 12, 2


def made_cell(folder, tiny_folder, dtype):
    """Every artifact of a cell with one level, two draws."""
    at = SimpleNamespace(**{name: folder / name for name in ("examples", "model", "draws", "adapters", "similarity")})
    at.anchor, at.states = folder / "anchor.parquet", folder / "states.parquet"
    prepare_dataset(dataset="topic", source=DATA, pool=20, queries=QUERIES, seed=0, examples=at.examples)
    prepare_model(source=LocalModel(source="local", path=tiny_folder, dtype=dtype), **TRAINING, model=at.model)
    reference = {"shots": 2, "labels": "gold"}
    draws = {"factor": "shots", "levels": [2], "reference": reference, "draws": DRAWS, "balanced": True, "seed": 0}
    sample_demonstrations(at.examples, dataset="topic", **draws, demonstrations=at.draws)
    template = template_of(DATA)
    tune_lora(at.draws, at.examples, at.model, template=template, **vars(TUNING), seed=0, adapters=at.adapters)
    asked = {"template": template, "tokens_per_batch": "auto"}
    dump_hidden_states(at.examples, at.model, **asked, states=at.anchor)
    cell = {"demonstrations": at.draws, "adapters": at.adapters}
    dump_hidden_states(at.examples, at.model, **asked, states=at.states, **cell)
    names = {"model": "m", "dataset": "topic", "factor": "shots"}
    tuning = at.adapters / "tuning.parquet"
    compare_hidden_states(at.anchor, at.states, tuning, **names, measures=["movement"], similarity=at.similarity)
    return at


@pytest.fixture(scope="module")
def float32(tmp_path_factory, tiny_folder):
    return made_cell(tmp_path_factory.mktemp("float32"), tiny_folder, "float32")


@pytest.fixture(scope="module")
def bfloat16(tmp_path_factory, tiny_folder):
    return made_cell(tmp_path_factory.mktemp("bfloat16"), tiny_folder, "bfloat16")


def states(path, group):
    with open_dump(path) as dump:
        return np.stack([dump.states(group, layer) for layer in range(dump.layers)])


def relative(one, other):
    """Per layer, the mean length of the difference over that of the states."""
    return (np.linalg.norm(one - other, axis=-1) / np.linalg.norm(other, axis=-1)).mean(axis=1)


def noise(cell, pair):
    rows = pq.read_table(cell.similarity).to_pandas()
    return rows[(rows.measure == "noise") & (rows.pair == pair) & (rows.layer == rows.layer.max())]["value"].mean()


def test_a_cell_holds_the_anchor_alone_and_both_arms_of_every_draw(float32):
    with open_dump(float32.states) as dump:
        arms = [Group(arm, "2", draw) for draw in range(DRAWS) for arm in ("icl", "it")]
        assert list(dump.row_groups) == [ALONE, *arms]
    with open_dump(float32.anchor) as dump:
        assert list(dump.row_groups) == [ANCHOR]
    assert pq.read_table(float32.states).num_rows == QUERIES * (2 * DRAWS + 1)


def test_in_float32_the_noise_is_rounding(float32):
    apart = relative(states(float32.states, ALONE), states(float32.anchor, ANCHOR))
    assert (apart < 1e-5).all()
    assert noise(float32, "anchor-icl") < 1e-4


def test_lower_precision_is_measured_against_the_same_weights_in_float32(bfloat16):
    model = models.load_model(bfloat16.model).model
    assert model.dtype == torch.bfloat16
    exact = anchor_by_transformers(bfloat16, model.float())
    assert (relative(states(bfloat16.anchor, FLOAT32), exact) < 1e-5).all()
    apart = relative(states(bfloat16.anchor, ANCHOR), states(bfloat16.anchor, FLOAT32))
    assert apart[0] == 0  # embeddings are looked up
    assert (apart[1:] > 1e-4).all()


def anchor_by_transformers(cell, model):
    """The anchor's states as transformers itself gives them, [layer, query, d_model]."""
    data, tokenizer = read_examples(cell.examples), models.load_model(cell.model).tokenizer
    prompts = Prompts(tokenizer, template_of(DATA), data.words)
    asked = [prompts.prefix() + prompts.query(one.fields) for one in data.queries]
    return torch.stack([reference.alone(model, ids)[0] for ids in asked], dim=1).numpy()


def test_noise_tells_bfloat16_from_float32(float32, bfloat16):
    for pair in ("anchor-icl", "anchor-it", "icl-it"):
        assert noise(bfloat16, pair) > 100 * noise(float32, pair)


def test_what_gpus_do_not_hold_in_float32_runs_on_the_cpu(bfloat16, monkeypatch, capsys):
    loaded = models.load_model(bfloat16.model).model
    monkeypatch.setattr(type(loaded), "float", out_of_memory(type(loaded).float))
    exact = models.in_float32(loaded, bfloat16.model)
    assert exact.dtype == torch.float32
    assert exact.device.type == "cpu"
    assert "the GPUs do not hold the model in float32" in capsys.readouterr().err


def out_of_memory(once):
    """A method that fails on its first call."""
    calls = []

    def method(self):
        calls.append(self)
        if len(calls) == 1:
            raise torch.OutOfMemoryError
        return once(self)

    return method
