"""What a model allows is found against the model as a user would call it; what cannot be compared is refused."""

import pytest
import torch
import transformers
from transformers import CONFIG_MAPPING

from tests import reference
from tests.stage.test_hidden_states import OTHER, ROTARY, assert_equal_to_each_prompt_alone, random_ids
from tests.stage.test_lora import TUNING, varied
from workflow_scripts.lib.data.prompts import Completion
from workflow_scripts.lib.forward.allowed import ArchitectureError, found_ways
from workflow_scripts.lib.forward.reader import Reader
from workflow_scripts.lib.forward.rope_lengths import LengthError
from workflow_scripts.lib.forward.token_batches import batches
from workflow_scripts.lib.lora.config import TuningError
from workflow_scripts.lib.lora.targets import all_linear
from workflow_scripts.lib.lora.train import Case, tune
from workflow_scripts.lib.models.context import context_length
from workflow_scripts.lib.models.files import ModelError
from workflow_scripts.lib.models.weights import random_model
from workflow_scripts.lib.study.trial import check_names, renamed, small_copy, try_out

pytestmark = pytest.mark.stage
LABELS = [[50], [60, 61], [60, 62, 63]]
TURN = 24  # tokens up to which the long-rope model has its short factors


def built(config):
    return random_model(config, seed=0).eval()


def long_rope():
    rope = {"rope_type": "longrope", "short_factor": [1.0] * 4, "long_factor": [3.0] * 4, "rope_theta": 10_000.0}
    sizes = {**ROTARY, "pad_token_id": 0, "original_max_position_embeddings": TURN}
    return built(transformers.Phi3Config(**sizes, rope_parameters={**rope, "original_max_position_embeddings": TURN}))


@pytest.mark.parametrize("kind", [transformers.BertConfig, transformers.RobertaConfig, transformers.ElectraConfig])
def test_encoders_are_refused(kind):
    model = built(kind(**{**OTHER, "pad_token_id": 1}, is_decoder=False))
    with pytest.raises(ArchitectureError, match=r"no causal language model as its config.*is_decoder: true"):
        found_ways(model)


def test_a_decoder_that_looks_ahead_is_refused():
    model = built(transformers.Gemma3TextConfig(**ROTARY, head_dim=8, use_bidirectional_attention=True))
    with pytest.raises(ArchitectureError, match="depends on the tokens after it"):
        found_ways(model)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_lower_precision_is_no_looking_ahead(dtype):
    mixture = transformers.MixtralConfig(**ROTARY, num_local_experts=8)
    assert found_ways(built(mixture).to(dtype)).hooks
    with pytest.raises(ArchitectureError, match="depends on the tokens after it"):
        found_ways(built(transformers.BertConfig(**OTHER)).to(dtype))


def test_states_that_are_not_finite_are_told_from_looking_ahead():
    model = built(transformers.LlamaConfig(**ROTARY))
    model.model.layers[1].register_forward_hook(lambda _, __, out: out * torch.inf)
    with pytest.raises(ArchitectureError, match="has states that are not finite in float32; choose another `dtype`"):
        found_ways(model)


def test_logits_that_a_model_masks_are_no_difference():
    model = built(transformers.LlamaConfig(**ROTARY))
    model.lm_head.register_forward_hook(lambda _, __, out: out.index_fill(-1, torch.tensor([7]), -torch.inf))
    assert found_ways(model).folding


def test_positions_that_a_model_counts_otherwise_are_left_to_it():
    """RoBERTa counts from padding_idx + 1."""
    model = built(transformers.RobertaConfig(**{**OTHER, "pad_token_id": 1}, is_decoder=True))
    assert not found_ways(model).positions
    prefix, *queries = random_ids(9, 3, 17, 5, 5)
    read = Reader(model, LABELS, tokens_per_batch=60).read(prefix, queries)
    assert_equal_to_each_prompt_alone(model, prefix, queries, read)


def test_embeddings_of_another_width_than_the_states_are_refused():
    """The shape of OPT-350m."""
    sizes = {**OTHER, "pad_token_id": 0, "ffn_dim": 64, "do_layer_norm_before": False}
    model = built(transformers.OPTConfig(**sizes, word_embed_proj_dim=16))
    with pytest.raises(ArchitectureError, match="has states of 16 and 32 dimensions at different layers"):
        found_ways(model)


def test_rows_that_a_model_mixes_run_alone(capsys):
    model = built(transformers.LlamaConfig(**ROTARY))
    assert found_ways(model).batching
    model.model.layers[1].register_forward_hook(lambda _, __, out: out + out[:1, :1])
    assert not found_ways(model).batching
    assert "one prompt at a time" in capsys.readouterr().err
    prefix, *queries = random_ids(9, 3, 17, 5, 5)
    read = Reader(model, LABELS, tokens_per_batch=1000).read(prefix, queries)
    assert_equal_to_each_prompt_alone(model, prefix, queries, read)
    with pytest.raises(TuningError, match="mixes the rows of a batch"):
        try_out(model, TUNING)


@pytest.mark.parametrize("before", [0, 5, 14, TURN - 1, TURN, TURN + 6])
def test_long_rope_gives_each_prompt_the_factors_of_its_own_length(before):
    model = long_rope()
    (prefix,), queries = random_ids(before), random_ids(1, 3, 8, 9, 10, 11, TURN - 1, TURN, TURN + 1, 40)
    read = Reader(model, LABELS, tokens_per_batch=10_000).read(prefix, queries)
    for i, ids in enumerate(queries):
        states, _ = reference.alone(model, prefix + ids)
        assert ((read.states[i] - states).norm(dim=-1) <= 1e-5 * states.norm(dim=-1)).all()
        for j, label in enumerate(LABELS):  # as one forward of the prompt and what of the label predicts
            _, log_probs = reference.alone(model, [*prefix, *ids, *label[:-1]])
            at = len(prefix) + len(ids) - 1
            expected = sum(log_probs[at + k, token].item() for k, token in enumerate(label))
            assert read.label_log_probs[i, j].item() == pytest.approx(expected, rel=1e-5, abs=1e-4)


def test_long_rope_shares_a_prefix_where_no_prompt_crosses(capsys):
    model = long_rope()
    for before, lengths, whole in ((5, (3, 9), False), (TURN + 1, (3, 40), False), (5, (3, 40), True)):
        prefix, *queries = random_ids(before, *lengths)
        reader = Reader(model, LABELS, tokens_per_batch=100)
        past, _ = reader.split(prefix, queries, reader.more)
        assert (past is None) == whole
    assert f"whole prompts: after {TURN} tokens the model has other rotary frequencies" in capsys.readouterr().err


def test_long_rope_is_tuned_with_the_factors_of_each_examples_own_length():
    model = long_rope().double()
    # At the turn itself a plain loop, which runs the label too, has one token more.
    examples = [Completion(ids, [50]) for ids in random_ids(6, TURN - 1, TURN + 1, 40)]
    tuning = varied(target_modules="all-linear", tokens_per_batch=10_000)
    (adapter,) = tune(model, [Case("a", examples, 0)], tuning)
    _, losses = reference.tuned(model, examples, tuning, 0)
    assert adapter.losses == pytest.approx(losses, abs=1e-9)


def test_dynamic_rope_is_refused_where_states_depend_on_earlier_prompts():
    rope = {"rope_type": "dynamic", "factor": 2.0, "rope_theta": 10_000.0}
    model = built(transformers.LlamaConfig(**{**ROTARY, "max_position_embeddings": 32}, rope_parameters=rope))
    prefix, short, long = random_ids(20, 8, 20)
    reader = Reader(model, LABELS, tokens_per_batch=100)
    assert_equal_to_each_prompt_alone(model, prefix, [short], reader.read(prefix, [short]))
    with pytest.raises(LengthError, match=r"a prompt has 42 tokens.*longer than 32 depend on the prompts before it"):
        reader.read(prefix, [long])
    with pytest.raises(LengthError, match="a prompt has 40 tokens"):
        list(tune(model, [Case("a", [Completion([*prefix, *long], [50])], 0)], TUNING))


def test_batches_do_not_reach_over_a_cut():
    made = list(batches([3, 9, 4, 5, 8, 20], 10_000, [4, 8]))
    assert made == [[0, 2], [3, 4], [1, 5]]


@pytest.mark.parametrize(
    ("config", "context"),
    [
        (transformers.LlamaConfig(max_position_embeddings=77), 77),
        (transformers.GPT2Config(n_positions=77), 77),
        (transformers.MptConfig(max_seq_len=77), 77),
        (transformers.BloomConfig(seq_length=77), 77),
        (transformers.BloomConfig(n_ctx=77), 77),
        (transformers.WhisperConfig(max_target_positions=77), 77),
        (transformers.Gemma3Config(text_config={"max_position_embeddings": 77}), 77),
        (transformers.Llama4Config(text_config={"max_position_embeddings": 77}), 77),
        (transformers.RobertaConfig(max_position_embeddings=514, pad_token_id=1), 512),
        (transformers.BloomConfig(), None),
        (transformers.MambaConfig(), None),
    ],
)
def test_the_context_is_found_under_every_name(config, context):
    assert context_length(config) == context


def tiny(name, **changes):
    return small_copy(CONFIG_MAPPING[name](**changes))


@pytest.mark.parametrize("name", ["mixtral", "qwen3_moe", "olmoe", "llama4_text", "phimoe"])
def test_all_linear_of_experts_is_what_every_token_runs_through(name):
    model = tiny(name)
    leaves = {one.rpartition(".")[2] for one in all_linear(model)}
    attention = {"q_proj", "k_proj", "v_proj", "o_proj"}
    assert attention <= leaves <= {*attention, "gate_proj", "up_proj", "down_proj"}
    try_out(model, TUNING)


def test_what_all_linear_leaves_out_is_told(capsys):
    try_out(tiny("mamba"), TUNING)
    said = capsys.readouterr().err
    assert "all-linear leaves out dt_proj, out_proj: peft does not adapt them as linear modules here" in said.replace(
        "\n", " "
    )


def test_a_model_that_takes_weights_without_their_modules_is_not_split():
    try_out(tiny("llama"), TUNING, by_parts=True)
    with pytest.raises(ModelError, match=r"Mamba.* takes weights without their modules: leave out `precision: split`"):
        try_out(tiny("mamba"), TUNING, by_parts=True)


@pytest.mark.parametrize(
    ("name", "modules", "said"),
    [
        ("mixtral", "attention", "peft knows no MixtralForCausalLM to choose for; name linear modules, here of q_proj"),
        ("mixtral", ["gate"], "only linear modules can be adapted"),
        ("mixtral", ["w1", "w2", "w3"], "only linear modules can be adapted, and .*experts"),
        ("llama4_text", ["router"], "router puts out more than a matrix product"),
        ("deepseek_v3", ["kv_b_proj"], "kv_b_proj mixes the rows of a batch"),
        ("mamba", ["in_proj", "dt_proj"], "nothing runs through backbone.layers.0.mixer.dt_proj"),
    ],
)
def test_modules_that_cannot_be_tuned_are_refused_on_the_small_copy(name, modules, said):
    with pytest.raises(TuningError, match=said):
        try_out(tiny(name), varied(target_modules=modules))


LAYERS_12 = transformers.LlamaConfig(
    vocab_size=300, hidden_size=32, intermediate_size=64, num_hidden_layers=12, num_attention_heads=4
)


@pytest.mark.parametrize(
    ("asked", "tried"),
    [
        (["model.layers.11.self_attn.q_proj"], ["model.layers.0.self_attn.q_proj"]),
        (["layers.11.mlp.up_proj", "10.mlp.up_proj"], ["model.layers.0.mlp.up_proj"]),
        (
            ["layers.1.mlp.up_proj", "layers.7.self_attn.v_proj"],
            ["layers.1.mlp.up_proj", "model.layers.0.self_attn.v_proj"],
        ),
        (["q_proj", "lm_head"], ["q_proj", "lm_head"]),
    ],
)
def test_modules_of_late_layers_are_tried_on_the_copys_own(asked, tried):
    copy, tuning = small_copy(LAYERS_12), varied(target_modules=asked)
    check_names(LAYERS_12, tuning)
    small = renamed(copy, LAYERS_12, tuning)
    assert small.target_modules == tried
    try_out(copy, small)


def test_a_late_layer_of_a_kind_that_the_copy_lacks_is_tried_with_all_others():
    config = LAYERS_12
    copy = small_copy(config)
    for layer in copy.model.layers:
        layer.mlp = torch.nn.Identity()
    asked = varied(target_modules=["layers.11.mlp.up_proj"])
    assert renamed(copy, config, asked).target_modules == "all-linear"


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (["model.layers.12.self_attn.q_proj"], "not found in the base model.*name linear modules, here of q_proj"),
        (["model.layers.11.input_layernorm"], "only linear modules|is not supported"),
    ],
)
def test_names_that_the_whole_model_lacks_are_refused(asked, said):
    with pytest.raises(TuningError, match=said):
        check_names(LAYERS_12, varied(target_modules=asked))


def test_unequal_widths_stay_unequal_in_a_copy():
    """OPT-350m's shape, and small: embeddings are of another width than the states."""
    sizes = {"hidden_size": 32, "ffn_dim": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
    for width in (16, 24, 31):
        copy = small_copy(transformers.OPTConfig(vocab_size=300, word_embed_proj_dim=width, **sizes))
        with pytest.raises(ArchitectureError, match="at different layers, which are not compared"):
            try_out(copy, TUNING)
    try_out(small_copy(transformers.OPTConfig(vocab_size=300, word_embed_proj_dim=32, **sizes)), TUNING)


def test_a_small_copy_of_a_large_model_is_small():
    config = transformers.LlamaConfig(
        vocab_size=128_256,
        hidden_size=8192,
        intermediate_size=28_672,
        num_hidden_layers=80,
        num_attention_heads=64,
        num_key_value_heads=8,
    )
    copy = small_copy(config)
    assert sum(one.numel() for one in copy.parameters()) < 5_000_000
    assert copy.config.num_key_value_heads < copy.config.num_attention_heads  # still grouped
    assert type(copy).__name__ == "LlamaForCausalLM"
