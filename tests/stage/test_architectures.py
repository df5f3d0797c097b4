"""Every family of causal language models that transformers has, as a small copy with random weights.

States and label scores equal those of each prompt alone, adapters tuned side by side those that plain peft tunes, or
the check refuses the family in one line. A few families run always, all of them with `make test-slow`.
"""

import pytest
import torch
from transformers import CONFIG_MAPPING
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

from tests import reference
from tests.stage.test_lora import TUNING
from workflow_scripts.lib.errors import StudyError
from workflow_scripts.lib.forward.reader import Reader
from workflow_scripts.lib.lora.train import tune
from workflow_scripts.lib.study.trial import CASES, small_copy, try_out

pytestmark = pytest.mark.stage
QUICK = ("bert", "bloom", "deepseek_v3", "gemma3_text", "gpt2", "gpt_oss", "llama4_text", "mamba", "mixtral", "roberta")
LABELS = [[50], [60, 61], [60, 62, 63]]

# What the defaults of a family's config leave open, or leave unfit for one another; then the exceptions, with reasons.
CHANGES: dict[str, dict] = {
    "bamba": {"attn_layer_indices": [1], "num_hidden_layers": 2},
    "dbrx": {"attn_config": {"kv_n_heads": 8, "rope_theta": 10_000.0, "clip_qkv": 8}},
    "deepseek_v2": {"num_experts_per_tok": 2, "n_group": 1, "topk_group": 1},
    "dots1": {"num_experts_per_tok": 2, "n_routed_experts": 4, "n_shared_experts": 1},
    "granitemoehybrid": {"layer_types": ["mamba", "attention"], "num_hidden_layers": 2},
    "hunyuan_v1_dense": {"head_dim": 128},
    "hunyuan_v1_moe": {"head_dim": 128, "num_experts": 4, "moe_topk": 2},
    "lfm2_moe": {"layer_types": ["conv", "full_attention"], "num_hidden_layers": 2},
    "ministral": {"head_dim": 128},
    "nemotron": {"head_dim": 128, "num_key_value_heads": 8},
    "rwkv": {"hidden_size": 64, "attention_hidden_size": 64},
    "xlm": {"causal": True},
    "xmod": {"default_language": "en_XX"},
}
NOT_MADE: dict[str, str] = {
    "bailing_hybrid": "the smallest copy has 562 million parameters",
    "blt": "the smallest copy has 387 million parameters",
    "cohere_compass_text": "its config has no rotary parameters by itself",
    "dots3_note": "with its vision tower the smallest copy has 833 million parameters",
    "gemma3n": "its vision tower needs timm; gemma3n_text is here",
    "gemma4_assistant": "drafts for another model, whose keys and values it needs",
    "gemma4_unified_assistant": "drafts for another model, whose keys and values it needs",
    "hrm_text": "the smallest copy has 983 million parameters",
    "musicgen": "continues audio, with a config of several models",
    "musicgen_melody": "continues audio, with a config of several models",
    "qwen4_exp": "its config leaves sizes open",
    "qwen4_exp_text": "its config leaves sizes open",
}
REFUSED: dict[str, str] = {
    **dict.fromkeys(("deepseek_v4", "gemma3n_text", "hy_v4"), "gives no state of every token"),  # several streams
    **dict.fromkeys(("cpmant", "prophetnet", "xlnet"), "depends on the tokens after it"),
}
UNTUNED = {"reformer": "cannot be tuned: RuntimeError"}  # its reversible layers have no usual backward pass
UNCOMPARED = {"rwkv"}  # it scales its weights in place, so that a plain loop cannot add up examples; the engine can


def family(name):
    slow = () if name in QUICK else pytest.mark.slow
    return pytest.param(name, marks=slow)


def config_of(name):
    config = CONFIG_MAPPING[name](**CHANGES.get(name, {}))
    config.is_encoder_decoder = False  # the decoder alone, for classes that are half of something
    if hasattr(config, "is_decoder"):
        config.is_decoder = True
    return config


def ids(length):
    return torch.randint(5, 250, (length,), generator=torch.Generator().manual_seed(length)).tolist()


@pytest.mark.parametrize("name", [family(name) for name in sorted(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES)])
@pytest.mark.filterwarnings("ignore")
def test_a_family(name):
    if name in NOT_MADE:
        pytest.skip(NOT_MADE[name])
    model = small_copy(config_of(name))
    assert model is not None
    if name in REFUSED:
        with pytest.raises(StudyError, match=REFUSED[name]):
            Reader(model, LABELS, tokens_per_batch=60)
        return
    assert_states_are_those_of_each_prompt_alone(model)
    if name in UNTUNED:
        with pytest.raises(StudyError, match=UNTUNED[name]):
            try_out(model, TUNING)
        return
    try_out(model, TUNING)
    if name not in UNCOMPARED:
        assert_adapters_are_those_of_peft(model)


def assert_states_are_those_of_each_prompt_alone(model):
    prefix, queries = ids(19), [ids(n) for n in (7, 3, 12, 4)]
    read = Reader(model, LABELS, tokens_per_batch=60).read(prefix, queries)
    for i, query in enumerate(queries):
        states, log_probs = reference.alone(model, prefix + query)
        assert ((read.states[i] - states).norm(dim=-1) <= 1e-4 * states.norm(dim=-1)).all()
        top = log_probs[-1].max()
        assert log_probs[-1, read.top_token[i]].item() == pytest.approx(top.item(), abs=1e-4)
        for j, label in enumerate(LABELS):
            expected = reference.label_log_prob(model, prefix + query, label)
            assert read.label_log_probs[i, j].item() == pytest.approx(expected, rel=1e-4, abs=1e-3)


def assert_adapters_are_those_of_peft(model):
    tuning = TUNING.model_copy(update={"steps": 3})
    for case, adapter in zip(CASES, tune(model, CASES, tuning), strict=True):
        weights, losses = reference.tuned(model, case.examples, tuning, case.seed)
        assert weights.keys() == adapter.weights.keys()
        # AdamW makes a whole step of a gradient that is all rounding: what that moves is small beside what is learnt.
        assert adapter.losses == pytest.approx(losses, abs=0.005 * (max(losses) - min(losses)))
