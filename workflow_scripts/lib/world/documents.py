"""Training documents of the text world: runs of labelled texts, and plain text.

A labelled document keeps one assignment of classes to label words from start to end, so a model that reads
its beginning can label its later texts. The assignment is drawn anew for each document.
"""

import random
from dataclasses import dataclass
from typing import NamedTuple

from workflow_scripts.lib.world.texts import fill, lexicon, write_text

MAIN_FAMILY_WEIGHT = 2
# Shares of the mappings that are not natural, before any natural labels have been met and after.
KINDS_BEFORE = {"crossed": 0.67, "arbitrary": 0.33}
KINDS_AFTER = {"crossed": 0.3, "arbitrary": 0.4, "permuted": 0.3}
# The first label of a class cannot be known unless it is natural: it is learned at this weight.
UNKNOWABLE_WEIGHT = 0.1


@dataclass(frozen=True)
class Mixture:
    """What training documents look like at one moment; every float is a probability.

    `natural`: labels are the class names. `cue_only` and `phrase`: a text is a single cue word, or a phrase,
    rather than a sentence. `narrow`: the document uses few cues of each class (`narrow_cues`, one drawn), so
    they recur. `short`: a text and its label stand on one line; `bare`: and nothing between them.
    """

    length: int
    plain: float
    natural: float
    cue_only: bool
    phrase: float
    narrow: float
    narrow_cues: tuple[int, ...]
    short: float
    bare: float
    ambiguous: float
    noise: float


class Document(NamedTuple):
    """Tokens, and for each the weight of its loss as a label: 0 where it is not one."""

    tokens: list[str]
    label_weights: list[float]


class Mapping(NamedTuple):
    """The (family, class) pairs of a document, their label words, and whether the labels are natural."""

    classes: list[tuple[str, str]]
    labels: list[str]
    natural: bool


def document(rng: random.Random, mixture: Mixture) -> Document:
    """Return one document of `mixture.length` tokens, the first being `<s>`."""
    if rng.random() < mixture.plain:
        return plain_document(rng, mixture.length)
    return labelled_document(rng, mixture)


def labelled_document(rng: random.Random, mixture: Mixture) -> Document:
    """Return labelled texts in one format under one mapping of classes to labels."""
    mapping = draw_mapping(rng, mixture.natural)
    before_text, before_label = _draw_format(rng, mixture)
    cues = _draw_cues(rng, mapping, mixture)
    tokens, weights = ["<s>"], [0.0]
    known: set[int] = set()
    while len(tokens) < mixture.length:
        index = rng.randrange(len(mapping.classes))
        label = rng.choice(mapping.labels) if rng.random() < mixture.noise else mapping.labels[index]
        text = _draw_text(rng, mapping.classes[index][0], cues[index], mixture)
        shown = [*before_text.split(), *text.split(), *(["\n"] if before_text else []), *before_label.split()]
        end = ["\n", "\n"] if before_text else ["\n"]
        tokens += [*shown, label, *end]
        weight = 1.0 if mapping.natural or index in known else UNKNOWABLE_WEIGHT
        weights += [*([0.0] * len(shown)), weight, *([0.0] * len(end))]
        known.add(index)
    return Document(tokens[: mixture.length], weights[: mixture.length])


def plain_document(rng: random.Random, length: int) -> Document:
    """Return sentences in runs of one class, so that the cues of a class are met together.

    All families and label words occur here, those that are never labelled included.
    """
    tokens = ["<s>"]
    while len(tokens) < length:
        family = rng.choice(list(lexicon.FAMILIES))
        class_name = rng.choice(list(lexicon.FAMILIES[family]))
        label = rng.choice((*lexicon.ARBITRARY_LABELS, *lexicon.UNUSED_LABELS))
        for pattern in lexicon.PLAIN_TEXT:
            if rng.random() < 0.3:
                tokens += pattern.format(label=label, class_name=class_name).split()
        for _ in range(rng.randint(2, 5)):
            cues = lexicon.FAMILIES[family][class_name]
            tokens += [*write_text(rng, family, cues, ambiguous=0, reserved=False).split(), "."]
        tokens.append("\n")
    return Document(tokens[:length], [0.0] * length)


def draw_mapping(rng: random.Random, natural: float) -> Mapping:
    """Return classes with natural labels at probability `natural`, else with others.

    Otherwise labels are arbitrary words for classes of one family, or of several (crossed), or the family's
    own names in the wrong order (permuted). Nothing is permuted while nothing is natural yet.
    """
    if rng.random() < natural:
        family, classes = _draw_classes(rng)
        return Mapping([(family, name) for name in classes], classes, natural=True)
    kinds = KINDS_AFTER if natural else KINDS_BEFORE
    kind = rng.choices(list(kinds), list(kinds.values()))[0]
    if kind == "crossed":
        everything = [(family, name) for family in lexicon.LABELLED_FAMILIES for name in lexicon.FAMILIES[family]]
        pairs = rng.sample(everything, rng.choice((2, 2, 3, 4)))
        return Mapping(pairs, rng.sample(lexicon.ARBITRARY_LABELS, len(pairs)), natural=False)
    family, classes = _draw_classes(rng)
    permuted = kind == "permuted"
    labels = classes[1:] + classes[:1] if permuted else rng.sample(lexicon.ARBITRARY_LABELS, len(classes))
    return Mapping([(family, name) for name in classes], labels, natural=False)


def _draw_classes(rng: random.Random) -> tuple[str, list[str]]:
    families = lexicon.LABELLED_FAMILIES
    weights = [MAIN_FAMILY_WEIGHT if family in lexicon.MAIN_FAMILIES else 1 for family in families]
    family = rng.choices(families, weights)[0]
    names = list(lexicon.FAMILIES[family])
    count = rng.randint(2, len(names)) if rng.random() < 0.5 else len(names)
    return family, rng.sample(names, count)


def _draw_format(rng: random.Random, mixture: Mixture) -> tuple[str, str]:
    if rng.random() >= mixture.short:
        return rng.choice(lexicon.FORMATS)
    return lexicon.BARE_FORMAT if rng.random() < mixture.bare else rng.choice(lexicon.SHORT_FORMATS)


def _draw_cues(rng: random.Random, mapping: Mapping, mixture: Mixture) -> list[tuple[str, ...]]:
    cues = [lexicon.FAMILIES[family][name] for family, name in mapping.classes]
    if rng.random() >= mixture.narrow:
        return cues
    count = rng.choice(mixture.narrow_cues)
    return [tuple(rng.sample(words, min(count, len(words)))) for words in cues]


def _draw_text(rng: random.Random, family: str, cues: tuple[str, ...], mixture: Mixture) -> str:
    if mixture.cue_only:
        return rng.choice(cues)
    if rng.random() < mixture.phrase:
        return fill(rng, rng.choice(lexicon.PHRASES), cues)
    return write_text(rng, family, cues, ambiguous=mixture.ambiguous, reserved=False)
