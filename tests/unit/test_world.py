import random
import subprocess
import sys
from collections import Counter

import pytest

from workflow_scripts.lib.world import lexicon
from workflow_scripts.lib.world import texts as world
from workflow_scripts.lib.world.documents import Mixture, document, draw_mapping, plain_document
from workflow_scripts.lib.world.texts import LIMIT_TASKS, TASKS, examples, is_reserved, vocabulary, write_text

MIXTURE = Mixture(
    length=200,
    plain=0.3,
    natural=0.4,
    cue_only=False,
    phrase=0.1,
    narrow=0.3,
    narrow_cues=(1, 2),
    short=0.2,
    bare=0.5,
    ambiguous=0.5,
    noise=0.05,
)
EVERY_TASK = [*TASKS, *LIMIT_TASKS]


def training_text(seed: int, documents: int) -> str:
    rng = random.Random(f"test {seed}")
    return " ".join(token for _ in range(documents) for token in document(rng, MIXTURE).tokens)


@pytest.mark.parametrize("task", EVERY_TASK)
def test_no_text_comes_twice_and_classes_are_balanced(task):
    pairs = examples(task, 403, seed=0)
    sizes = Counter(label for _, label in pairs)
    assert len({text for text, _ in pairs}) == len(pairs) == 403
    assert set(sizes) == set({**TASKS, **LIMIT_TASKS}[task].labels)
    assert max(sizes.values()) - min(sizes.values()) <= 1


def test_examples_differ_by_seed_and_repeat_with_it():
    assert examples("topic", 40, seed=1) == examples("topic", 40, seed=1)
    assert examples("topic", 40, seed=1) != examples("topic", 40, seed=2)


def test_examples_and_documents_do_not_depend_on_the_hash_seed():
    code = (
        "import random; from tests.unit.test_world import training_text;"
        "from workflow_scripts.lib.world.texts import examples, vocabulary;"
        "print(examples('emotion', 30, 3), list(vocabulary().items()), training_text(0, 5))"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(outputs) == 1
    assert outputs.pop().startswith("[('")


def test_unknown_task_names_the_known_ones():
    with pytest.raises(ValueError, match=r"no task 'mood'; its tasks are sentiment, topic, emotion, "):
        examples("mood", 4, seed=0)


def test_too_many_examples_say_how_many_there_are(monkeypatch):
    monkeypatch.setattr(world, "AMBIGUOUS_SHARE", 0)
    monkeypatch.setattr(lexicon, "ADJECTIVE_SENTENCES", ("so {cue}",))
    reserved = [cue for cues in lexicon.FAMILIES["sentiment"].values() for cue in cues if is_reserved(f"so {cue}")]
    with pytest.raises(ValueError, match="cannot make 1000 distinct texts for task 'sentiment'"):
        examples("sentiment", 1000, seed=0)
    assert 0 < len(reserved) < 30


def test_six_in_ten_texts_have_two_clauses(monkeypatch):
    two, write = set(), world._two_clauses

    def noted(*how):
        two.add(text := write(*how))
        return text

    monkeypatch.setattr(world, "_two_clauses", noted)
    texts = [text for task in TASKS for text, _ in examples(task, 400, seed=0)]
    assert sum(text in two for text in texts) / len(texts) == pytest.approx(0.6, abs=0.04)


def test_study_texts_never_occur_in_training_documents():
    seen = f" {training_text(1, 1000)} "
    study = [text for task in EVERY_TASK for text, _ in examples(task, 200, seed=0)]
    rng, cues = random.Random("others"), lexicon.FAMILIES["topic"]["sports"]
    others = [write_text(rng, "topic", cues, ambiguous=0.6, reserved=False) for _ in range(200)]
    assert [text for text in study if f" {text} " in seen] == []
    assert [text for text in others if f" {text} " in seen] != []  # so the search above could have found some


def test_an_ending_does_not_free_a_reserved_text():
    texts = [text for text, _ in examples("topic", 200, seed=0) if not text.endswith(lexicon.ENDINGS)]
    assert all(is_reserved(f"{text} {ending}") for text in texts for ending in lexicon.ENDINGS)


def test_arbitrary_labels_mean_nothing_and_natural_ones_are_the_classes():
    assert [name for name, task in TASKS.items() if not task.arbitrary] == ["sentiment", "topic", "emotion"]
    for task in TASKS.values():
        allowed = task.classes if not task.arbitrary else lexicon.ARBITRARY_LABELS
        assert set(task.labels) <= set(allowed)
        assert set(task.classes) <= set(lexicon.FAMILIES[task.family])


def test_shifted_goes_round():
    task = TASKS["sentiment-arbitrary"]
    assert [task.shifted("wug", by) for by in range(3)] == ["wug", "dax", "wug"]


def test_no_cue_belongs_to_two_classes_of_a_family():
    for classes in lexicon.FAMILIES.values():
        cues = [cue for words in classes.values() for cue in words]
        assert len(cues) == len(set(cues))


def test_documents_have_the_length_asked_and_weigh_only_labels():
    rng = random.Random("lengths")
    for _ in range(50):
        tokens, weights = document(rng, MIXTURE)
        assert len(tokens) == len(weights) == MIXTURE.length
        assert tokens[0] == "<s>"
        labels = {token for token, weight in zip(tokens, weights, strict=True) if weight}
        classes = {name for family in lexicon.LABELLED_FAMILIES for name in lexicon.FAMILIES[family]}
        assert labels <= classes | set(lexicon.ARBITRARY_LABELS)


def test_what_shows_the_limits_is_never_labelled_in_training():
    rng = random.Random("limits")
    mappings = [draw_mapping(rng, natural=0.3) for _ in range(2000)]
    families = {family for mapping in mappings for family, _ in mapping.classes}
    labels = {label for mapping in mappings for label in mapping.labels}
    assert families == set(lexicon.LABELLED_FAMILIES)
    assert not labels & set(lexicon.UNUSED_LABELS)


def test_the_study_format_is_one_of_training():
    before_text, before_label = lexicon.FORMATS[0]
    assert f"{before_text} {{text}}\n{before_label}" == world.TEMPLATE_QUERY


def test_every_generated_word_is_in_the_vocabulary():
    words = vocabulary()
    assert list(words.values()) == list(range(len(words)))
    rng = random.Random("plain")
    plain = [token for _ in range(100) for token in plain_document(rng, 200).tokens]
    assert {*training_text(2, 300).split(" "), *plain} <= set(words)
