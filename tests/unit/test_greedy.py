"""Answers written and scored on a shared prefix, against transformers' own `generate` and prompts run whole."""

import pytest
import torch
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    MambaConfig,
    MambaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
)

from tests import reference
from workflow_scripts.lib.forward.reader import Reader

VOCABULARY, END, STOP, MOST = 97, 96, 50, 12
SIZES = {"vocab_size": VOCABULARY, "hidden_size": 32, "num_hidden_layers": 2, "eos_token_id": END, "bos_token_id": 1}
LLAMA = {**SIZES, "intermediate_size": 64, "num_attention_heads": 4, "num_key_value_heads": 2}
MODELS = {
    "llama": lambda: LlamaForCausalLM(LlamaConfig(**LLAMA)),
    "gpt2": lambda: GPT2LMHeadModel(GPT2Config(**SIZES, n_head=4)),
    # Prompts exceed its window.
    "sliding": lambda: MistralForCausalLM(MistralConfig(**LLAMA, sliding_window=16)),
    "mamba": lambda: MambaForCausalLM(MambaConfig(**SIZES, state_size=4)),
}
LENGTHS = (3, 7, 5, 5, 2, 9)


def rows(lengths, seed):
    dice = torch.Generator().manual_seed(seed)
    return [torch.randint(2, END, (length,), generator=dice).tolist() for length in lengths]


@pytest.fixture(scope="module", params=MODELS)
def model(request):
    torch.manual_seed(0)
    made = MODELS[request.param]().eval()
    with torch.no_grad():
        for matrix in (one for one in made.parameters() if one.dim() == 2):
            matrix.mul_(0.2 / matrix.std())  # loud enough that texts differ
    return made


@pytest.fixture(scope="module")
def reader(model):
    return Reader(model, [], tokens_per_batch=24)


def generated(model, ids):
    """What `generate` writes after a prompt, its end left out."""
    prompt = torch.tensor([ids])
    whole = model.generate(
        prompt, attention_mask=torch.ones_like(prompt), max_new_tokens=MOST, do_sample=False, pad_token_id=0
    )
    return [token for token in whole[0, len(ids) :].tolist() if token != END]


@pytest.mark.parametrize("prefix", [[], [1], rows([21], 7)[0]], ids=["nothing before", "a token", "demonstrations"])
def test_greedy_answers_are_those_of_generate(model, reader, prefix):
    queries = rows(LENGTHS, 1)
    every = [generated(model, prefix + ids) for ids in queries]
    assert len({tuple(text) for text in every}) > 1
    assert reader.write(prefix, queries, lambda text: False, most=MOST) == every


def test_an_answer_ends_where_it_is_ended_and_others_go_on(model, reader):
    queries = rows(LENGTHS, 2)
    every = [generated(model, [1, *ids]) for ids in queries]
    at = every[0][3]
    cut = [text[: text.index(at) + 1] if at in text else text for text in every]
    assert len({len(text) for text in cut}) > 1
    assert reader.write([1], queries, lambda text: text[-1] == at, most=MOST) == cut


@pytest.mark.parametrize("prefix", [[], rows([21], 7)[0]], ids=["nothing before", "demonstrations"])
def test_the_score_of_an_answer_is_the_sum_over_its_tokens(model, reader, prefix):
    queries, answers = rows(LENGTHS, 3), rows((1, 4, 2, 6, 3, 2), 4)
    expected = [reference.label_log_prob(model, prefix + ids, text) for ids, text in zip(queries, answers, strict=True)]
    for alone in (False, True):
        assert reader.score(prefix, queries, answers, alone=alone).tolist() == pytest.approx(expected, abs=1e-5)


def test_the_token_by_which_a_model_ends_its_texts_is_none_of_the_answer(model, reader):
    queries, end = rows(LENGTHS, 5), model.generation_config.eos_token_id
    every = [generated(model, [1, *ids]) for ids in queries]
    model.generation_config.eos_token_id = every[1][2]
    try:
        written = reader.write([1], queries, lambda text: False, most=MOST)
    finally:
        model.generation_config.eos_token_id = end
    assert written[1] == every[1][: every[1].index(every[1][2])]


def test_without_labels_the_states_are_read_all_the_same(model, reader):
    queries = rows(LENGTHS, 6)
    read = reader.read([1], queries)
    assert read.label_log_probs.shape == (len(queries), 0)
    for ids, states in zip(queries, read.states, strict=True):
        assert torch.allclose(states, reference.alone(model, [1, *ids])[0], atol=1e-4, rtol=1e-3)


def test_which_models_write_from_keys_and_values_of_their_own():
    found = {}
    for name, make in MODELS.items():
        torch.manual_seed(0)
        found[name] = Reader(make().eval(), [], tokens_per_batch=24)._goes_on
    assert found == {"llama": True, "gpt2": True, "sliding": True, "mamba": False}
