"""States put into a run of another, against forwards written by hand, and the stage on a tiny model."""

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
import yaml

from tests.cell import DRAWS, QUERIES, Made, make, patch
from tests.conftest import ROOT, tiny_config
from workflow_scripts import patch_hidden_states as stage
from workflow_scripts.lib.arms import ANCHOR, ICL, IT
from workflow_scripts.lib.artifacts.states import open_states
from workflow_scripts.lib.artifacts.tables import ArtifactError
from workflow_scripts.lib.data.sets import read_sets
from workflow_scripts.lib.data.sources import WorldDataset
from workflow_scripts.lib.forward import reader as reading
from workflow_scripts.lib.forward import runner
from workflow_scripts.lib.forward.allowed import found_ways
from workflow_scripts.lib.forward.patch import read_patched, states_put
from workflow_scripts.lib.forward.reader import Reader
from workflow_scripts.lib.forward.shared_prefix import encoded
from workflow_scripts.lib.forward.ways import Ways, last_states
from workflow_scripts.lib.models.load import random_model
from workflow_scripts.lib.models.sources import LocalModel
from workflow_scripts.lib.patching.measures import ACCURACY, AGREEMENT
from workflow_scripts.lib.patching.patches import OWN_DIRECTION, OWN_STATE, PATCHES
from workflow_scripts.lib.patching.settings import LayerError
from workflow_scripts.lib.study.preflight import check
from workflow_scripts.lib.study.settings import check_study

pytestmark = pytest.mark.stage
LABELS = [[5], [6], [7, 8, 9]]
IDS = [3, 40, 11, 27, 90, 14]


def two_layers(architecture):
    """A random model of two layers in float64, and what its forward is made of: embed, blocks, norm, head."""
    from transformers import Gemma3TextConfig, GPT2Config, LlamaConfig

    sizes = {"vocab_size": 100, "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2}
    heads = {"num_attention_heads": 4, "num_key_value_heads": 2}
    config = {
        "llama": LlamaConfig(**sizes, **heads),
        "gpt2": GPT2Config(vocab_size=100, n_embd=16, n_layer=2, n_head=4),
        "gemma3": Gemma3TextConfig(**sizes, **heads, head_dim=8, sliding_window=64),
    }[architecture]
    torch.manual_seed(1)
    return random_model(config, seed=0).double().eval()


def by_hand(model, ids, layer, state, at):
    """Logits of every token where the state at a layer is another in one place: a loop over blocks, nothing shared."""
    blocks = model.transformer.h if hasattr(model, "transformer") else model.model.layers
    norm = model.transformer.ln_f if hasattr(model, "transformer") else model.model.norm
    inputs = []

    def keep(_, args, kwargs):
        inputs.append((args, kwargs))

    hooks = [block.register_forward_pre_hook(keep, with_kwargs=True) for block in blocks]
    with torch.no_grad():
        model(torch.tensor([ids]), use_cache=False)
        [hook.remove() for hook in hooks]
        hidden = inputs[0][0][0].clone()
        for number, (block, (args, kwargs)) in enumerate(zip(blocks, inputs, strict=True)):
            if number == layer:
                hidden[0, at] = state
            out = block(hidden, *args[1:], **kwargs)
            hidden = out[0] if isinstance(out, tuple) else out
        hidden = norm(hidden)
        if layer == len(blocks):
            hidden[0, at] = state
        return model.lm_head(hidden)[0]


def at(number, count):
    return torch.full((count,), number)


ARCHITECTURES = ["llama", "gpt2", "gemma3"]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("layer", [0, 1, 2])
@pytest.mark.parametrize("shared", [True, False])
def test_a_run_goes_on_from_the_state_as_a_forward_by_hand_does(architecture, layer, shared):
    model = two_layers(architecture)
    states = torch.randn(3, 16, dtype=torch.float64)
    ways = found_ways(model) if shared else Ways(hooks=True, batching=True)
    assert ways.sharing == shared
    past = encoded(model, IDS[:-1], len(IDS)) if shared else None
    run = [IDS[-1:] if shared else IDS] * 3
    with torch.no_grad(), states_put(model, at(layer, 3), at(len(run[0]) - 1, 3), states):
        _, logits = last_states(model, ways, past, run)
    expected = torch.stack([by_hand(model, IDS, layer, state, -1)[-1] for state in states])
    assert (logits - expected).abs().max() < 1e-10
    plain = model(torch.tensor([IDS])).logits[0, -1]
    assert (expected - plain).abs().max() > 1e-3


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("tokens", [1, 4, 512])
def test_labels_are_scored_after_the_state_whatever_the_layers_and_batches(architecture, tokens):
    model = two_layers(architecture)
    states, layers = torch.randn(6, 16), torch.tensor([0, 2, 1, 1, 0, 2])
    reader = Reader(model, LABELS, tokens_per_batch=tokens)
    read = read_patched(reader, IDS[:3], IDS[3:], layers, states)
    assert read.states.numel() == 0
    for state, layer, found in zip(states, layers, read.label_log_probs, strict=True):
        for label, score in zip(LABELS, found, strict=True):
            logits = by_hand(model, [*IDS, *label[:-1]], layer, state.double(), len(IDS) - 1)
            log_probs = logits[len(IDS) - 1 :].log_softmax(-1)
            assert score == pytest.approx(log_probs[torch.arange(len(label)), label].sum().item(), abs=1e-5)


def test_every_run_keeps_its_own_state_when_memory_does_not_hold_the_batch(monkeypatch):
    def small(model, ways, past, queries, span):
        if len(queries) > 2:
            raise torch.OutOfMemoryError
        return last_states(model, ways, past, queries, span)

    model, states = two_layers("llama"), torch.randn(5, 16)
    reader = Reader(model, LABELS, tokens_per_batch=512)
    expected = read_patched(reader, IDS[:3], IDS[3:], at(1, 5), states).label_log_probs
    monkeypatch.setattr(reading, "last_states", small)
    assert torch.allclose(read_patched(reader, IDS[:3], IDS[3:], at(1, 5), states).label_log_probs, expected, atol=1e-5)


def test_the_model_is_as_before_when_the_block_ends():
    model = two_layers("llama")
    before = model(torch.tensor([IDS])).logits
    with pytest.raises(RuntimeError), states_put(model, at(1, 1), at(0, 1), torch.randn(1, 3)):
        model(torch.tensor([IDS]))
    assert torch.equal(model(torch.tensor([IDS])).logits, before)


# The stage


@pytest.fixture(scope="module")
def source(tmp_path_factory, tokenizer):
    """A random model of weights so large that its answers differ from query to query."""
    config = tiny_config("llama", len(tokenizer))
    config.initializer_range = 0.5
    folder = tmp_path_factory.mktemp("models") / "loud"
    random_model(config, seed=0).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return LocalModel(source="local", path=folder)


@pytest.fixture(scope="module")
def cell(tmp_path_factory, source):
    """A cell with its patched runs."""
    at = make(Made(tmp_path_factory.mktemp("patch")), source)
    patch(at)
    return at


def table(at):
    return pq.read_table(at.patched).to_pandas()


def predicted(at, arm):
    """Labels that an arm predicts: [draws, queries]."""
    with open_states(at.states("reference", arm)) as file:
        sets = [each.set.id for each in read_sets(at.sets("reference"))] if arm.given else [None]
        return np.stack([file.label_log_probs(one).argmax(1) for one in sets])


def gold(at):
    with open_states(at.states("reference", ANCHOR)) as file:
        return file.columns(None, ["label"])["label"].to_numpy()


def of(rows, measure, arm, which, layer):
    some = rows[(rows.measure == measure.name) & (rows.other == arm.name) & (rows.match == which.name)]
    return some[some.layer == layer].sort_values("draw").value.to_numpy()


@pytest.mark.parametrize("arm", [ICL, IT], ids=lambda arm: arm.name)
def test_the_arms_last_state_gives_the_arms_answers(cell, arm):
    rows = table(cell)
    last = rows.layer.max()
    assert of(rows, AGREEMENT, arm, OWN_STATE, last).tolist() == [1.0] * DRAWS
    right = (predicted(cell, arm) == gold(cell)).mean(axis=1)
    assert of(rows, ACCURACY, arm, OWN_STATE, last) == pytest.approx(right)
    assert (predicted(cell, arm) != predicted(cell, ANCHOR)).any()
    assert len(np.unique(predicted(cell, arm))) > 1


@pytest.mark.parametrize("arm", [ICL, IT], ids=lambda arm: arm.name)
def test_embeddings_are_the_anchors_and_so_are_the_answers(cell, arm):
    """Of this model without absolute positions; and what a tuned model embeds is not tuned."""
    rows = table(cell)
    anchor = predicted(cell, ANCHOR)
    assert of(rows, AGREEMENT, arm, OWN_STATE, 0) == pytest.approx((anchor == predicted(cell, arm)).mean(axis=1))
    for which in (OWN_STATE, OWN_DIRECTION):
        assert of(rows, ACCURACY, arm, which, 0) == pytest.approx([(anchor == gold(cell)).mean()] * DRAWS)


def test_every_layer_arm_patch_and_draw_has_its_rows(cell):
    rows = table(cell)
    assert set(rows.one) == {ANCHOR.name}
    assert set(rows.level) == {"reference"}
    counts = rows.groupby(["measure", "layer", "other", "match", "draw"]).size()
    assert set(counts) == {1}
    assert len(counts) == 4 * 4 * 2 * len(PATCHES) * DRAWS
    assert set(rows.queries + rows.excluded) == {QUERIES}


def test_chosen_layers_and_patches_are_the_same_as_among_all(cell, tmp_path):
    rows = table(cell)
    target = tmp_path / "some.parquet"
    patch(cell, target=target, layers=[2], patches=[OWN_DIRECTION.name])
    some = pq.read_table(target).to_pandas()
    every = rows[(rows.layer == 2) & (rows.match == OWN_DIRECTION.name)].reset_index(drop=True)
    assert some.equals(every)


def test_how_many_layers_are_patched_at_a_time_changes_nothing(cell, tmp_path, monkeypatch):
    reads = []
    monkeypatch.setattr(stage, "read_patched", lambda *given: reads.append(given) or read_patched(*given))
    for at_once in (2**28, 2 * 4 * 2 * QUERIES * 32 * 2, 1):  # all four layers, two, one: arms, patches, draws, ..., d
        monkeypatch.setattr(stage, "VALUES_AT_ONCE", at_once)
        patch(cell, target=tmp_path / "again.parquet")
        assert pq.read_table(tmp_path / "again.parquet").to_pandas().equals(table(cell))
    assert len(reads) == QUERIES * (1 + 2 + 4)


def test_a_layer_that_there_is_not_is_refused(cell, tmp_path):
    with pytest.raises(
        LayerError, match=r"patch_hidden_states\.layers: no states of layer 4; there are those of layers 0 to 3"
    ):
        patch(cell, target=tmp_path / "none.parquet", layers=[1, 4])


def test_a_layer_that_there_is_not_is_named_before_anything_runs():
    content = yaml.safe_load((ROOT / "params.yaml").read_text())
    for name in ("models", "datasets"):
        content[name] = dict([next(iter(content[name].items()))])
    content |= {"factors": {"shots": [1]}, "arms": ["anchor", "icl", "it"]}
    content["patch_hidden_states"]["layers"] = [0, 9]
    (line,) = check(check_study(content, "params.yaml")).errors
    assert line == "models.pocket: patch_hidden_states.layers: no states of layer 9; there are those of layers 0 to 4"


def test_states_of_another_prompt_are_refused(cell, tmp_path, source):
    other = Made(tmp_path / "other")
    data = WorldDataset(source="world", task="sentiment")
    make(other, source, data=data, arms=(ANCHOR.name,), repeats=())
    with pytest.raises(ArtifactError, match="is not what the prepared data set and model give"):
        patch(cell, target=tmp_path / "none.parquet", anchor=other.states("reference", ANCHOR))


def test_a_model_whose_layers_cannot_be_reached_has_no_rows(cell, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(runner, "found_ways", lambda model: Ways(hooks=False, batching=True))
    target = tmp_path / "none.parquet"
    patch(cell, target=target)
    assert pq.read_table(target).num_rows == 0
    assert "LlamaForCausalLM: its layers cannot be given other states, so nothing is patched" in capsys.readouterr().err
