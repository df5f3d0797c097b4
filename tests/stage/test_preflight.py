"""The check of a study, with a model and a data set from files."""

import csv
from pathlib import Path

import pytest
import yaml
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, LlamaConfig, Phi3Config

from tests.conftest import tiny_config
from tests.hand_tokenizers import byte_level
from workflow_scripts.lib.models.load import random_model
from workflow_scripts.lib.study import preflight

pytestmark = pytest.mark.stage
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def tokenizer():
    made = byte_level("<|endoftext|> $A")
    made.add_tokens(["wonderful"])
    return made


@pytest.fixture(scope="module")
def model(tmp_path_factory, tokenizer):
    """A model that lacks an embedding for the tokenizer's last token."""
    folder = tmp_path_factory.mktemp("models") / "tiny"
    random_model(tiny_config("llama", len(tokenizer) - 1), seed=0).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def checked(
    folder,
    model,
    texts,
    *flags,
    labels=("positive", "negative"),
    more_labels=None,
    targets="attention",
    arms=(),
    imported=None,
):
    """Check a study over these texts, the first two of which are queries."""
    for name, some in {"queries": texts[:2], "pool": texts[2:]}.items():
        with (folder / f"{name}.csv").open("w", newline="") as file:
            csv.writer(file).writerows([("text", "label"), *((text, i % 2) for i, text in enumerate(some))])
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    params |= {"queries": 2, "draws": 2, "factors": {"shots": [1]}, "reference": {"shots": 2, "labels": "gold"}}
    params["tune_lora"]["target_modules"] = targets
    params["arms"] = ["anchor", "icl", "it", "both", "it-reseeded", "distilled", *arms]
    params["imported"] = imported or {}
    params["models"] = {"tiny": {"source": "local", "path": str(model)}}
    params["datasets"] = {
        "films": {
            "source": "local",
            "format": "csv",
            "pool": str(folder / "pool.csv"),
            "queries": str(folder / "queries.csv"),
            "labels": {"0": labels[0], "1": labels[1], **(more_labels or {})},
            "template": {"query": "Review: {text}\nLabel:"},
        }
    }
    (folder / "params.yaml").write_text(yaml.safe_dump(params))
    preflight.main(str(folder / "params.yaml"), *flags)


TEXTS = ["film one", "film two", "very good", "very fine"]


def test_prompts_of_each_arm_are_shown(tmp_path, model, capsys):
    checked(tmp_path, model, TEXTS)
    said = capsys.readouterr().err
    assert "models.tiny with datasets.films:\n  label positive  tokens Ġpositive  ids" in said
    assert "prompt of anchor, it, it-reseeded, distilled: 10 tokens, states at the last one, ':'" in said
    assert "  | <|endoftext|>Review: film one\n    | Label:" in said
    assert "prompt of icl, both: 28 tokens" in said


def test_in_brief_only_what_is_odd_is_told(tmp_path, model, capsys):
    checked(tmp_path, model, TEXTS, "--brief")
    assert "datasets.films" not in capsys.readouterr().err
    checked(tmp_path, model, TEXTS, "--brief", labels=("good", "good film"))
    said = capsys.readouterr().err
    assert "models.tiny with datasets.films:\n  note: one label begins with another" in said
    assert "prompt of" not in said


@pytest.mark.parametrize("flags", [(), ("--brief",)])
def test_classes_that_pool_or_queries_lack_are_told(tmp_path, model, capsys, flags):
    checked(tmp_path, model, TEXTS, *flags, more_labels={"2": "mixed", "3": "mixed", "4": None})
    said = capsys.readouterr().err
    assert "  note: pool: none of the 2 examples has label mixed\n" in said
    assert "  note: queries: none of the 2 examples has label mixed\n" in said
    assert "draws:\n  note: 2 draws allow no test" in said
    assert said.count("  note: ") == 3


def test_a_prompt_that_the_model_has_no_embedding_for_stops_the_study(tmp_path, model, tokenizer):
    line = rf"models.tiny with datasets.films: query-000001: the model has embeddings for {len(tokenizer) - 1} tokens"
    with pytest.raises(SystemExit, match=line):
        checked(tmp_path, model, ["film one", "a wonderful two", "very good", "very fine"])


def test_modules_of_a_layer_that_only_the_whole_model_has_can_be_named(tmp_path, model):
    checked(tmp_path, model, TEXTS, targets=["model.layers.2.self_attn.q_proj"])
    with pytest.raises(SystemExit, match=r"models.tiny: tune_lora.target_modules: .*layers.3.* not found"):
        checked(tmp_path, model, TEXTS, targets=["model.layers.3.self_attn.q_proj"])


def test_a_label_that_the_model_has_no_embedding_for_stops_the_study(tmp_path, model):
    with pytest.raises(SystemExit, match="label word 'wonderful': the model has embeddings for"):
        checked(tmp_path, model, TEXTS, labels=("good", "wonderful"))


def test_an_adapter_from_elsewhere_is_checked_against_its_model(tmp_path, model):
    how = {"arms": ["imported"], "imported": {"tiny": str(tmp_path / "adapter")}}
    with pytest.raises(SystemExit, match=r"imported.tiny: .*adapter: no adapter that can be read"):
        checked(tmp_path, model, TEXTS, **how)
    whole = get_peft_model(load_model_of(model), LoraConfig(r=2, target_modules=["q_proj"], task_type="CAUSAL_LM"))
    whole.save_pretrained(tmp_path / "adapter")
    checked(tmp_path, model, TEXTS, **how)
    wider = random_model(LlamaConfig(**{**tiny_config("llama", 99).to_dict(), "hidden_size": 64}), seed=0)
    get_peft_model(wider, LoraConfig(r=2, task_type="CAUSAL_LM")).save_pretrained(tmp_path / "adapter")
    line = r"imported.tiny: .*: no adapter that fits this model: .*q_proj is \[32, 32\], not \[32, 64\]"
    with pytest.raises(SystemExit, match=line):
        checked(tmp_path, model, TEXTS, **how)


def load_model_of(folder):
    return AutoModelForCausalLM.from_pretrained(folder)


def test_a_prefix_that_prompts_cannot_share_is_refused_by_the_check(tmp_path, tokenizer, model):
    checked(tmp_path, model, TEXTS, arms=["prefix"])
    turn = {"rope_type": "longrope", "short_factor": [1.0] * 4, "long_factor": [3.0] * 4, "rope_theta": 10_000.0}
    config = Phi3Config(
        vocab_size=len(tokenizer), hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, pad_token_id=0, original_max_position_embeddings=20,
        rope_parameters={**turn, "original_max_position_embeddings": 20},
    )  # fmt: skip
    random_model(config, seed=0).save_pretrained(tmp_path / "turns")
    tokenizer.save_pretrained(tmp_path / "turns")
    line = "models.tiny with datasets.films: Phi3ForCausalLM has no keys and values of a prefix that prompts of 28 to"
    with pytest.raises(SystemExit, match=line):
        checked(tmp_path, tmp_path / "turns", TEXTS, arms=["prefix"])
