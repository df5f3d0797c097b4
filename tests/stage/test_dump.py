"""The stages of one small cell, one after the other, on a tiny model in two precisions."""

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from peft import PeftModel

from tests import reference
from tests.cell import ARMS, DRAWS, QUERIES, WORLD, Made, imported, make, other_task
from workflow_scripts.lib.arms import ANCHOR, ICL, IT, TUNED, arm_named, named
from workflow_scripts.lib.artifacts.provenance import ids_digest
from workflow_scripts.lib.artifacts.states import open_states
from workflow_scripts.lib.artifacts.states_format import COLUMNS, OF_LABELS
from workflow_scripts.lib.data.datasets import template_of
from workflow_scripts.lib.data.examples import read_examples
from workflow_scripts.lib.data.prompts import Prompts
from workflow_scripts.lib.data.sets import OtherTask, read_sets
from workflow_scripts.lib.data.shown import SHOWN, beside
from workflow_scripts.lib.models import load as models
from workflow_scripts.lib.models.sources import LocalModel
from workflow_scripts.lib.tuning.put_in import put_in

pytestmark = pytest.mark.stage
LEVEL = "reference"
REPEATS = ("anchor-alone", "anchor-float32")


def cell(folder, tiny_folder, dtype):
    return make(Made(folder), LocalModel(source="local", path=tiny_folder, dtype=dtype), repeats=REPEATS)


@pytest.fixture(scope="module")
def float32(tmp_path_factory, tiny_folder):
    return cell(tmp_path_factory.mktemp("float32"), tiny_folder, "float32")


@pytest.fixture(scope="module")
def bfloat16(tmp_path_factory, tiny_folder):
    return cell(tmp_path_factory.mktemp("bfloat16"), tiny_folder, "bfloat16")


def states(made, arm, set_id=None):
    with open_states(made.states(LEVEL, arm)) as file:
        return np.stack([file.states(set_id, layer) for layer in file.layers])


def relative(one, other):
    """Per layer, the mean length of the difference over that of the states."""
    return (np.linalg.norm(one - other, axis=-1) / np.linalg.norm(other, axis=-1)).mean(axis=1)


def prompts_of(made, of_another=False):
    data = read_examples(made.examples)
    told = {"another": read_examples(other_task(made)).wording} if of_another else {}
    return data, Prompts(models.load_model(made.weights).tokenizer, data.template, data.words, told)


def at_hand(made, prompts):
    return beside(
        OtherTask("another", read_examples(other_task(made))), read_examples(made.examples).queries, prompts.length
    )


def test_an_arm_has_a_row_group_for_every_set_it_is_given(float32):
    sets = [each.set.id for each in read_sets(float32.sets(LEVEL))]
    assert len(sets) == DRAWS
    for arm in named([*ARMS, *REPEATS]):
        with open_states(float32.states(LEVEL, arm)) as file:
            assert (file.arm, list(file.sets)) == (arm.name, sets if arm.given else [None])
        assert pq.read_table(float32.states(LEVEL, arm)).num_rows == QUERIES * (DRAWS if arm.given else 1)


def test_rows_say_what_was_asked_and_what_is_right(float32):
    data, prompts = prompts_of(float32)
    (first, *_) = read_sets(float32.sets(LEVEL))
    prefix = prompts.prefix(first.set.demonstrations)
    with open_states(float32.states(LEVEL, ICL)) as file:
        rows = file.columns(first.set.id, [*COLUMNS, *OF_LABELS]).to_pylist()
    assert len({one.label for one in data.queries}) > 1
    for query, row in zip(data.queries, rows, strict=True):
        ids = prompts.query(query.fields)
        assert row["query"] == query.id
        assert data.words[row["label"]] == query.label
        assert row["label_token_id"] == prompts.labels[query.label][0]
        assert row["prompt_tokens"] == ids_digest(prefix + ids)
        assert row["demonstration_tokens"] == ids_digest(prefix)
        assert row["token_id"] == ids[-1]
        assert row["token"] == prompts.tokenizer.decode([ids[-1]])
        written = [i for i, label in enumerate(prompts.labels.values()) if label == [row["top_token_id"]]]
        assert [row["open_label"]] == (written or [-1])


def asked_by_transformers(made, arm, each):
    """An arm's states as transformers itself gives them, [layer, query, d_model]."""
    data, prompts = prompts_of(made, arm.of_another)
    model = models.load_model(made.weights).model
    shown = SHOWN[arm.shows](each, at_hand(made, prompts)) if arm.shows else ()
    with put_in(model, made.adapters(LEVEL, arm.weights) / each.id if arm.weights else None) as parts:
        before = [] if parts else prompts.prefix(shown)
        asked = [before + prompts.query(one.fields) for one in data.queries]
        return torch.stack([reference.alone(model, ids, parts)[0] for ids in asked], dim=1).numpy()


def test_an_imported_adapter_is_what_peft_makes_of_it(float32):
    data, prompts = prompts_of(float32)
    model = PeftModel.from_pretrained(models.load_model(float32.weights).model, imported(float32)).eval()
    asked = [prompts.prefix() + prompts.query(one.fields) for one in data.queries]
    expected = torch.stack([reference.alone(model, ids)[0] for ids in asked], dim=1).numpy()
    assert (relative(states(float32, "imported"), expected) < 1e-5).all()
    assert relative(states(float32, ANCHOR), expected)[-1] > 1e-3


def test_the_length_control_has_the_sets_length_and_none_of_its_demonstrations(float32):
    (arm,) = (one for one in named(ARMS) if one.of_another)
    _, prompts = prompts_of(float32, of_another=True)
    for each in read_sets(float32.sets(LEVEL)):
        shown = SHOWN[arm.shows](each.set, at_hand(float32, prompts))
        own, other = (len(prompts.prefix(some)) for some in (each.set.demonstrations, shown))
        assert 0 <= own - other < min(map(prompts.length, shown))
        assert {one.task for one in shown} == {"another"}


@pytest.mark.parametrize("arm", [one for one in named(ARMS) if one.given], ids=lambda arm: arm.name)
def test_an_arm_is_what_its_prompt_shows_on_what_its_weights_are(float32, arm):
    for each in read_sets(float32.sets(LEVEL)):
        apart = relative(states(float32, arm, each.set.id), asked_by_transformers(float32, arm, each.set))
        assert (apart < 1e-5).all()


def test_no_two_arms_are_the_same(float32):
    (first, *_) = read_sets(float32.sets(LEVEL))
    every = [states(float32, arm, first.set.id if arm.given else None)[-1] for arm in named(ARMS)]
    for i, one in enumerate(every):
        assert all(relative(one[None], other[None]) > 1e-4 for other in every[:i])


def test_the_labels_unembedding_comes_with_the_states(float32):
    _, prompts = prompts_of(float32)
    model = models.load_model(float32.weights).model
    rows = model.lm_head.weight.detach().numpy()[[ids[0] for ids in prompts.labels.values()]]
    for arm in (ANCHOR, IT):
        with open_states(float32.states(LEVEL, arm)) as file:
            of_labels = file.label_unembedding()
        assert np.array_equal(of_labels.last, rows)
        assert of_labels.before_norm == pytest.approx(rows * model.model.norm.weight.detach().numpy(), abs=1e-4)


def test_in_float32_the_noise_is_rounding(float32):
    assert (relative(states(float32, REPEATS[0]), states(float32, ANCHOR)) < 1e-5).all()


def test_lower_precision_is_measured_against_the_same_weights_in_float32(bfloat16):
    model = models.load_model(bfloat16.weights).model
    assert model.dtype == torch.bfloat16
    exact = anchor_by_transformers(bfloat16, model.float())
    assert (relative(states(bfloat16, "anchor-float32"), exact) < 1e-5).all()
    apart = relative(states(bfloat16, ANCHOR), states(bfloat16, "anchor-float32"))
    assert apart[0] == 0  # embeddings are looked up
    assert (apart[1:] > 1e-4).all()


def anchor_by_transformers(made, model):
    data, prompts = prompts_of(made)
    assert data.template == template_of(WORLD)
    asked = [prompts.prefix() + prompts.query(one.fields) for one in data.queries]
    return torch.stack([reference.alone(model, ids)[0] for ids in asked], dim=1).numpy()


def test_adapters_of_other_seeds_start_elsewhere(float32):
    weights = dict.fromkeys(arm.weights for arm in named(ARMS) if arm.weights)
    tables = [pq.read_table(float32.adapters(LEVEL, one) / "tuning.parquet").to_pylist() for one in weights]
    assert [row["weights"] for rows in tables for row in rows] == [one.name for one in weights for _ in range(DRAWS)]
    tuned, reseeded, *imitations = [[row["seed"] for row in rows] for rows in tables]
    assert len({*tuned, *reseeded}) == 2 * DRAWS
    assert all(seeds == tuned for seeds in imitations)
    assert next(iter(weights)) == TUNED == arm_named("both").weights


def test_what_gpus_do_not_hold_in_float32_runs_on_the_cpu(bfloat16, monkeypatch, capsys):
    loaded = models.load_model(bfloat16.weights).model
    monkeypatch.setattr(type(loaded), "float", out_of_memory(type(loaded).float))
    asked, load = [], models.load_model
    monkeypatch.setattr(models, "load_model", lambda *args, **named: asked.append(named) or load(*args, **named))
    exact = models.in_float32(loaded, bfloat16.weights)
    assert exact.dtype == torch.float32
    assert asked == [{"device": "cpu"}]
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
