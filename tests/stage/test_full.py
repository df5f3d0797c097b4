"""Full fine-tuning: what a plain loop over a copy of the model gives, as changes of weights that come and go."""

from copy import deepcopy

import pytest
import torch
from torch.nn.functional import cross_entropy

from tests.stage.test_lora import EXAMPLES, random_cases, varied
from workflow_scripts.lib.lora.config import TuningError
from workflow_scripts.lib.lora.files import AdapterError
from workflow_scripts.lib.lora.settings import FullTuning, PrefixTuning
from workflow_scripts.lib.lora.train import Case
from workflow_scripts.lib.tuning.full import check_size, save_deltas, tune_all
from workflow_scripts.lib.tuning.put_in import put_in

pytestmark = pytest.mark.stage
PROMPT = torch.tensor([[1, 20, 30, 40]])
CASE = Case("level a, draw 0", EXAMPLES, 0)


def whole(rate=1e-3, steps=3, **changes):
    return varied(steps=steps, full=FullTuning(learning_rate=rate), **changes)


def logits(model):
    with torch.inference_mode():
        return model(PROMPT).logits


def plain_loop(model, examples, tuning):
    """A copy of the model, tuned one example after the other in every step: itself and its losses."""
    copy = deepcopy(model).requires_grad_(True)
    optimiser = torch.optim.AdamW(copy.parameters(), lr=tuning.full.learning_rate, weight_decay=0.0)

    def loss():
        summed = []
        for one in examples:
            made = copy(torch.tensor([one.prompt + one.label])).logits[0, len(one.prompt) - 1 : -1]
            summed.append(cross_entropy(made, torch.tensor(one.label), reduction="sum"))
        return sum(summed) / sum(len(one.label) for one in examples)

    losses = []
    for _ in range(tuning.steps):
        losses.append(loss())
        optimiser.zero_grad()
        losses[-1].backward()
        torch.nn.utils.clip_grad_norm_(copy.parameters(), tuning.max_grad_norm)
        optimiser.step()
    return copy, [one.item() for one in [*losses, loss()]]


@pytest.mark.parametrize("limit", [1e-2, 1e9], ids=["clipped", "not clipped"])
def test_all_weights_are_tuned_as_a_plain_loop_tunes_them_in_float64(tiny_model, limit):
    model, tuning = deepcopy(tiny_model).double(), whole(max_grad_norm=limit)
    cases = random_cases((1, 3))
    for case, made in zip(cases, tune_all(model, cases, tuning), strict=True):
        copy, losses = plain_loop(model, case.examples, tuning)
        before = dict(model.named_parameters())
        assert made.losses == pytest.approx(losses, abs=1e-10)
        for name, tuned in copy.named_parameters():
            assert (before[name] + made.deltas[name] - tuned).abs().max() < 1e-10
        assert made.summary()["moved"]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_changes_come_and_go_and_leave_the_base_as_it_was(tiny_model, tmp_path, dtype):
    model = deepcopy(tiny_model).to(dtype)
    start, before = {name: one.clone() for name, one in model.named_parameters()}, logits(model)
    (made,) = tune_all(model, [CASE], whole())
    save_deltas(made.deltas, tmp_path / "set")
    assert model.dtype == dtype
    assert torch.equal(logits(model), before)
    with put_in(model, tmp_path / "set") as parts:
        assert parts is None
        for name, one in model.named_parameters():
            assert torch.equal(one, (start[name].float() + made.deltas[name]).to(dtype))
        assert not torch.equal(logits(model), before)
    assert all(torch.equal(one, start[name]) for name, one in model.named_parameters())
    assert all(one.requires_grad and one.grad is None for one in model.parameters())


def test_a_model_on_the_way_is_that_of_a_shorter_run(tiny_model):
    (kept,) = tune_all(tiny_model, [CASE], whole(), kept_steps=[2])
    (other,) = tune_all(tiny_model, [CASE], whole(steps=2))
    assert kept.on_the_way[2].losses == other.losses
    assert all(torch.equal(one, other.deltas[name]) for name, one in kept.on_the_way[2].deltas.items())


def test_models_above_the_size_are_refused_with_the_setting_to_change(tiny_model):
    count = sum(one.numel() for one in tiny_model.parameters())
    allowed = [varied(full=FullTuning(most_parameters=most)) for most in (count, count - 1)]
    check_size(tiny_model, allowed[0])
    with pytest.raises(TuningError, match=rf"has {count:,} parameters.*raise tune_lora.full.most_parameters"):
        list(tune_all(tiny_model, [CASE], allowed[1]))


def test_what_diverges_says_which_rate_to_lower(tiny_model):
    with pytest.raises(
        TuningError, match=r"level a, draw 0: the loss is nan at step \d; lower tune_lora.full.learning"
    ):
        list(tune_all(tiny_model, [CASE], whole(rate=1e30, max_grad_norm=1e30)))


def test_changes_of_another_model_are_refused(tiny_model, tmp_path):
    save_deltas({"x": torch.zeros(2)}, tmp_path / "set")
    with (
        pytest.raises(AdapterError, match="holds no changes of this model's weights"),
        put_in(tiny_model, tmp_path / "set"),
    ):
        pass


def test_its_settings_are_no_part_of_what_adapters_are_made_from():
    one, other = (
        varied(full=FullTuning(learning_rate=rate), prefix=PrefixTuning(learning_rate=rate)) for rate in (1e-3, 1e-4)
    )
    assert one.used_by("lora") == other.used_by("lora")
    for trains, key in (("model", "full"), ("prefix", "prefix")):
        assert getattr(one.used_by(trains), key) == getattr(one, key)
        assert one.used_by(trains) != other.used_by(trains)
    assert one.used_by("model").prefix == one.used_by("lora").prefix
