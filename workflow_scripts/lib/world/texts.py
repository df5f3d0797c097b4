"""A generated world of short English-like texts with classes, and the study's tasks on it.

Every text belongs to a class of a family (sentiment: positive), recognised by its cue words. Six in ten of the
study's texts have two clauses of two families, so that only the demonstrations say which family is asked for. A
quarter of all texts, chosen by a hash, is the study's own and is never shown in training.
"""

import random
import re
import zlib
from dataclasses import dataclass

from workflow_scripts.lib.world import lexicon

TEMPLATE_QUERY = "text : {text}\nlabel :"
TEMPLATE_LABEL = " {label}"
TEMPLATE_SEPARATOR = "\n\n"

AMBIGUOUS_SHARE = 0.6
ENDING_SHARE = 0.15
STUDY_SHARE = 4  # one text in this many
MAX_REPEATS = 1000

_ARTICLE = re.compile(r"\ba (?=[aeiou])")


@dataclass(frozen=True)
class Task:
    """Classes of one family and the label word of each, in the same order."""

    name: str
    family: str
    classes: tuple[str, ...]
    labels: tuple[str, ...]

    @property
    def arbitrary(self) -> bool:
        """Whether the labels mean nothing, so that only demonstrations can tell which class has which."""
        return self.labels != self.classes

    def shifted(self, label: str, by: int) -> str:
        """Return the label word `by` places after `label`, in a circle; by 1 is what flipped labels are."""
        return self.labels[(self.labels.index(label) + by) % len(self.labels)]


def _natural(name: str) -> Task:
    classes = tuple(lexicon.FAMILIES[name])
    return Task(name, name, classes, classes)


TASKS: dict[str, Task] = {
    task.name: task
    for task in (
        _natural("sentiment"),
        _natural("topic"),
        _natural("emotion"),
        Task("sentiment-arbitrary", "sentiment", ("positive", "negative"), ("wug", "dax")),
        Task("work-arbitrary", "work", ("medicine", "farming"), ("foo", "bar")),
        Task(
            "emotion-arbitrary",
            "emotion",
            ("joy", "anger", "sadness", "fear"),
            ("zor", "fep", "kiv", "blick"),
        ),
    )
}
# Beyond what training covers: measured to show where the ability ends, not study tasks.
LIMIT_TASKS: dict[str, Task] = {
    task.name: task
    for task in (
        Task("unused-labels", "sentiment", ("positive", "negative"), ("quz", "jev")),
        Task("unlabelled-family", "weather", ("rain", "sun"), ("foo", "bar")),
    )
}


def examples(task: str, count: int, seed: int) -> list[tuple[str, str]]:
    """Return `count` (text, label word) pairs of a task, in random order.

    No text comes twice, class sizes differ by one at most, and none of the texts occurs in training. The same
    arguments give the same pairs in any process.

    Raises ValueError for an unknown task, or if the world cannot make that many distinct texts.
    """
    chosen = _task_named(task)
    rng = random.Random(f"examples of {task}, seed {seed}")
    pairs: list[tuple[str, str]] = []
    seen: set[str] = set()
    for index in range(count):
        position = index % len(chosen.classes)
        text = _unseen_text(rng, chosen, chosen.classes[position], seen, count)
        pairs.append((text, chosen.labels[position]))
    rng.shuffle(pairs)
    return pairs


def vocabulary() -> dict[str, int]:
    """Return every word the world can write, with its token id: special tokens first, the rest sorted."""
    words = {"\n", "an", "and", *_pattern_words()}
    words.update(lexicon.OBJECTS, lexicon.NAMES, lexicon.ARBITRARY_LABELS, lexicon.UNUSED_LABELS)
    for classes in lexicon.FAMILIES.values():
        words.update(classes, *classes.values())
    return {word: index for index, word in enumerate((*lexicon.SPECIAL_TOKENS, *sorted(words)))}


def is_reserved(text: str) -> bool:
    """Whether a text is the study's own; it and the same text with an ending are reserved together."""
    for ending in lexicon.ENDINGS:
        text = text.removesuffix(f" {ending}")
    return zlib.crc32(text.encode()) % STUDY_SHARE == 0


def write_text(rng: random.Random, family: str, cues: tuple[str, ...], *, ambiguous: float, reserved: bool) -> str:
    """Return a text with the given cues, from the study's share of texts or from the rest.

    `ambiguous` is the probability of two clauses of two families.
    """
    while True:
        write = _two_clauses if rng.random() < ambiguous else _sentence
        text = write(rng, family, cues)
        if is_reserved(text) == reserved:
            return text


def fill(rng: random.Random, pattern: str, cues: tuple[str, ...]) -> str:
    """Return a pattern with its slots filled at random and `a` turned into `an` before a vowel."""
    cue, other = rng.sample(cues, 2) if len(cues) > 1 else cues * 2
    text = pattern.format(cue=cue, other=other, object=rng.choice(lexicon.OBJECTS), name=rng.choice(lexicon.NAMES))
    return _ARTICLE.sub("an ", text)


def _task_named(name: str) -> Task:
    task = TASKS.get(name) or LIMIT_TASKS.get(name)
    if task is None:
        raise ValueError(f"the text world has no task {name!r}; its tasks are {', '.join(TASKS)}")
    return task


def _unseen_text(rng: random.Random, task: Task, class_name: str, seen: set[str], count: int) -> str:
    cues = lexicon.FAMILIES[task.family][class_name]
    for _ in range(MAX_REPEATS):
        text = write_text(rng, task.family, cues, ambiguous=AMBIGUOUS_SHARE, reserved=True)
        if text not in seen:
            seen.add(text)
            return text
    raise ValueError(
        f"the text world cannot make {count} distinct texts for task {task.name!r}: after {len(seen)} came"
        f" {MAX_REPEATS} repeats in a row; ask for at most about {len(seen) // 2}"
    )


def _sentence(rng: random.Random, family: str, cues: tuple[str, ...]) -> str:
    adjectives = family in lexicon.ADJECTIVE_FAMILIES
    text = fill(rng, rng.choice(lexicon.ADJECTIVE_SENTENCES if adjectives else lexicon.NOUN_SENTENCES), cues)
    return f"{text} {rng.choice(lexicon.ENDINGS)}" if rng.random() < ENDING_SHARE else text


def _two_clauses(rng: random.Random, family: str, cues: tuple[str, ...]) -> str:
    other = rng.choice([name for name in lexicon.LABELLED_FAMILIES if name != family])
    other_cues = lexicon.FAMILIES[other][rng.choice(list(lexicon.FAMILIES[other]))]
    clauses = [_clause(rng, family, cues), _clause(rng, other, other_cues)]
    rng.shuffle(clauses)
    return " and ".join(clauses)


def _clause(rng: random.Random, family: str, cues: tuple[str, ...]) -> str:
    adjectives = family in lexicon.ADJECTIVE_FAMILIES
    return fill(rng, rng.choice(lexicon.ADJECTIVE_CLAUSES if adjectives else lexicon.NOUN_CLAUSES), cues)


def _pattern_words() -> set[str]:
    patterns = (
        *(*lexicon.ADJECTIVE_SENTENCES, *lexicon.NOUN_SENTENCES, *lexicon.ENDINGS, *lexicon.PHRASES),
        *(*lexicon.ADJECTIVE_CLAUSES, *lexicon.NOUN_CLAUSES, *lexicon.PLAIN_TEXT),
        *(part for parts in (*lexicon.FORMATS, *lexicon.SHORT_FORMATS) for part in parts),
    )
    return {word for pattern in patterns for word in pattern.split() if not word.startswith("{")}
