"""Folders that are not what they seem: each is refused in one line that says what, or read as it is."""

import builtins
import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import (
    BartConfig,
    DistilBertConfig,
    GPT2Config,
    LlamaForCausalLM,
    LlamaForSequenceClassification,
    LlamaModel,
    MixtralConfig,
    T5Config,
)

from tests.conftest import tiny_config
from workflow_scripts.lib.errors import StudyError
from workflow_scripts.lib.models.load import load_model
from workflow_scripts.lib.models.pin import check_local, pin_local
from workflow_scripts.lib.models.sources import LocalModel, PrepareModel
from workflow_scripts.lib.models.weights import random_model
from workflow_scripts.prepare_model import prepare_model

pytestmark = pytest.mark.stage
WEIGHTS, INDEX, PICKLE = "model.safetensors", "model.safetensors.index.json", "pytorch_model.bin"
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n"
TRAINING = PrepareModel(steps=1, tokens_per_step=64, learning_rate=1e-3, gate_queries=2)
CODE = {"AutoConfig": "code.Config", "AutoModelForCausalLM": "code.Model", "AutoTokenizer": ["code.Tokenizer", None]}


@pytest.fixture
def folder(tiny_folder, tmp_path):
    """A copy of the tiny model, to be broken."""
    return shutil.copytree(tiny_folder, tmp_path / "model")


def local(folder, **settings):
    return LocalModel(source="local", path=folder, **settings)


def refused(folder, **settings):
    """The one line that the check says of a folder."""
    with pytest.raises(StudyError) as caught:
        check_local(local(folder, **settings))
    assert "\n" not in str(caught.value)
    assert len(str(caught.value).replace(str(folder), "")) < 600
    return str(caught.value)


def edit(path, **changes):
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def model_of(tokenizer, kind=LlamaForCausalLM, **changes):
    config = tiny_config("llama", len(tokenizer))
    config.update({"pad_token_id": 0, **changes})
    torch.manual_seed(0)
    return kind(config)


def sharded(folder):
    model = LlamaForCausalLM.from_pretrained(folder)
    (folder / WEIGHTS).unlink()
    model.save_pretrained(folder, max_shard_size="20KB")


def pickled(folder):
    torch.save(load_file(folder / WEIGHTS), folder / PICKLE)
    (folder / WEIGHTS).unlink()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"num_hidden_layers": 4}, "lacks model.layers.3.input_layernorm.weight"),
        ({"num_hidden_layers": 2}, "has besides model.layers.2.input_layernorm.weight"),
        ({"intermediate_size": 48}, "in other shapes model.layers.0.mlp.down_proj.weight ([32, 64], not [32, 48])"),
        ({"attention_bias": True}, "lacks model.layers.0.self_attn.k_proj.bias"),
    ],
)
def test_weights_of_another_config_are_named(folder, changes, said):
    edit(folder / "config.json", **changes)
    line = refused(folder)
    assert said in line
    assert "... (" in line  # how many there are


@pytest.mark.parametrize(
    ("kind", "tied", "said"),
    [
        (LlamaModel, False, "the checkpoint lacks lm_head.weight;"),
        (LlamaForSequenceClassification, False, "lacks lm_head.weight; has besides score.weight"),
        (LlamaForSequenceClassification, True, "the checkpoint has besides score.weight;"),
    ],
)
def test_weights_of_another_class_are_refused(folder, tokenizer, kind, tied, said):
    model_of(tokenizer, kind, tie_word_embeddings=tied).save_pretrained(folder)
    assert said in refused(folder)


def test_tied_weights_are_no_fault(folder, tokenizer):
    model_of(tokenizer, tie_word_embeddings=True).save_pretrained(folder)
    assert "lm_head.weight" not in load_file(folder / WEIGHTS)
    check_local(local(folder))


def test_old_names_and_buffers_are_no_fault(tmp_path, tokenizer):
    """GPT-2's own checkpoint: no prefix before names, and the causal mask among the weights."""
    config = GPT2Config(vocab_size=len(tokenizer), n_embd=32, n_layer=2, n_head=4)
    model = random_model(config, 0)
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    old = {name.removeprefix("transformer."): one for name, one in load_file(tmp_path / WEIGHTS).items()}
    for dtype in (torch.float32, torch.uint8, torch.bool):
        mask = torch.ones(1, 1, 4, 4, dtype=dtype)
        save_file({**old, "h.0.attn.bias": mask}, tmp_path / WEIGHTS, metadata={"format": "pt"})
        check_local(local(tmp_path))
    old["h.0.attn.c_attn.bias"] = old["h.0.attn.c_attn.bias"].to(torch.int8)
    save_file(old, tmp_path / WEIGHTS, metadata={"format": "pt"})
    assert "h.0.attn.c_attn.bias of type I8" in refused(tmp_path)


def test_an_adapter_beside_the_weights_is_refused(folder):
    (folder / "adapter_config.json").write_text("{}")
    assert "has an adapter beside its weights (adapter_config.json)" in refused(folder)
    check_local(local(folder, untrained=True))


def test_an_adapter_alone_is_refused(tmp_path):
    (tmp_path / "adapter_config.json").write_text("{}")
    assert "is an adapter without its model; merge the two" in refused(tmp_path)


@pytest.mark.parametrize("key", ["quantization_config", "compression_config"])
@pytest.mark.parametrize("inside", [False, True])
def test_quantised_weights_are_refused(folder, key, inside):
    method = {key: {"quant_method": "gptq", "bits": 4}}
    edit(folder / "config.json", **({"text_config": method} if inside else method))
    line = refused(folder)
    assert "its weights are quantised (gptq)" in line
    assert "use the checkpoint that it was made from" in line


@pytest.mark.parametrize("name", ["quantize_config.json", "quant_config.json"])
def test_a_quantisers_own_config_is_refused(folder, name):
    (folder / name).write_text('{"bits": 4}')
    assert f"has {name}, so its weights are quantised; use the checkpoint that it was made from" in refused(folder)
    check_local(local(folder, untrained=True))


@pytest.mark.parametrize("dtype", [torch.int8, torch.uint8, torch.int32, torch.float8_e4m3fn, torch.float8_e5m2])
@pytest.mark.parametrize("prefix", ["", "model."])
@pytest.mark.parametrize("kind", ["one file", "sharded", "pickled"])
def test_weights_of_a_type_that_needs_a_scale_are_refused(folder, dtype, prefix, kind):
    """Also under the names of the model without its head, which transformers finds as well."""
    weights = load_file(folder / WEIGHTS)
    name = "model.layers.1.mlp.up_proj.weight"
    weights[name] = (weights[name] * 100).to(dtype)
    stored = {one.removeprefix(prefix) if prefix else one: tensor for one, tensor in weights.items()}
    save_file(stored, folder / WEIGHTS, metadata={"format": "pt"})
    if kind == "sharded":
        (folder / WEIGHTS).rename(folder / "model-00001-of-00001.safetensors")
        (folder / INDEX).write_text(
            json.dumps({"metadata": {}, "weight_map": dict.fromkeys(stored, "model-00001-of-00001.safetensors")})
        )
    elif kind == "pickled":
        pickled(folder)
    line = refused(folder, allow_pickle=True)
    assert f"its weights are quantised, and config.json does not say how: {name.removeprefix(prefix)} of type" in line


def test_experts_that_transformers_puts_together_are_looked_at(tmp_path, tokenizer):
    sizes = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1, "num_local_experts": 2}
    heads = {"num_attention_heads": 2, "num_key_value_heads": 2}
    random_model(MixtralConfig(vocab_size=len(tokenizer), **sizes, **heads), 0).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    check_local(local(tmp_path))
    weights = load_file(tmp_path / WEIGHTS)
    name = next(one for one in weights if "experts.1." in one)
    save_file({**weights, name: weights[name].to(torch.int8)}, tmp_path / WEIGHTS, metadata={"format": "pt"})
    assert f"{name} of type I8" in refused(tmp_path)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_weights_of_other_floating_types_are_no_fault(folder, dtype):
    weights = {name: one.to(dtype) for name, one in load_file(folder / WEIGHTS).items()}
    save_file(weights, folder / WEIGHTS, metadata={"format": "pt"})
    check_local(local(folder))
    pickled(folder)
    check_local(local(folder, allow_pickle=True))


def test_pickled_weights_are_read_where_they_are_allowed(folder, tmp_path, tiny_folder):
    pickled(folder)
    assert f"its weights are only in {PICKLE}, a pickle" in refused(folder)
    prepare_model(source=local(folder, allow_pickle=True), settings=TRAINING, model=tmp_path / "m")
    assert torch.equal(
        load_model(tmp_path / "m").model.lm_head.weight, load_file(tiny_folder / WEIGHTS)["lm_head.weight"]
    )


class Harm:
    def __reduce__(self):
        return (print, ("this must not run",))


def test_code_in_a_pickle_is_not_run(folder, capsys):
    (folder / WEIGHTS).unlink()
    torch.save({"lm_head.weight": Harm()}, folder / PICKLE)
    line = refused(folder, allow_pickle=True)
    assert f"{PICKLE}: is damaged, or cannot be loaded as tensors alone" in line
    assert "weights_only" not in line
    assert "must not run" not in capsys.readouterr().out


def test_other_pickles_are_no_weights(folder):
    (folder / WEIGHTS).rename(folder / "training_args.bin")
    assert "has no weights (model.safetensors); training_args.bin is not read" in refused(folder, allow_pickle=True)


@pytest.mark.parametrize("name", [WEIGHTS, "tokenizer.json", "config.json", "generation_config.json"])
def test_a_pointer_in_the_place_of_a_file_is_told(folder, name):
    (folder / name).write_bytes(POINTER)
    assert f"{name}: is a git-lfs pointer and not the file; run `git lfs pull`" in refused(folder)


def test_a_pointer_in_the_place_of_a_pickle_is_told(folder):
    (folder / WEIGHTS).unlink()
    (folder / PICKLE).write_bytes(POINTER)
    assert f"{PICKLE}: is a git-lfs pointer" in refused(folder, allow_pickle=True)


def test_a_file_that_was_cut_short_is_told(folder):
    whole = (folder / WEIGHTS).read_bytes()
    (folder / WEIGHTS).write_bytes(whole[: len(whole) // 2])
    assert f"{WEIGHTS}: is damaged or cut short" in refused(folder)
    (folder / WEIGHTS).write_bytes(b"")
    assert f"{WEIGHTS}: is empty" in refused(folder)


def test_shards_that_are_missing_are_named(folder):
    sharded(folder)
    check_local(local(folder))
    first, second, *others = sorted(folder.glob("model-*.safetensors"))
    second.unlink()
    assert f"of its {len(others) + 2} files these are not there: {second.name};" in refused(folder)
    for one in (first, *others):
        one.unlink()
    assert f"... ({len(others) + 2}); fetch them" in refused(folder)


def test_shards_without_their_index_are_no_weights(folder):
    sharded(folder)
    (folder / INDEX).unlink()
    assert "has no weights (model.safetensors); model-00001-of-" in refused(folder)


@pytest.mark.parametrize("where", ["absolute", "above", "through"])
def test_an_index_that_names_files_elsewhere_is_refused(folder, where):
    sharded(folder)
    content = json.loads((folder / INDEX).read_text())
    named = {"absolute": f"{folder}/", "above": f"../{folder.name}/", "through": "x/../"}[where]
    edit(folder / INDEX, weight_map={one: f"{named}{name}" for one, name in content["weight_map"].items()})
    assert f"{INDEX}: names {named}model-00001-of-" in refused(folder)


@pytest.mark.parametrize(
    "content", ["{}", "[]", '{"weight_map": {}}', "{", '{"weight_map": {"a": ["b"]}}', '{"metadata": {}}']
)
def test_an_index_that_is_none_is_told(folder, content):
    sharded(folder)
    (folder / INDEX).write_text(content)
    assert INDEX in refused(folder)


def test_shards_of_a_distributed_run_do_not_go_before_the_weights(folder):
    shutil.copy(folder / WEIGHTS, folder / "shard-00000-model-00001-of-00001.safetensors")
    assert "holds a distributed run's shards" in refused(folder)


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (T5Config(), "T5Config is no causal language model"),
        (
            DistilBertConfig(architectures=["DistilBertForMaskedLM"]),
            "DistilBertForMaskedLM is no causal language model",
        ),
        (BartConfig(), "BartConfig is an encoder and a decoder"),
    ],
)
def test_other_kinds_of_models_are_told_apart_in_one_line(folder, config, said):
    (folder / "config.json").write_text(config.to_json_string())
    assert said in refused(folder)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"hidden_size": "abc"}, "'hidden_size' expected int"),
        ({"num_attention_heads": 5}, "not a multiple of the number of attention heads"),
        ({"model_type": None}, "has no model_type"),
        ({"model_type": "quux"}, "does not know model_type 'quux'"),
        ({"model_type": ["llama"]}, "config.json: has ['llama'] as model_type, and not a name"),
        ({"model_type": {"llama": 1}}, "config.json: has {'llama': 1} as model_type, and not a name"),
        ({"hidden_act": "nonsense"}, "does not know 'nonsense', which config.json names"),
        ({"transformers_weights": "../model.safetensors"}, "names ../model.safetensors, which is not in this folder"),
        ({"transformers_weights": ["a"]}, "has no weights (['a'])"),
    ],
)
def test_a_config_that_cannot_be_used_says_why(folder, changes, said):
    edit(folder / "config.json", **changes)
    assert said in refused(folder)


def test_a_config_that_is_no_json_is_told(folder):
    (folder / "config.json").write_text("{'hidden_size': 32}")
    assert "config.json: cannot be read as JSON" in refused(folder)


@pytest.fixture
def never_asked(monkeypatch, folder):
    """A folder with code that must not run, and a terminal that must not be asked."""
    monkeypatch.setattr(builtins, "input", lambda *_: pytest.fail("asked"))
    (folder / "code.py").write_text("raise SystemExit('the code ran')")
    return folder


def test_code_of_a_model_is_never_run(never_asked):
    edit(never_asked / "config.json", model_type="quux", auto_map=CODE)
    assert "comes with code of its own (auto_map), which is never run" in refused(never_asked)


def test_code_of_a_tokenizer_is_never_run(never_asked):
    edit(never_asked / "tokenizer_config.json", tokenizer_class="Quux", auto_map=CODE)
    assert "comes with code of its own (auto_map), which is never run" in refused(never_asked)


def test_code_beside_a_model_that_transformers_has_is_not_run(never_asked, tmp_path):
    edit(never_asked / "config.json", auto_map=CODE)
    prepare_model(source=local(never_asked), settings=TRAINING, model=tmp_path / "m")
    assert isinstance(load_model(tmp_path / "m").model, LlamaForCausalLM)


def test_a_tokenizer_of_an_unknown_kind_is_told(folder):
    content = json.loads((folder / "tokenizer.json").read_text())
    content["model"]["type"] = "Quux"
    (folder / "tokenizer.json").write_text(json.dumps(content))
    assert "tokenizer.json is not read by tokenizers" in refused(folder)


@pytest.mark.parametrize("key", ["_attn_implementation", "attn_implementation"])
@pytest.mark.parametrize("untrained", [False, True])
def test_a_checkpoint_does_not_choose_the_code_of_its_attention(folder, tmp_path, monkeypatch, key, untrained):
    monkeypatch.setattr(
        "transformers.modeling_utils.lazy_import_flash_attention", lambda *_, **__: pytest.fail("fetched code")
    )
    edit(folder / "config.json", **{key: "kernels-community/flash-attn"})
    source = local(folder, untrained=untrained)
    prepare_model(source=source, settings=TRAINING, model=tmp_path / "m")
    assert load_model(tmp_path / "m").model.config._attn_implementation == "sdpa"


def test_an_untrained_model_that_cannot_be_made_is_refused(folder):
    edit(folder / "config.json", hidden_act="nonsense")
    assert "no model can be made of it: transformers" in refused(folder, untrained=True)


def without_tokenizer(folder):
    for path in folder.glob("tokenizer*"):
        path.unlink()


@pytest.mark.parametrize(
    ("kind", "files"),
    [
        ("LlamaTokenizer", "tokenizer.model, tokenizer.json"),
        ("GPT2Tokenizer", "vocab.json, merges.txt"),
        ("BertTokenizer", "vocab.txt, tokenizer.json"),
        ("GemmaTokenizer", "tokenizer.json"),
        ("T5Tokenizer", "spiece.model, tokenizer.json"),
    ],
)
def test_a_tokenizer_without_its_files_names_them(folder, kind, files):
    without_tokenizer(folder)
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": kind}))
    assert f"its {kind} has no vocabulary, since files are missing ({files});" in refused(folder)


def test_a_vocabulary_without_its_merges_is_refused(folder):
    content = json.loads((folder / "tokenizer.json").read_text())
    without_tokenizer(folder)
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "GPT2Tokenizer"}))
    (folder / "vocab.json").write_text(json.dumps(content["model"]["vocab"]))
    assert "vocab.json is there without merges.txt; fetch that file" in refused(folder)


def test_a_folder_without_a_tokenizer_says_so_in_a_short_line(folder):
    without_tokenizer(folder)
    line = refused(folder)
    assert line == (
        f"{folder}: has no tokenizer that can be loaded: none of its files is there (tokenizer.json); fetch those of "
        "the checkpoint's tokenizer"
    )


def test_a_sentencepiece_tokenizer_alone_says_what_to_install(folder, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    (folder / "tokenizer.json").rename(folder / "tokenizer.model")
    assert "tokenizer.model is SentencePiece's, without a tokenizer.json; `pip install sentencepiece" in refused(folder)


def test_what_loading_reads_is_pinned_and_nothing_else(folder, tmp_path):
    read = ["merges.txt", "vocab.txt", "tokenizer.model", "chat_template.jinja"]
    for name in (*read, "README.md", "optimizer.pt", "training_args.bin", "code.py"):
        (folder / name).write_text("x")
    pinned = pin_local(local(folder), tmp_path).files
    own = ["config.json", "generation_config.json", WEIGHTS, "tokenizer.json", "tokenizer_config.json"]
    assert sorted(pinned) == sorted([*own, *read])
    sharded(folder)
    assert {name for name in pin_local(local(folder), tmp_path).files if "safetensors" in name} == {
        path.name for path in folder.glob("model*safetensors*")
    }
