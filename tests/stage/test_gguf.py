"""GGUF files: what is read is the model that was written, and what cannot be read is refused in one line."""

import json

import pytest
import torch

from tests import gguf_files
from tests.stage.test_models import TRAINING
from workflow_scripts.lib.errors import StudyError
from workflow_scripts.lib.models.about import read_about
from workflow_scripts.lib.models.load import load_model
from workflow_scripts.lib.models.pin import check
from workflow_scripts.lib.models.sources import GgufModel
from workflow_scripts.prepare_model import prepare_model

pytestmark = pytest.mark.stage


def prepared(folder, file, **settings):
    prepare_model(source=GgufModel(source="gguf", path=file, **settings), settings=TRAINING, model=folder)
    return folder


@pytest.mark.parametrize("architecture", ["llama", "qwen2"])
def test_a_model_comes_out_as_it_was_written(architecture, tmp_path):
    model, tokenizer = gguf_files.write(tmp_path / "tiny.gguf", architecture)
    loaded = load_model(prepared(tmp_path / "model", tmp_path / "tiny.gguf"))
    ids = loaded.tokenizer(gguf_files.TEXTS[0])["input_ids"]
    assert ids == tokenizer.encode(gguf_files.TEXTS[0]).ids
    assert loaded.model.config.model_type == architecture
    with torch.inference_mode():
        torch.testing.assert_close(loaded.model(torch.tensor([ids])).logits, model(torch.tensor([ids])).logits)


def test_its_digest_is_pinned_and_its_types_are_told(tmp_path):
    model, _ = gguf_files.write(tmp_path / "tiny.gguf", "llama")
    folder = prepared(tmp_path / "model", tmp_path / "tiny.gguf")
    digest = json.loads((folder / "model.json").read_text())["files"]["tiny.gguf"]
    assert len(digest) == 64
    about = read_about(folder)
    assert about.parameters == sum(one.numel() for one in model.parameters())
    assert "tiny.gguf: architecture llama, name tiny llama, licence mit; weights stored as F32 100.0 %" in about.text


def test_what_stands_beside_a_file_is_not_read(tmp_path):
    gguf_files.write(tmp_path / "tiny.gguf", "llama")
    for name in ("config.json", "adapter_config.json", "tokenizer.json"):
        (tmp_path / name).write_text("{}")
    assert load_model(prepared(tmp_path / "model", tmp_path / "tiny.gguf")).model.config.num_hidden_layers == 3


def test_an_untrained_control_has_the_config_and_other_weights(tmp_path):
    model, _ = gguf_files.write(tmp_path / "tiny.gguf", "llama")
    folder = prepared(tmp_path / "model", tmp_path / "tiny.gguf", untrained=True)
    assert not list(folder.glob("*.safetensors"))
    assert read_about(folder).text.endswith("licence mit; config and tokenizer alone, weights drawn from seed 0")
    drawn = load_model(folder).model
    assert drawn.config.hidden_size == 32
    assert not torch.equal(drawn.lm_head.weight, model.lm_head.weight)


def test_weights_are_kept_in_the_dtype_of_the_settings(tmp_path):
    gguf_files.write(tmp_path / "tiny.gguf", "llama")
    assert (
        load_model(prepared(tmp_path / "model", tmp_path / "tiny.gguf", dtype="bfloat16")).model.dtype == torch.bfloat16
    )


@pytest.mark.parametrize(
    ("spoilt", "message"),
    [
        ({"settings": {"split.count": 2}}, r"is one of 2 files.*llama-gguf-split --merge"),
        ({"settings": {"architecture": "rwkv6"}}, r"cannot be read by transformers.*rwkv6"),
        ({"besides": ["rope_freqs.weight"]}, r"scales its rotary frequencies \(rope_freqs.weight\)"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_by_the_check(tmp_path, spoilt, message):
    gguf_files.write(tmp_path / "tiny.gguf", "llama", **spoilt)
    refused(tmp_path / "tiny.gguf", message)


def test_another_file_is_refused_by_the_check(tmp_path):
    (tmp_path / "text.gguf").write_text("x" * 100)
    refused(tmp_path / "text.gguf", "is no GGUF file; a folder in Hugging Face format is `source: local`")
    refused(tmp_path / "none.gguf", "no such file")


def test_a_file_that_was_cut_short_is_refused_by_the_check(tmp_path):
    gguf_files.write(tmp_path / "tiny.gguf", "llama")
    whole = (tmp_path / "tiny.gguf").read_bytes()
    (tmp_path / "tiny.gguf").write_bytes(whole[: len(whole) // 2])
    refused(tmp_path / "tiny.gguf", "is damaged or cut short")


def test_missing_weights_are_named(tmp_path):
    gguf_files.write(tmp_path / "tiny.gguf", "llama", without=["blk.1.ffn_up.weight"])
    with pytest.raises(StudyError, match=r"lacks model.layers.1.mlp.up_proj.weight"):
        prepared(tmp_path / "model", tmp_path / "tiny.gguf")


def refused(file, message):
    with pytest.raises(StudyError, match=message) as caught:
        check(GgufModel(source="gguf", path=file))
    assert "\n" not in str(caught.value)
