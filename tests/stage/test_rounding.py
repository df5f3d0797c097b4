"""Coarse arithmetic is no wrong cache, and a wrong cache is found in coarse arithmetic too."""

import pytest
import torch
import transformers
from torch.overrides import TorchFunctionMode

from tests.stage.test_hidden_states import ROTARY
from workflow_scripts.lib.forward.allowed import found_ways, goes_on
from workflow_scripts.lib.forward.rounding import MOST, PRODUCTS, Rounding, differ, measured
from workflow_scripts.lib.forward.shared_prefix import FrozenLayer
from workflow_scripts.lib.models.weights import random_model

pytestmark = pytest.mark.stage
CPU = torch.device("cpu")
CONFIGS = {
    "llama": transformers.LlamaConfig(**{**ROTARY, "num_hidden_layers": 6}),
    "gemma2": transformers.Gemma2Config(**ROTARY, head_dim=8, sliding_window=16),
}


class TF32(TorchFunctionMode):
    """Products of float32 take ten bits of each factor's mantissa, as tensor cores do, and add up in float32."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if func in PRODUCTS:
            args = [self.rounded(one) if getattr(one, "dtype", None) is torch.float32 else one for one in args]
        return func(*args, **(kwargs or {}))

    @staticmethod
    def rounded(tensor):
        return ((tensor.view(torch.int32) + 0x1000) & ~0x1FFF).view(torch.float32)


@pytest.fixture(params=CONFIGS)
def model(request):
    return random_model(CONFIGS[request.param], seed=0).eval()


def shifted(layer, key_states, value_states, *_, **__):
    """A cache that gives each token's values to the key of the one after it."""
    keys, values = (part.expand(len(key_states), -1, -1, -1) for part in layer.prefix)
    return torch.cat([keys, key_states], dim=-2), torch.cat([values.roll(1, dims=-2), value_states], dim=-2)


def test_what_tf32_rounds_off_is_no_wrong_cache(model):
    exact = found_ways(model)
    with TF32():
        assert found_ways(model) == exact
        assert goes_on(model, exact)
    assert exact.sharing
    assert exact.folding


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_what_half_precision_rounds_off_is_no_wrong_cache(model, dtype):
    exact = found_ways(model)
    assert found_ways(model.to(dtype)) == exact


@pytest.mark.parametrize("arithmetic", ["float32", "tf32", "bfloat16"])
def test_a_wrong_cache_is_found(model, arithmetic, monkeypatch, capsys):
    monkeypatch.setattr(FrozenLayer, "update", shifted)
    monkeypatch.setattr(type(model), "_supports_attention_backend", False)
    if arithmetic == "bfloat16":
        model = model.to(torch.bfloat16)
    if arithmetic == "tf32":
        with TF32():
            assert not found_ways(model).sharing
    else:
        assert not found_ways(model).sharing
    assert "whole prompts" in capsys.readouterr().err


def test_rounding_follows_from_the_arithmetic_in_use(model):
    ids = torch.arange(5, 13)[None]

    def run():
        output = model(ids, output_hidden_states=True)
        return torch.stack(output.hidden_states, dim=2)[0], output.logits[0]

    with torch.inference_mode():
        exact = measured(torch.float32, CPU, run)
        with TF32():
            coarse, read = measured(torch.float32, CPU, run), run()
        apart = [differ(one, other, exact.states) for one, other in zip(read, run(), strict=True)]
    least = torch.finfo(torch.float32).eps ** 0.5
    assert exact == Rounding(least, least, exact=True)
    assert any(one.any() for one in apart)  # by the root of float32's precision this would be another model
    assert least < coarse.states < MOST
    assert coarse.agree(read, run())
    assert not coarse.exact
