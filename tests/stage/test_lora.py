import json
from dataclasses import replace

import pytest
import torch
from peft import PeftModel, get_peft_model, get_peft_model_state_dict
from transformers import OPTConfig

from tests import reference
from workflow_scripts.lib.data.prompts import Completion
from workflow_scripts.lib.lora.apply import with_adapter
from workflow_scripts.lib.lora.config import (
    TunedAdapter,
    TuningError,
    adapter_config,
    fresh_weights,
    lora_config,
    save_adapter,
)
from workflow_scripts.lib.lora.files import AdapterError
from workflow_scripts.lib.lora.lessons import Teacher
from workflow_scripts.lib.lora.settings import TuneLora
from workflow_scripts.lib.lora.stack import Stack
from workflow_scripts.lib.lora.targets import all_linear, feed_forward
from workflow_scripts.lib.lora.train import Case, batched, tune
from workflow_scripts.lib.models.weights import random_model

pytestmark = pytest.mark.stage
EXAMPLES = [Completion([1, 20, 30, 40], [50]), Completion([1, 21, 31, 41, 51, 61], [70, 71])]
TUNING = TuneLora(
    r=4,
    alpha=8,
    target_modules="all-linear",
    learning_rate=5e-3,
    steps=10,
    max_grad_norm=1.0,
    tokens_per_batch=64,
    adapters_at_once=8,
)


def varied(**changes):
    return TUNING.model_copy(update=changes)


PROMPT = torch.tensor([[1, 20, 30, 40]])


def logits(model):
    with torch.inference_mode():
        return model(PROMPT).logits


def random_cases(counts=(1, 2, 3, 8)):
    """Different numbers of examples, of different lengths, with labels of one or two tokens."""
    draw = torch.Generator().manual_seed(0)
    ids = lambda low, high: torch.randint(5, 300, (int(torch.randint(low, high, (), generator=draw)),), generator=draw)  # noqa: E731
    examples = lambda count: [Completion(ids(3, 30).tolist(), ids(1, 3).tolist()) for _ in range(count)]  # noqa: E731
    return [Case(f"level {count}, draw 0", examples(count), seed) for seed, count in enumerate(counts)]


def tuned(model, tuning=TUNING, seed=0):
    (adapter,) = tune(model, [Case("level a, draw 0", EXAMPLES, seed)], tuning)
    return adapter


def saved(model, folder, tuning=TUNING, seed=0):
    save_adapter(tuned(model, tuning, seed), adapter_config(model, tuning), folder)
    return folder


@pytest.fixture
def double_model(tiny_model):
    yield tiny_model.double()
    tiny_model.float()


@pytest.mark.parametrize("limit", [1e-2, 1e9], ids=["clipped", "not clipped"])
@pytest.mark.parametrize("targets", ["attention", "feed-forward", "all-linear"])
def test_adapters_side_by_side_equal_peft_and_a_plain_loop_in_float64(double_model, targets, limit):
    tuning = varied(target_modules=targets, max_grad_norm=limit)
    cases = random_cases()
    for case, adapter in zip(cases, tune(double_model, cases, tuning), strict=True):
        weights, losses = reference.tuned(double_model, case.examples, tuning, case.seed)
        assert weights.keys() == adapter.weights.keys()
        assert all((adapter.weights[name] - w).abs().max() < 1e-10 for name, w in weights.items())
        assert adapter.losses == pytest.approx(losses, abs=1e-10)


def test_adapters_side_by_side_equal_peft_and_a_plain_loop_in_float32(tiny_model):
    cases = random_cases()
    for case, adapter in zip(cases, tune(tiny_model, cases, TUNING), strict=True):
        weights, losses = reference.tuned(tiny_model, case.examples, TUNING, case.seed)
        for name, expected in weights.items():
            # By norm: where a gradient is all rounding, AdamW makes a step of it, up or down.
            assert (adapter.weights[name] - expected).norm() < 1e-4 * expected.norm()
        assert adapter.losses == pytest.approx(losses, rel=1e-4)


def test_memory_bounds_change_no_adapter(double_model):
    cases = random_cases()
    one, other = (
        list(tune(double_model, cases, varied(tokens_per_batch=tokens, adapters_at_once=adapters)))
        for tokens, adapters in ((10_000, 8), (1, 3))
    )
    for a, b in zip(one, other, strict=True):
        assert all((a.weights[name] - b.weights[name]).abs().max() < 1e-10 for name in a.weights)


@pytest.mark.parametrize("shared", [True, False])
def test_lessons_are_what_transformers_has_at_the_end_of_the_teachers_prompt(tiny_model, shared):
    teacher = Teacher(tiny_model, tokens_per_batch=8)
    teacher.ways = replace(teacher.ways, sharing=shared and teacher.ways.sharing)
    shown, start, queries = [1, 5, 6, 7], [1], [[20, 30], [21, 31, 41, 51, 61], [22]]
    lessons = teacher.lessons(shown, start, queries)
    for query, lesson in zip(queries, lessons, strict=True):
        assert lesson.prompt == start + query
        with torch.inference_mode():
            made = tiny_model(torch.tensor([shown + query]), output_hidden_states=True)
        expected = torch.stack([layer[0, -1] for layer in made.hidden_states[1:]])
        assert torch.allclose(lesson.states, expected, atol=1e-5)
        assert torch.allclose(lesson.log_probs, made.logits[0, -1].log_softmax(-1), atol=1e-5)


def test_imitating_side_by_side_equals_peft_and_a_plain_loop_in_float64(double_model):
    teacher = Teacher(double_model, tokens_per_batch=1000)
    queries = [[20, 30], [21, 31, 41, 51, 61], [22], [23, 33]]
    cases = [Case(f"draw {i}", teacher.lessons([1, 5 + i, 6], [1], queries[i:]), i) for i in range(3)]
    for case, adapter in zip(cases, tune(double_model, cases, TUNING), strict=True):
        weights, losses = reference.imitating(double_model, case.examples, TUNING, case.seed)
        assert weights.keys() == adapter.weights.keys()
        assert all((adapter.weights[name] - w).abs().max() < 1e-8 for name, w in weights.items())
        assert adapter.losses == pytest.approx(losses, abs=1e-8)
        assert adapter.losses[-1] < adapter.losses[0]


def test_tokens_that_a_model_rules_out_have_no_share_in_imitating(double_model):
    def imitated(ruled_out):
        rows = torch.tensor([0, 7, 20])
        hook = double_model.get_output_embeddings().register_forward_hook(
            lambda _, args, logits: logits.index_fill(-1, rows, ruled_out)
        )
        (lesson,) = Teacher(double_model, tokens_per_batch=1000).lessons([1, 5, 6], [1], [[20, 30]])
        (adapter,) = tune(double_model, [Case("draw 0", [lesson], 0)], TUNING)
        hook.remove()
        return lesson.log_probs[7], adapter

    (never, one), (hardly, other) = imitated(-torch.inf), imitated(-1e9)
    assert never == -torch.inf < hardly
    assert one.losses[-1] < one.losses[0]
    assert one.losses == pytest.approx(other.losses, abs=1e-12)
    assert all((one.weights[name] - w).abs().max() < 1e-12 for name, w in other.weights.items())


def test_who_imitates_itself_has_nothing_to_learn(double_model):
    (lesson,) = Teacher(double_model, tokens_per_batch=1000).lessons([1], [1], [[20, 30]])
    (adapter,) = tune(double_model, [Case("draw 0", [lesson], 0)], TUNING)
    assert abs(adapter.losses[0]) < 1e-6


def test_an_adapter_on_the_way_is_that_of_a_shorter_run(double_model):
    cases = random_cases()
    kept = list(tune(double_model, cases, TUNING, kept_steps=[1, 4]))
    assert all([*adapter.on_the_way] == [1, 4] for adapter in kept)
    for step in (1, 4):
        for one, other in zip(kept, tune(double_model, cases, varied(steps=step)), strict=True):
            then = one.on_the_way[step]
            assert then.losses == pytest.approx(other.losses, abs=1e-12)
            assert all((then.weights[name] - w).abs().max() < 1e-12 for name, w in other.weights.items())


def test_feed_forward_modules_are_those_outside_of_attention(tiny_model):
    names = feed_forward(tiny_model)
    assert names
    assert all(".mlp." in name for name in names)
    assert {name for name in all_linear(tiny_model) if ".mlp." in name} == set(names)


@pytest.mark.filterwarnings("ignore:Model has `tie_word_embeddings=True`", "ignore:fan_in_fan_out is set to True")
def test_named_modules_down_to_the_lm_head_can_be_tuned(double_model):
    head = "lm_head"
    tuning = varied(target_modules=[head, "c_attn" if hasattr(double_model, "transformer") else "o_proj"])
    (case,) = random_cases((3,))
    (adapter,) = tune(double_model, [case], tuning)
    weights, _ = reference.tuned(double_model, case.examples, tuning, case.seed)
    assert any(head in name for name in weights)
    assert all((adapter.weights[name] - w).abs().max() < 1e-10 for name, w in weights.items())


def test_batches_that_a_model_flattens_keep_their_adapters():
    """OPT's feed-forward layers see [row x token, d_model]."""
    config = OPTConfig(
        vocab_size=300, hidden_size=32, ffn_dim=64, num_hidden_layers=2, num_attention_heads=4, word_embed_proj_dim=32
    )
    model = random_model(config, seed=0).double().eval()
    tuning, cases = varied(target_modules=["fc1", "fc2"]), random_cases((2, 3))
    for case, adapter in zip(cases, tune(model, cases, tuning), strict=True):
        weights, _ = reference.tuned(model, case.examples, tuning, case.seed)
        assert all((adapter.weights[name] - w).abs().max() < 1e-10 for name, w in weights.items())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_adapters_start_as_peft_starts_them(tiny_model, dtype):
    seeds, model = [3, 0, 2**31], tiny_model.to(dtype)
    for seed, fresh in zip(seeds, fresh_weights(model, TUNING, seeds), strict=True):
        torch.manual_seed(seed)
        wrapped = get_peft_model(model, lora_config(model, TUNING))
        expected = get_peft_model_state_dict(wrapped)
        assert list(fresh) == list(expected)
        assert all(torch.equal(fresh[name], expected[name]) for name in fresh)
        wrapped.unload()
    tiny_model.float().requires_grad_(True)


def test_only_label_tokens_are_supervised(tiny_model):
    (batch,) = batched(tiny_model, [Case("a", EXAMPLES, 0)], 100)
    assert batch.targets.tolist() == [50, 70, 71]
    assert batch.ids[batch.rows, batch.columns].tolist() == [40, 61, 70]
    assert batch.weights.sum().item() == pytest.approx(1)
    with pytest.raises(TuningError, match="level a, draw 3: no token is supervised"):
        list(tune(tiny_model, [Case("level a, draw 3", [Completion([1, 2], [])], 0)], TUNING))


def test_rows_of_about_the_same_length_share_a_batch(tiny_model):
    cases = random_cases((16, 1, 4))
    made = batched(tiny_model, cases, 100)
    assert sum(len(batch.ids) for batch in made) == 21
    assert all(batch.ids.numel() <= 100 for batch in made)
    shortest = [batch.columns.min() for batch in made]
    assert shortest == sorted(shortest)


def test_tuning_moves_the_adapter_and_leaves_the_base(tiny_model):
    before = {name: p.clone() for name, p in tiny_model.named_parameters()}
    hooks = [len(module._forward_hooks) for module in tiny_model.modules()]  # transformers leaves some of its own
    adapter = tuned(tiny_model)
    assert adapter.moved
    assert adapter.losses[-1] < adapter.losses[0]
    assert len(adapter.losses) == TUNING.steps + 1
    assert dict(tiny_model.named_parameters()).keys() == before.keys()
    assert all(torch.equal(p, before[name]) for name, p in tiny_model.named_parameters())
    assert all(p.requires_grad and p.grad is None for p in tiny_model.parameters())
    assert [len(module._forward_hooks) for module in tiny_model.modules()] == hooks


def test_equal_seeds_give_equal_adapters(tiny_model):
    one, same, other = (tuned(tiny_model, seed=seed).weights for seed in (0, 0, 1))
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert any(not torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("targets", ["attention", "all-linear"])
def test_adapters_give_what_peft_gives_and_leave_no_trace(tiny_model, tmp_path, targets):
    tuning = varied(target_modules=targets)
    folders = [saved(tiny_model, tmp_path / str(seed), tuning, seed) for seed in (0, 1)]
    before, seen = logits(tiny_model), []
    for folder in folders:
        with with_adapter(tiny_model, folder):
            seen.append(logits(tiny_model))
        assert torch.equal(logits(tiny_model), before)
    assert not torch.equal(seen[0], seen[1])
    for folder, tuned_logits in zip(folders, seen, strict=True):
        loaded = PeftModel.from_pretrained(tiny_model, folder).eval()
        assert torch.equal(logits(loaded), tuned_logits)
        with loaded.disable_adapter():
            assert torch.equal(logits(loaded), before)
        loaded.unload()


def test_saved_adapters_are_equal_byte_by_byte_and_name_no_path(tiny_model, tmp_path):
    for name in ("a", "b"):
        saved(tiny_model, tmp_path / name)
    for file in ("adapter_config.json", "adapter_model.safetensors"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()
    assert json.loads((tmp_path / "a/adapter_config.json").read_text())["base_model_name_or_path"] is None


def test_adapters_that_do_not_fit_are_refused(tiny_model, tmp_path):
    with pytest.raises(AdapterError, match="no adapter that can be read"), with_adapter(tiny_model, tmp_path):
        pass
    folder = saved(tiny_model, tmp_path / "a")
    config = folder / "adapter_config.json"
    for key, value in (("use_dora", True), ("modules_to_save", ["lm_head"])):
        config.write_text(json.dumps({**json.loads(adapter_config(tiny_model, TUNING)), key: value}))
        with pytest.raises(AdapterError, match="not plain LoRA"), with_adapter(tiny_model, folder):
            pass
    config.write_text(adapter_config(tiny_model, TUNING))
    with pytest.raises(AdapterError, match="fits this model"), with_adapter(torch.nn.Linear(2, 2), folder):
        pass


def test_an_adapter_that_did_not_move_is_told():
    still = {"x.lora_A.weight": torch.ones(2, 2), "x.lora_B.weight": torch.zeros(2, 2)}
    assert not TunedAdapter(still, [1.0, 0.5]).moved
    assert not TunedAdapter({**still, "x.lora_B.weight": torch.ones(2, 2)}, [1.0, 1.5]).moved
    assert TunedAdapter(still, [1.0]).norm("lora_A") == 2.0


def test_too_little_memory_says_what_to_lower(tiny_model, monkeypatch):
    def full(*_):
        raise torch.OutOfMemoryError

    monkeypatch.setattr(Stack, "losses", full)
    with pytest.raises(TuningError, match=r"lower tune_lora.adapters_at_once \(is 8\) or tune_lora.tokens_per_batch"):
        tuned(tiny_model)


@pytest.mark.filterwarnings("ignore:Model has `tie_word_embeddings=True`")
def test_what_cannot_be_tuned_says_why(tiny_model):
    with pytest.raises(TuningError, match=r"tune_lora.target_modules.*nowhere"):
        tuned(tiny_model, varied(target_modules=["nowhere"]))
    with pytest.raises(TuningError, match=r"target_modules.*only linear modules"):
        tuned(tiny_model, varied(target_modules=["wte", "embed_tokens"]))
    with pytest.raises(
        TuningError, match=r"level a, draw 0: the loss is nan at step \d; lower tune_lora.learning_rate"
    ):
        tuned(tiny_model, varied(learning_rate=1e30, max_grad_norm=1e30))
