"""Adapters that somebody else tuned: what peft computes with them, or a line that says why not."""

import json

import pytest
import torch
from peft import IA3Config, LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file

from workflow_scripts.lib.lora.apply import check_adapter, with_adapter
from workflow_scripts.lib.lora.files import STARTS, AdapterError, read_adapter

pytestmark = [
    pytest.mark.stage,
    pytest.mark.filterwarnings(
        "ignore:Model has `tie_word_embeddings=True`",
        "ignore:fan_in_fan_out is set to True",
        "ignore:Setting `save_embed",
    ),
]
PROMPT = torch.tensor([[1, 20, 30, 40]])


def attention_of(model):
    return ["c_attn"] if hasattr(model, "transformer") else ["q_proj", "v_proj"]


def saved(model, folder, config=None, **changes):
    torch.manual_seed(0)
    how = {"r": 4, "lora_alpha": 6, "target_modules": attention_of(model), "task_type": "CAUSAL_LM"}
    wrapped = get_peft_model(model, config or LoraConfig(**how | {"init_lora_weights": False} | changes))
    wrapped.save_pretrained(folder)
    wrapped.unload()
    model.requires_grad_(True)
    return folder


def logits(model):
    with torch.inference_mode():
        return model(PROMPT).logits


def by_peft(model, folder):
    loaded = PeftModel.from_pretrained(model, folder).eval()
    made = logits(loaded)
    loaded.unload()
    return made


def of_last_layer(value):
    return {r".*\.2\..*(c_attn|q_proj)": value}


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"use_rslora": True},
        {"rank_pattern": of_last_layer(2), "alpha_pattern": of_last_layer(9)},
        {"layers_to_transform": [1], "lora_dropout": 0.5},
    ],
    ids=["plain", "rank-stabilised", "ranks by module", "one layer"],
)
def test_plain_lora_of_any_settings_is_what_peft_makes_of_it(tiny_model, tmp_path, changes):
    folder, before = saved(tiny_model, tmp_path, **changes), logits(tiny_model)
    check_adapter(tiny_model, folder)
    with with_adapter(tiny_model, folder):
        made = logits(tiny_model)
    assert torch.allclose(made, by_peft(tiny_model, folder), atol=1e-6)
    assert not torch.allclose(made, before, atol=1e-3)
    assert torch.equal(logits(tiny_model), before)


def test_an_adapter_of_half_precision_runs_in_float32_as_in_peft(tiny_model, tmp_path):
    folder = saved(tiny_model, tmp_path)
    path = folder / "adapter_model.safetensors"
    save_file({name: one.half() for name, one in load_file(path).items()}, path, metadata={"format": "pt"})
    expected = by_peft(tiny_model, folder)
    with with_adapter(tiny_model, folder):
        assert torch.equal(logits(tiny_model), expected)


def test_an_adapter_of_the_same_names_and_another_width_does_not_fit(tiny_model, tmp_path):
    folder = saved(tiny_model, tmp_path)
    path = folder / "adapter_model.safetensors"
    narrow = {name: one[:, :16] if "lora_A" in name else one for name, one in load_file(path).items()}
    save_file({name: one.contiguous() for name, one in narrow.items()}, path, metadata={"format": "pt"})
    with pytest.raises(AdapterError, match=r"fits this model: .* is \[\d+, 32\], not \[\d+, 16\]"):
        check_adapter(tiny_model, folder)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"use_dora": True}, "not plain LoRA: use_dora is true"),
        ({"bias": "lora_only"}, 'not plain LoRA: bias is "lora_only"'),
        ({"lora_bias": True}, "not plain LoRA: lora_bias is true"),
        ({"modules_to_save": ["lm_head"]}, r'not plain LoRA: modules_to_save is \["lm_head"\]'),
        ({"peft_type": "VERA"}, "is of kind VERA, and only LORA"),
        ({"init_lora_weights": "pissa"}, "init_lora_weights is pissa, which changes the base itself"),
        ({"a_field_of_tomorrow": {"x": 1}}, "not plain LoRA: a_field_of_tomorrow"),
        ({"r": 3}, r"has A \[4, 32\] and B \[\d+, 4\], and adapter_config.json says rank 3"),
        ({"lora_alpha": None}, "has no number lora_alpha"),
    ],
)
def test_what_is_more_than_plain_lora_is_refused_by_name(tiny_model, tmp_path, changes, says):
    config = saved(tiny_model, tmp_path) / "adapter_config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | changes))
    with pytest.raises(AdapterError, match=says):
        read_adapter(tmp_path)


def test_kinds_that_peft_saves_are_refused(tiny_model, tmp_path):
    modules = attention_of(tiny_model)
    other = IA3Config(target_modules=modules, feedforward_modules=[], task_type="CAUSAL_LM")
    with pytest.raises(AdapterError, match="is of kind IA3"):
        read_adapter(saved(tiny_model, tmp_path / "ia3", other))
    embeddings = saved(tiny_model, tmp_path / "embeddings", target_modules=[*modules, "wte", "embed_tokens"])
    with pytest.raises(
        AdapterError, match=r"only linear modules can be adapted, and the adapter has .*(wte|embed_tokens)"
    ):
        read_adapter(embeddings)


def test_every_field_that_peft_writes_for_plain_lora_is_known(tiny_model, tmp_path):
    """A new release of peft may write more; those that say nothing are no more than plain."""
    for start in (one for one in STARTS if one not in ("eva", "orthogonal")):
        assert read_adapter(saved(tiny_model, tmp_path / str(start), init_lora_weights=start))


def test_a_pickle_is_not_read(tiny_model, tmp_path):
    (saved(tiny_model, tmp_path) / "adapter_model.safetensors").rename(tmp_path / "adapter_model.bin")
    with pytest.raises(AdapterError, match=r"only in adapter_model.bin, a pickle; save them as safetensors"):
        read_adapter(tmp_path)
