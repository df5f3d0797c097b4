"""Queries on a shared prefix where prompts exceed the window that layers attend to, against each prompt whole."""

from dataclasses import replace

import pytest
import torch
import transformers

from tests import reference
from tests.stage.test_hidden_states import ROTARY, assert_equal_to_each_prompt_alone, random_ids
from workflow_scripts.lib.forward import reader as reading
from workflow_scripts.lib.forward.patch import read_patched
from workflow_scripts.lib.forward.reader import Reader
from workflow_scripts.lib.forward.shared_prefix import FrozenWindow
from workflow_scripts.lib.models.weights import random_model

pytestmark = pytest.mark.stage
WINDOW, MORE = 8, 2
LABELS = [[50], [60, 61], [60, 62, 63]]
SOME = ["sliding_attention", "full_attention", "sliding_attention"]
CONFIGS = {
    "gemma2": transformers.Gemma2Config(**ROTARY, head_dim=8, sliding_window=WINDOW, layer_types=SOME),
    "gemma3": transformers.Gemma3TextConfig(**ROTARY, head_dim=8, sliding_window=WINDOW, layer_types=SOME),
    "mistral": transformers.MistralConfig(**ROTARY, sliding_window=WINDOW),
    "gpt-oss": transformers.GptOssConfig(
        **{**ROTARY, "num_hidden_layers": 2},
        head_dim=8,
        sliding_window=WINDOW,
        num_local_experts=4,
        num_experts_per_tok=2,
        rope_parameters={"rope_type": "default", "rope_theta": 10_000.0},
    ),
    "qwen2": transformers.Qwen2Config(**ROTARY, use_sliding_window=True, sliding_window=WINDOW, max_window_layers=1),
    "qwen3": transformers.Qwen3Config(
        **ROTARY, head_dim=8, use_sliding_window=True, sliding_window=WINDOW, max_window_layers=1
    ),
    "llama4, chunks": transformers.Llama4TextConfig(
        **{**ROTARY, "num_hidden_layers": 4}, head_dim=8, attention_chunk_size=WINDOW, num_local_experts=2,
        intermediate_size_mlp=64,
    ),
}  # fmt: skip
LENGTHS = (1, WINDOW - 1, WINDOW, WINDOW + 1, 3 * WINDOW)


def made(name):
    model = random_model(CONFIGS[name], seed=0).eval()
    for module in model.modules():
        if hasattr(module, "sinks"):  # zeros as they start would hardly show
            torch.nn.init.normal_(module.sinks, generator=torch.Generator().manual_seed(0))
    return model


@pytest.fixture(scope="module", params=CONFIGS)
def model(request):
    return made(request.param)


@pytest.fixture(scope="module")
def reader(model):
    return Reader(model, LABELS, tokens_per_batch=60)


@pytest.mark.parametrize("before", [1, WINDOW - 1, WINDOW, 3 * WINDOW + 1])
def test_states_past_the_window_equal_those_of_each_prompt_alone(model, reader, before):
    (prefix,), queries = random_ids(before), random_ids(*LENGTHS)
    assert reader.ways.folding
    assert reader.split(prefix, queries, MORE)[0].windowed
    folded = reader.read(prefix, queries)
    assert_equal_to_each_prompt_alone(model, prefix, queries, folded)
    copied = Reader(model, LABELS, tokens_per_batch=60)
    copied.ways = replace(copied.ways, folding=False)
    read = copied.read(prefix, queries)
    assert ((read.states - folded.states).norm(dim=-1) <= 1e-5 * folded.states.norm(dim=-1)).all()
    assert torch.allclose(read.label_log_probs, folded.label_log_probs, atol=1e-4)


def test_only_what_the_window_shows_of_the_prefix_is_met(model, reader):
    (prefix,), queries = random_ids(3 * WINDOW), random_ids(3, 5)
    past, _ = reader.split(prefix, queries, MORE)
    kept = {layer.keys.shape[-2] for layer in past.frozen if not isinstance(layer, FrozenWindow)}
    assert {layer.prefix[0].shape[-2] for layer in past.frozen if isinstance(layer, FrozenWindow)} == {WINDOW - 1}
    assert kept <= {3 * WINDOW}


def test_states_put_into_runs_past_the_window_are_answered_as_in_whole_prompts(model, reader):
    prefix, query = random_ids(2 * WINDOW, 5)
    states = torch.randn(4, 32, generator=torch.Generator().manual_seed(0))
    layers = torch.tensor([0, 1, 2, 1])
    whole = Reader(model, LABELS, tokens_per_batch=60)
    whole.ways = replace(whole.ways, sharing=False, folding=False, windows=False)
    found, expected = (read_patched(one, prefix, query, layers, states) for one in (reader, whole))
    assert torch.allclose(found.label_log_probs, expected.label_log_probs, atol=1e-4)
    assert torch.equal(found.top_token, expected.top_token)


@pytest.mark.parametrize("before", [0, WINDOW + 3])
def test_answers_past_the_window_are_those_of_whole_prompts(model, reader, before, monkeypatch):
    (prefix,), queries = random_ids(before), random_ids(9, 2, 9, 4, 9)
    monkeypatch.setattr(reading, "Whole", pytest.fail)
    written = reader.write(prefix, queries, lambda text: False, most=5)
    expected = [reference.written(model, prefix + ids, 5) for ids in queries]
    end = model.config.eos_token_id
    assert written == [text[: text.index(end)] if end in text else text for text in expected]


def test_a_window_that_is_seen_otherwise_is_not_used(monkeypatch, capsys):
    """One key too many would show nothing of itself: all shapes are right."""
    whole = FrozenWindow.get_mask_sizes

    def shifted(self, query_length):
        count, first = whole(self, query_length)
        return count, first + 1

    monkeypatch.setattr(FrozenWindow, "get_mask_sizes", shifted)
    model = made("gemma3")
    reader, (prefix, *queries) = Reader(model, LABELS, tokens_per_batch=60), random_ids(2 * WINDOW, 3, 9)
    assert reader.ways.sharing
    assert not reader.ways.windows
    assert_equal_to_each_prompt_alone(model, prefix, queries, reader.read(prefix, queries))
    assert f"whole prompts: {2 * WINDOW + 9 + MORE} tokens exceed the window" in capsys.readouterr().err


def test_without_a_window_there_is_nothing_to_try(tiny_model):
    assert not Reader(tiny_model, LABELS, tokens_per_batch=60).ways.windows
