"""How many tokens are tuned at once, from memory that is seen to be taken."""

import pytest
import torch
from transformers import LlamaConfig

from tests.stage.test_lora import TUNING, random_cases, varied
from workflow_scripts.lib import machine
from workflow_scripts.lib.data.prompts import Completion
from workflow_scripts.lib.lora.config import fresh_weights
from workflow_scripts.lib.lora.memory import LEAST, MOST_TOKENS, free_bytes, kept_bytes, taught_at_once, tokens_at_once
from workflow_scripts.lib.lora.stack import Stack
from workflow_scripts.lib.lora.targets import is_linear
from workflow_scripts.lib.lora.train import tune
from workflow_scripts.lib.models.blocks import decoder_blocks
from workflow_scripts.lib.models.weights import random_model

pytestmark = pytest.mark.stage
AUTO = varied(tokens_per_batch="auto")
EXAMPLES = [Completion([1, 2, 3], [4]), Completion(list(range(1, 33)), [4])]


def stacked(layers=2):
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_attention_heads": 2, "num_key_value_heads": 1}
    model = random_model(LlamaConfig(vocab_size=64, num_hidden_layers=layers, **sizes), seed=0).eval()
    return Stack(model, fresh_weights(model, TUNING, [0, 1]), 1.0)


def test_what_is_kept_grows_by_the_layer():
    one, two, three = (kept_bytes(stacked(layers), EXAMPLES) for layers in (1, 2, 3))
    assert three - two == pytest.approx(two - one, rel=0.02)
    width, feed_forward = 32, 64
    assert two - one > 4 * (4 * width + 2 * feed_forward)  # what each norm, product and activation goes back by


def test_nothing_is_left_behind_by_looking():
    stack = stacked()
    kept_bytes(stack, EXAMPLES)
    assert all(one.grad is None for one in stack.weights.values())
    assert all(not module._forward_hooks for module in stack.base.modules())


def test_a_share_of_memory_bounds_a_batch_and_the_log_says_so(monkeypatch, capsys):
    stack = stacked()
    monkeypatch.setattr(machine, "share", lambda threads: machine.LIBRARIES + 10 * 2**20)
    tokens = tokens_at_once(stack, EXAMPLES, AUTO)
    assert LEAST < tokens < MOST_TOKENS
    assert 1.5 * tokens * kept_bytes(stack, EXAMPLES) == pytest.approx(free_bytes(stack), rel=0.02)
    assert f"tuning in batches of {tokens} tokens (`tokens_per_batch: auto`)" in capsys.readouterr().err


def test_no_more_are_taken_than_gain_something(monkeypatch):
    monkeypatch.setattr(machine, "share", lambda threads: 2**40)
    assert tokens_at_once(stacked(), EXAMPLES, AUTO) == MOST_TOKENS


def test_a_number_in_the_settings_settles_it(monkeypatch):
    monkeypatch.setattr(machine, "share", lambda threads: 0)
    assert tokens_at_once(stacked(), EXAMPLES, varied(tokens_per_batch=77)) == 77
    assert taught_at_once(77) == 77
    assert taught_at_once("auto") == MOST_TOKENS


def test_too_little_memory_is_tried_all_the_same(monkeypatch):
    monkeypatch.setattr(machine, "share", lambda threads: 0)
    assert tokens_at_once(stacked(), EXAMPLES, AUTO) == LEAST


def test_the_threads_of_the_job_say_its_share(monkeypatch):
    asked = []
    monkeypatch.setattr(machine, "share", lambda threads: asked.append(threads) or 2**40)
    free_bytes(stacked())
    assert asked == [torch.get_num_threads()]


def test_blocks_that_run_again_on_the_way_back_give_the_same_adapters(tiny_model):
    runs, forwards = [], []
    (block, *_) = decoder_blocks(tiny_model)
    linear = next(one for one in block.modules() if is_linear(one))
    hook = linear.register_forward_hook(lambda *given: runs.append(1))
    made = []
    for recompute in (False, True):
        runs.clear()
        made.append([*tune(tiny_model, random_cases((2, 3)), varied(steps=3, recompute=recompute))])
        forwards.append(len(runs))
    hook.remove()
    for one, other in zip(*made, strict=True):
        assert one.losses == other.losses
        assert all(torch.equal(one.weights[name], other.weights[name]) for name in one.weights)
    assert forwards[1] > 1.5 * forwards[0]
    assert "forward" not in vars(block)


def test_more_tokens_fit_where_blocks_run_again(monkeypatch):
    monkeypatch.setattr(machine, "share", lambda threads: machine.LIBRARIES + 10 * 2**20)
    kept, again = (
        tokens_at_once(stacked(8), EXAMPLES, varied(tokens_per_batch="auto", recompute=r)) for r in (False, True)
    )
    assert again > 2 * kept
