import random

import pytest
import torch
from transformers import AutoTokenizer

from workflow_scripts.lib.pocket import training as pocket_training
from workflow_scripts.lib.pocket.accuracy import (
    Accuracy,
    Cell,
    accuracy,
    draw_demonstrations,
    last_token_logits,
    prompt,
)
from workflow_scripts.lib.pocket.gate import GateError, check, gate_cells, measure
from workflow_scripts.lib.pocket.initialisation import WINDOWS
from workflow_scripts.lib.pocket.model import configuration, initial_model, tokenizer
from workflow_scripts.lib.pocket.training import draw_batch, mixture_at, rate_at, train
from workflow_scripts.lib.world.texts import (
    TASKS,
    TEMPLATE_LABEL,
    TEMPLATE_QUERY,
    TEMPLATE_SEPARATOR,
    examples,
    vocabulary,
)


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    # A model this small gains little from more, and on shared cores threads wait for each other.
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def words():
    return tokenizer()


@pytest.fixture
def untrained():
    return initial_model(seed=0)


def same_weights(first, second):
    pairs = zip(first.state_dict().items(), second.state_dict().items(), strict=True)
    return all(name == other and torch.equal(a, b) for (name, a), (other, b) in pairs)


def trained(steps, seed=0, losses=None):
    model = initial_model(seed=0)
    note = (lambda done, total, loss: losses.append((done, total, loss))) if losses is not None else ignore
    train(model, seed=seed, steps=steps, tokens_per_step=256, learning_rate=3e-3, progress=note)
    return model


def ignore(done, total, loss):
    pass


def test_tokenizer_adds_exactly_one_bos_and_none_when_told(words):
    ids = words(prompt(examples("topic", 3, 0), "we talked about the goal"))["input_ids"]
    assert ids.count(words.bos_token_id) == 1
    assert ids[0] == words.bos_token_id
    assert words.bos_token_id not in words("the goal", add_special_tokens=False)["input_ids"]


def test_pieces_tokenised_one_by_one_give_the_ids_of_the_whole(words):
    pieces = []
    for text, label in examples("sentiment", 5, 0):
        pieces += [TEMPLATE_QUERY.format(text=text), TEMPLATE_LABEL.format(label=label), TEMPLATE_SEPARATOR]
    piecewise = [id_ for piece in pieces for id_ in words(piece, add_special_tokens=False)["input_ids"]]
    assert [words.bos_token_id, *piecewise] == words("".join(pieces))["input_ids"]


def test_hand_checked_ids(words):
    known = vocabulary()
    expected = ["<s>", "text", ":", "it", "was", "great", "\n", "label", ":"]
    assert words("text : it was great\nlabel :")["input_ids"] == [known.get(word) for word in expected]


def test_no_generated_text_or_template_has_an_unknown_word(words):
    for name, task in TASKS.items():
        shown = prompt(examples(name, 300, seed=5), "this box is great")
        assert words.unk_token_id not in words(shown)["input_ids"]
        assert all(len(words(label, add_special_tokens=False)["input_ids"]) == 1 for label in task.labels)


def test_tokenizer_saves_and_loads(words, tmp_path):
    words.save_pretrained(tmp_path)
    loaded = AutoTokenizer.from_pretrained(tmp_path)
    text = prompt(examples("emotion", 4, 0), "all felt sad")
    assert loaded(text)["input_ids"] == words(text)["input_ids"]
    assert loaded.bos_token == "<s>"
    assert loaded.pad_token_id == words.pad_token_id


def test_sixteen_demonstrations_fit(words):
    longest = max(len(words(prompt(examples(name, 16, 0), "so"))["input_ids"]) for name in TASKS)
    assert longest < configuration().max_position_embeddings / 2


def test_initial_model_is_equal_by_seed_and_leaves_the_random_state(untrained):
    before = torch.random.get_rng_state()
    assert same_weights(untrained, initial_model(seed=0))
    assert torch.equal(before, torch.random.get_rng_state())
    assert not same_weights(untrained, initial_model(seed=1))
    assert untrained.num_parameters() < 1_000_000


@pytest.mark.parametrize("head", [0, 1])
def test_initial_window_heads_look_their_distance_back(untrained, words, head):
    untrained.set_attn_implementation("eager")
    ids = words(prompt(examples("topic", 4, 0), "we talked about the goal"), return_tensors="pt")["input_ids"]
    attention = untrained(ids, output_attentions=True).attentions[0][0, head]
    distances = torch.arange(8, len(attention)) - attention[8:].argmax(1)
    assert distances.median() == WINDOWS[head]


def test_initial_embeddings_share_one_direction(untrained):
    embeddings = untrained.get_input_embeddings().weight
    direction = embeddings.mean(0) / embeddings.mean(0).norm()
    # Shared component: sqrt(64) * 0.25 = 2 in every word.
    assert torch.allclose((embeddings @ direction).mean(), torch.tensor(2.0), atol=0.05)


def test_progress_counts_steps():
    losses = []
    trained(5, losses=losses)
    assert [done for done, _, _ in losses] == [1, 2, 3, 4, 5]
    assert {total for _, total, _ in losses} == {5}


def test_loss_falls(monkeypatch):
    # Of one kind of document: along the curriculum they get harder.
    monkeypatch.setattr(pocket_training, "mixture_at", lambda fraction: mixture_at(0.0))
    losses = []
    trained(80, losses=losses)
    assert sum(loss for _, _, loss in losses[-10:]) < 0.7 * sum(loss for _, _, loss in losses[:10])


def test_training_is_deterministic_whatever_the_global_random_state():
    torch.manual_seed(1)
    random.seed(1)
    first = trained(6)
    torch.manual_seed(2)
    random.seed(2)
    assert same_weights(first, trained(6))
    assert not same_weights(first, trained(6, seed=1))


def test_curriculum_goes_from_words_to_texts_to_natural_labels():
    start, middle, end = (mixture_at(fraction) for fraction in (0.0, 0.3, 1.0))
    assert start.cue_only
    assert not middle.cue_only
    assert start.natural == middle.natural == 0 < end.natural
    assert start.length < end.length
    assert start.ambiguous == 0 < end.ambiguous


def test_learning_rate_warms_up_and_decays():
    rates = [rate_at(step, 1000) for step in range(1000)]
    assert rates[0] < 0.1
    assert max(rates) == 1.0
    assert rates[-1] == pytest.approx(0.03)
    assert rates[600:] == sorted(rates[600:], reverse=True)


def test_batches_have_about_the_tokens_asked():
    batch = draw_batch(random.Random("batch"), mixture_at(0.0), 1088, vocabulary())
    assert batch.input_ids.shape == batch.label_weights.shape == (17, 64)
    assert (batch.label_weights > 0).any(1).all()


def test_logits_of_a_batch_are_those_of_single_prompts(untrained, words):
    prompts = ["text : it was great\nlabel :", prompt(examples("topic", 3, 0), "we saw the goal")]
    alone = torch.cat([last_token_logits(untrained, words, [one]) for one in prompts])
    assert torch.allclose(last_token_logits(untrained, words, prompts), alone, atol=1e-4)


def test_demonstrations_are_balanced_and_distinct():
    task = TASKS["topic"]
    drawn = draw_demonstrations(random.Random("draw"), task, examples("topic", 100, 0), 16)
    sizes = [sum(label == name for _, label in drawn) for name in task.labels]
    assert sorted(sizes) == [3, 3, 3, 3, 4]
    assert len({text for text, _ in drawn}) == 16


def test_untrained_model_labels_at_chance_without_demonstrations(untrained, words):
    for name in ("sentiment-arbitrary", "work-arbitrary"):
        found = accuracy(untrained, words, Cell(name, "gold", 0), queries=100, seed=0)
        assert found.label_set == pytest.approx(0.5, abs=0.2)


def test_gate_rejects_an_untrained_model_and_says_what_to_do(untrained, words):
    with pytest.raises(GateError, match=r"work-arbitrary: 0\.\d\d, less .* above 0\.3") as refused:
        check(measure(untrained, words, queries=40, seed=0))
    assert "Train it for more steps, or from another seed." in str(refused.value)
    assert "topic: 0." in str(refused.value)


def good_measurement():
    values = {("gold", 0): 0.5, ("gold", 8): 0.95, ("flipped", 8): 0.05}
    return {cell: Accuracy(values[cell.labels, cell.shots], 0.0) for cell in gate_cells()}


def test_gate_passes_a_model_that_learns():
    check(good_measurement())


@pytest.mark.parametrize(
    ("cell", "value", "named"),
    [
        (Cell("work-arbitrary", "gold", 0), 0.65, "0.95, less 0.65 without demonstrations"),
        (Cell("work-arbitrary", "flipped", 8), 0.2, "flipped labels: 0.20; it must be below 0.2"),
        (Cell("emotion", "gold", 8), 0.89, "emotion: 0.89; it must be at least 0.9"),
        (Cell("emotion", "gold", 8), float("nan"), "emotion: nan"),
    ],
)
def test_gate_names_what_failed(cell, value, named):
    measured = good_measurement() | {cell: Accuracy(value, 0.0)}
    with pytest.raises(GateError) as refused:
        check(measured)
    assert named in str(refused.value)
    assert str(refused.value).count("\n") == 2
