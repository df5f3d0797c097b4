"""What measures make of answers that are free text: a value for every draw and query, [draws, queries]."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from workflow_scripts.lib.measures.on_answers import Asked
from workflow_scripts.lib.measures.vectors import Bools, Floats, Ints, floats

Strings = NDArray[np.object_]


@dataclass(frozen=True, eq=False)
class Scored:
    """An arm's: log-probability of the data set's answer [draws, queries], and how many tokens that has [queries].

    It is the sum over the answer's tokens, those that end it among them. The anchor's has one draw.
    """

    log_probs: NDArray[np.floating]
    tokens: Ints

    @property
    def shape(self) -> tuple[int, ...]:
        """Draws and queries."""
        return self.log_probs.shape

    def same(self, other: "Scored") -> Bools | None:
        """Where two arms answer the same; None where that is not known."""
        return None


@dataclass(frozen=True, eq=False)
class Written(Scored):
    """The same with the greedy answer [draws, queries], without space around it."""

    texts: Strings

    def same(self, other: Scored) -> Bools | None:
        """Where two arms write the same text."""
        return _equal(self.texts, other.texts) if isinstance(other, Written) else None


def log_prob(scored: Scored, asked: Asked) -> Floats:
    """The log-probability of the data set's answer, nats, the mean over its tokens."""
    return floats(scored.log_probs) / scored.tokens


def exact_match(written: Written, asked: Asked) -> Floats:
    """1 where the greedy answer is the data set's, letter by letter."""
    return _of_texts(written.texts, asked, lambda text, answer: text == answer)


def chrf(written: Written, asked: Asked) -> Floats:
    """chrF2 of each greedy answer, as sacrebleu has it for a sentence, of 1 (Popovic 2015: F2 of character 6-grams)."""
    from sacrebleu.metrics import CHRF

    metric = CHRF()
    return _of_texts(written.texts, asked, lambda text, answer: metric.sentence_score(text, [answer]).score / 100)


def same_text(one: Written, other: Written, asked: Asked) -> Floats:
    """1 where two arms write the same answer, right or wrong."""
    return floats(_equal(one.texts, other.texts))


def _equal(one: Strings, other: Strings) -> Bools:
    return np.equal(one, other).astype(np.bool_)


def _of_texts(texts: Strings, asked: Asked, score: Callable[[str, str], float]) -> Floats:
    """A score of every text against the data set's answer to its query."""
    answers = np.broadcast_to(np.array(asked.texts, object), texts.shape)
    scored = cache(score)  # arms often write the same
    values = [scored(*both) for both in zip(texts.ravel().tolist(), answers.ravel().tolist(), strict=True)]
    return np.array(values, np.float64).reshape(texts.shape)
