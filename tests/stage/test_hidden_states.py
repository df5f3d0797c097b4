import pytest
import torch
import transformers

from tests import reference
from tests.stage.test_lora import TUNING, saved
from workflow_scripts.lib.forward import reader as hidden_states
from workflow_scripts.lib.forward import runner
from workflow_scripts.lib.forward.reader import Reader, StateError, check_states
from workflow_scripts.lib.forward.runner import PromptError
from workflow_scripts.lib.forward.token_batches import batches
from workflow_scripts.lib.lora.apply import with_adapter
from workflow_scripts.lib.models.weights import random_model

pytestmark = pytest.mark.stage
LENGTHS = (3, 17, 5, 9, 31, 4, 4, 12)
LABELS = [[50], [60, 61], [60, 62, 63]]
ROTARY = {
    "vocab_size": 300,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 512,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": None,
    # The usual 0.02 leaves so little to attention that a wrong prefix would not show.
    "initializer_range": 0.3,
}
OTHER = {key: value for key, value in ROTARY.items() if key != "num_key_value_heads"}
GPT2 = {"vocab_size": 300, "n_embd": 32, "n_layer": 3, "n_head": 4, "initializer_range": 0.3}
SHARING = {
    "llama": transformers.LlamaConfig(**ROTARY),
    "mistral": transformers.MistralConfig(**ROTARY, sliding_window=4096),
    "qwen2": transformers.Qwen2Config(**ROTARY),
    "qwen3": transformers.Qwen3Config(**ROTARY, head_dim=8),
    "gpt2": transformers.GPT2Config(**GPT2, bos_token_id=1, eos_token_id=2),
    "neox": transformers.GPTNeoXConfig(**OTHER),
    "opt": transformers.OPTConfig(
        **{**OTHER, "pad_token_id": 0}, ffn_dim=64, word_embed_proj_dim=32, init_std=0.3, do_layer_norm_before=True
    ),
    "gptj": transformers.GPTJConfig(**GPT2, rotary_dim=4, bos_token_id=1, eos_token_id=2),
    "bloom": transformers.BloomConfig(
        vocab_size=300, hidden_size=32, n_layer=3, n_head=4, initializer_range=0.3, bos_token_id=1, eos_token_id=2
    ),
    "gemma": transformers.GemmaConfig(**ROTARY, head_dim=8),
    "gemma2": transformers.Gemma2Config(**ROTARY, head_dim=8, final_logit_softcapping=3.0),
}
WHOLE = {
    "a state space": (
        transformers.MambaConfig(vocab_size=300, hidden_size=32, num_hidden_layers=3, initializer_range=0.3),
        "MambaForCausalLM has no keys",
    ),
}


def random_ids(*lengths):
    draw = torch.Generator().manual_seed(sum(lengths))
    return [torch.randint(5, 300, (n,), generator=draw).tolist() for n in lengths]


def close(states, expected):
    """Within 1e-5 of each layer's norm."""
    return ((states - expected).norm(dim=-1) <= 1e-5 * expected.norm(dim=-1)).all()


def assert_equal_to_each_prompt_alone(model, prefix, queries, read):
    for i, ids in enumerate(queries):
        states, log_probs = reference.alone(model, prefix + ids)
        assert close(read.states[i], states)
        assert read.top_token[i] == log_probs[-1].argmax()
        for j, label in enumerate(LABELS):
            expected = reference.label_log_prob(model, prefix + ids, label)
            assert read.label_log_probs[i, j].item() == pytest.approx(expected, rel=1e-5, abs=1e-4)
        spelled = [j for j, label in enumerate(LABELS) if reference.written(model, prefix + ids, len(label)) == label]
        assert [read.open_label[i].item()] == (spelled or [-1])


@pytest.fixture(scope="module", params=SHARING)
def sharing_model(request):
    return random_model(SHARING[request.param], seed=0).eval()


@pytest.mark.parametrize("before", [0, 1, 2, 23])
def test_states_equal_those_of_each_prompt_alone(sharing_model, before, capsys):
    (prefix,), queries = random_ids(before), random_ids(*LENGTHS)
    for budget in (1, 40, 10_000):
        read = Reader(sharing_model, LABELS, tokens_per_batch=budget).read(prefix, queries)
        assert_equal_to_each_prompt_alone(sharing_model, prefix, queries, read)
    assert "whole prompts" not in capsys.readouterr().err


def test_the_prefix_is_seen_and_left_as_it_was(sharing_model):
    prefix, other, *queries = random_ids(23, 23, *LENGTHS)
    reader = Reader(sharing_model, LABELS, tokens_per_batch=40)
    read, differs, again = (reader.read(one, queries) for one in (prefix, other, prefix))
    assert torch.equal(read.states, again.states)
    assert torch.equal(read.label_log_probs, again.label_log_probs)
    assert not close(read.states[:, 1:], differs.states[:, 1:])


def test_queries_alone_have_the_same_states_in_batches_of_their_own(sharing_model, monkeypatch):
    prefix, *queries = random_ids(23, *LENGTHS)
    reader = Reader(sharing_model, LABELS, tokens_per_batch=10_000)
    together, sizes, whole = reader.read(prefix, queries), [], hidden_states.last_states

    def forward(model, ways, past, batch, span):
        sizes.append(len(batch))
        return whole(model, ways, past, batch, span)

    monkeypatch.setattr(hidden_states, "last_states", forward)
    assert close(reader.read(prefix, queries, alone=True).states, together.states)
    assert sizes == [1] * len(LENGTHS)


def test_the_order_of_queries_changes_nothing(sharing_model):
    prefix, *queries = random_ids(23, *LENGTHS)
    reader = Reader(sharing_model, LABELS, tokens_per_batch=40)
    read, turned = reader.read(prefix, queries), reader.read(prefix, queries[::-1])
    assert close(turned.states.flip(0), read.states)
    assert torch.equal(turned.top_token.flip(0), read.top_token)


def test_attention_is_folded_where_it_can_be_exchanged():
    found = {name: Reader(random_model(SHARING[name], 0).eval(), LABELS, tokens_per_batch=1).ways for name in SHARING}
    assert {name for name, ways in found.items() if not ways.folding} == {"gptj", "bloom"}
    assert all(ways.hooks and ways.sharing for ways in found.values())


def test_layer_0_is_the_embedding_and_the_last_is_normed(tiny_model):
    prefix, *queries = random_ids(23, *LENGTHS)
    read = Reader(tiny_model, LABELS, tokens_per_batch=100).read(prefix, queries)
    with torch.inference_mode():
        logits = tiny_model.get_output_embeddings()(read.states[:, -1])
    assert torch.equal(logits.argmax(-1), read.top_token)
    assert read.states.shape == (len(LENGTHS), tiny_model.config.num_hidden_layers + 1, 32)


def test_the_open_label_is_the_one_that_the_model_writes(sharing_model):
    prefix, *queries = random_ids(23, *LENGTHS)
    written = [reference.written(sharing_model, prefix + ids, 3) for ids in queries]
    first = written[0]
    labels = [[*first[:2], (first[2] + 1) % 300], first]  # the other one begins as what is written does
    read = Reader(sharing_model, labels, tokens_per_batch=100).read(prefix, queries)
    assert read.open_label.tolist() == [1 if one == first else 0 if one == labels[0] else -1 for one in written]


@pytest.mark.parametrize("kind", WHOLE)
def test_whole_prompts_where_a_prefix_cannot_be_shared(kind, capsys):
    config, said = WHOLE[kind]
    model = random_model(config, seed=0).eval()
    prefix, *queries = random_ids(23, *LENGTHS)
    reader = Reader(model, LABELS, tokens_per_batch=100)
    reader.read(prefix, queries)
    assert_equal_to_each_prompt_alone(model, prefix, queries, reader.read(prefix, queries))
    assert capsys.readouterr().err.count(said) == 1


def test_a_window_that_no_prompt_exceeds_hides_nothing():
    model = random_model(transformers.MistralConfig(**ROTARY, sliding_window=20), seed=0).eval()
    prefix, *queries = random_ids(9, 3, 9)
    reader = Reader(model, LABELS, tokens_per_batch=100)
    assert not reader.split(prefix, queries, 2)[0].windowed
    assert_equal_to_each_prompt_alone(model, prefix, queries, reader.read(prefix, queries))


def test_states_through_an_adapter_equal_those_of_each_prompt_alone(tiny_model, tmp_path):
    folder = saved(tiny_model, tmp_path / "a", TUNING)
    prefix, *queries = random_ids(2, *LENGTHS)
    reader = Reader(tiny_model, LABELS, tokens_per_batch=100)
    anchor = reader.read(prefix, queries)
    with with_adapter(tiny_model, folder):
        read = reader.read(prefix, queries)
        assert_equal_to_each_prompt_alone(tiny_model, prefix, queries, read)
    moved = (read.states - anchor.states).norm(dim=-1)
    assert (moved[:, 0] == 0).all()  # no adapter stands before the first block
    assert (moved[:, 1:] > 0).all()
    assert torch.equal(reader.read(prefix, queries).states, anchor.states)


def test_too_little_memory_halves_the_batches_and_says_so(tiny_model, capsys, monkeypatch):
    prefix, *queries = random_ids(23, *LENGTHS)
    reader = Reader(tiny_model, LABELS, tokens_per_batch=200)
    expected = reader.read(prefix, queries)

    def rows_that_fit(limit):
        def forward(model, ways, past, batch, span):
            if len(batch) > limit:
                raise torch.OutOfMemoryError
            return whole(model, ways, past, batch, span)

        return forward

    whole = hidden_states.last_states
    monkeypatch.setattr(hidden_states, "last_states", rows_that_fit(2))
    assert close(reader.read(prefix, queries).states, expected.states)
    assert reader.budget.tokens < 200
    assert "out of memory: 100 tokens a batch from here" in capsys.readouterr().err
    monkeypatch.setattr(hidden_states, "last_states", rows_that_fit(0))
    with pytest.raises(PromptError, match="memory does not hold a prompt of 26 tokens alone; use fewer shots"):
        reader.read(prefix, queries)


def test_demonstrations_that_memory_does_not_hold_are_said_to_be_too_long(tiny_model, monkeypatch):
    def full(*_, **__):
        raise torch.OutOfMemoryError

    prefix, *queries = random_ids(23, *LENGTHS)
    reader = Reader(tiny_model, LABELS, tokens_per_batch=200)
    monkeypatch.setattr(runner, "encoded", full)
    with pytest.raises(PromptError, match="memory does not hold a prompt of 23 tokens"):
        reader.read(prefix, queries)


def test_batches_keep_every_prompt_once_within_the_budget():
    made = list(batches(LENGTHS, 40))
    assert sorted(i for batch in made for i in batch) == list(range(len(LENGTHS)))
    assert all(len(batch) * max(LENGTHS[i] for i in batch) <= 40 for batch in made)
    assert list(batches([100], 10)) == [[0]]


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), 0.0])
def test_bad_states_are_refused_where_they_arise(bad):
    states = torch.ones(3, 2, 4)
    states[1, 1] = bad
    with pytest.raises(StateError, match="prompt 1: the state at layer 1"):
        check_states(states)
