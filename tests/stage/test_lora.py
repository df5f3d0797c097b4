import json

import pytest
import torch
from peft import PeftModel

from workflow_scripts.lib.lora import (
    IGNORED,
    TunedAdapter,
    Tuning,
    TuningError,
    right_padded,
    save_adapter,
    tune,
    with_adapter,
)
from workflow_scripts.lib.prompts import TuningExample

pytestmark = pytest.mark.stage
EXAMPLES = [TuningExample([1, 20, 30, 40], [50]), TuningExample([1, 21, 31, 41, 51, 61], [70, 71])]
TUNING = Tuning(r=4, alpha=8, target_modules="all-linear", learning_rate=5e-3, steps=10, max_grad_norm=1.0)
PROMPT = torch.tensor([[1, 20, 30, 40]])


def logits(model):
    with torch.inference_mode():
        return model(PROMPT).logits


def test_only_label_tokens_are_supervised():
    targets = right_padded(EXAMPLES)["targets"]
    assert (targets != IGNORED).sum() == 3
    assert targets[targets != IGNORED].tolist() == [50, 70, 71]
    with pytest.raises(TuningError, match="no token is supervised"):
        right_padded([TuningExample([1, 2], [])])


def test_tuning_moves_the_adapter_and_leaves_the_base(tiny_model):
    before = {name: p.clone() for name, p in tiny_model.named_parameters()}
    adapter = tune(tiny_model, EXAMPLES, TUNING, seed=0)
    assert adapter.moved
    assert adapter.losses[-1] < adapter.losses[0]
    assert len(adapter.losses) == TUNING.steps + 1
    assert dict(tiny_model.named_parameters()).keys() == before.keys()
    assert all(torch.equal(p, before[name]) for name, p in tiny_model.named_parameters())


def test_equal_seeds_give_equal_adapters(tiny_model):
    one, same, other = (tune(tiny_model, EXAMPLES, TUNING, seed).weights for seed in (0, 0, 1))
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert any(not torch.equal(one[name], other[name]) for name in one)


def test_a_hand_written_loop_gives_the_same_loss(tiny_model):
    (first, *_) = tune(tiny_model, EXAMPLES, TUNING, seed=0).losses
    rows = [(one.prompt + one.label, len(one.prompt)) for one in EXAMPLES]
    with torch.inference_mode():
        nll = [
            -tiny_model(torch.tensor([ids])).logits[0].log_softmax(-1)[at - 1, ids[at]]
            for ids, start in rows
            for at in range(start, len(ids))
        ]
    assert first == pytest.approx(sum(nll).item() / len(nll), rel=1e-5)


def test_adapters_load_with_peft_and_unload_without_a_trace(tiny_model, tmp_path):
    adapter = tune(tiny_model, EXAMPLES, TUNING, seed=0)
    save_adapter(adapter, TUNING, tiny_model, tmp_path / "a")
    before = logits(tiny_model)
    with with_adapter(tiny_model, tmp_path / "a"):
        tuned = logits(tiny_model)
    assert not torch.equal(tuned, before)
    assert torch.equal(logits(tiny_model), before)
    loaded = PeftModel.from_pretrained(tiny_model, tmp_path / "a").eval()
    assert torch.equal(logits(loaded), tuned)
    with loaded.disable_adapter():
        assert torch.equal(logits(loaded), before)
    loaded.unload()


def test_saved_adapters_are_equal_byte_by_byte_and_name_no_path(tiny_model, tmp_path):
    for name in ("a", "b"):
        save_adapter(tune(tiny_model, EXAMPLES, TUNING, seed=0), TUNING, tiny_model, tmp_path / name)
    for file in ("adapter_config.json", "adapter_model.safetensors"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()
    assert json.loads((tmp_path / "a/adapter_config.json").read_text())["base_model_name_or_path"] is None


def test_an_adapter_that_did_not_move_is_told():
    still = {"x.lora_A.weight": torch.ones(2, 2), "x.lora_B.weight": torch.zeros(2, 2)}
    assert not TunedAdapter(still, [1.0, 0.5]).moved
    assert not TunedAdapter({**still, "x.lora_B.weight": torch.ones(2, 2)}, [1.0, 1.5]).moved
    assert TunedAdapter(still, [1.0]).norm("lora_A") == 2.0


def test_what_cannot_be_tuned_says_why(tiny_model):
    with pytest.raises(TuningError, match=r"tune_lora.target_modules.*nowhere"):
        tune(tiny_model, EXAMPLES, Tuning(4, 8, ["nowhere"], 1e-3, 1, 1.0), seed=0)
    with pytest.raises(TuningError, match=r"lower tune_lora.learning_rate"):
        tune(tiny_model, EXAMPLES, Tuning(4, 8, "all-linear", 1e30, 5, 1e30), seed=0)
