import pytest
import torch

from workflow_scripts.lib.hidden_states import StateError, batches, check_states, last_token
from workflow_scripts.lib.lora import Tuning, save_adapter, tune, with_adapter
from workflow_scripts.lib.prompts import TuningExample

pytestmark = pytest.mark.stage
LENGTHS = (3, 17, 5, 9, 31, 4, 4, 12)
LABELS = [[50], [60, 61], [60, 62, 63]]


@pytest.fixture(scope="module")
def prompts():
    draw = torch.Generator().manual_seed(0)
    return [torch.randint(5, 300, (n,), generator=draw).tolist() for n in LENGTHS]


def alone(model, ids):
    """One prompt, no padding, as transformers itself gives it."""
    with torch.inference_mode():
        output = model(torch.tensor([ids]), output_hidden_states=True)
    return torch.stack([layer[0, -1] for layer in output.hidden_states]), output.logits[0].log_softmax(-1)


@pytest.mark.parametrize("budget", [1, 40, 10_000])
def test_states_equal_those_of_each_prompt_alone(tiny_model, prompts, budget):
    read = last_token(tiny_model, prompts, LABELS, tokens_per_batch=budget)
    for i, ids in enumerate(prompts):
        states, log_probs = alone(tiny_model, ids)
        assert torch.allclose(read.states[i], states, rtol=1e-5, atol=1e-5 * states.abs().max())
        assert read.top_token[i] == log_probs[-1].argmax()
    assert read.states.shape == (len(LENGTHS), tiny_model.config.num_hidden_layers + 1, 32)


def test_layer_0_is_the_embedding_and_the_last_is_normed(tiny_model, prompts):
    read = last_token(tiny_model, prompts, LABELS, tokens_per_batch=100)
    head = tiny_model.get_output_embeddings()
    with torch.inference_mode():
        logits = head(read.states[:, -1])
    assert torch.equal(logits.argmax(-1), read.top_token)


def test_a_label_of_several_tokens_scores_their_sum(tiny_model, prompts):
    read = last_token(tiny_model, prompts, LABELS, tokens_per_batch=100)
    for i, ids in enumerate(prompts):
        for j, label in enumerate(LABELS):
            _, log_probs = alone(tiny_model, [*ids, *label])
            expected = sum(log_probs[len(ids) - 1 + at, token] for at, token in enumerate(label))
            assert read.label_log_probs[i, j].item() == pytest.approx(expected.item(), abs=1e-4)


def test_states_through_an_adapter_equal_those_of_each_prompt_alone(tiny_model, prompts, tmp_path):
    tuning = Tuning(4, 8, "all-linear", 1e-2, 5, 1.0)
    examples = [TuningExample([1, 20, 30], [50])]
    save_adapter(tune(tiny_model, examples, tuning, 0), tuning, tiny_model, tmp_path / "a")
    anchor = last_token(tiny_model, prompts, LABELS, tokens_per_batch=100)
    with with_adapter(tiny_model, tmp_path / "a"):
        read = last_token(tiny_model, prompts, LABELS, tokens_per_batch=100)
        expected = torch.stack([alone(tiny_model, ids)[0] for ids in prompts])
    assert torch.allclose(read.states, expected, rtol=1e-5, atol=1e-5 * expected.abs().max())
    moved = (read.states - anchor.states).norm(dim=-1)
    assert (moved[:, 0] == 0).all()  # no adapter stands before the first block
    assert (moved[:, 1:] > 0).all()


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
