"""What measures make of answers of a label set: a value for every draw and query, [draws, queries]; NaN for none."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from workflow_scripts.lib.measures.vectors import Bools, Floats, Ints, floats


class Answers(NamedTuple):
    """An arm's: log-probability of every label [draws, queries, labels], and the label that it writes [draws, queries].

    The log-probabilities need not add up to one label. The open label is -1 where the model's likeliest tokens spell no
    label. The anchor's answers have one draw.
    """

    label_log_probs: NDArray[np.floating]
    open_label: NDArray[np.integer]

    @property
    def shape(self) -> tuple[int, ...]:
        """Draws and queries."""
        return self.open_label.shape

    def same(self, other: "Answers") -> Bools:
        """Where two arms predict the same label."""
        return predicted(self) == predicted(other)


class Asked(NamedTuple):
    """What answers are held against: gold labels [queries], and the anchor's answers.

    Of a generation task labels are numbers of the data set's answers, which `texts` holds.
    """

    labels: Ints
    anchor: Any
    texts: Sequence[str] = ()


def predicted(answers: Answers) -> Ints:
    """The likeliest label, the first of equals: [draws, queries]."""
    return answers.label_log_probs.argmax(axis=-1)


def accuracy(answers: Answers, asked: Asked) -> Floats:
    """1 where the gold label is the likeliest of the label set."""
    return floats(_right(answers, asked))


def open_accuracy(answers: Answers, asked: Asked) -> Floats:
    """1 where the likeliest tokens of the whole vocabulary, one after the other, spell the gold label."""
    return floats(answers.open_label == asked.labels)


def kl_from_anchor(answers: Answers, asked: Asked) -> Floats:
    """Kullback-Leibler divergence of the arm's distribution over labels from the anchor's, in bits."""
    return _divergence(_log_shares(answers), _log_shares(asked.anchor))


def agreement(one: Answers, other: Answers, asked: Asked) -> Floats:
    """1 where two arms predict the same label, right or wrong."""
    return floats(one.same(other))


def jensen_shannon(one: Answers, other: Answers, asked: Asked) -> Floats:
    """Jensen-Shannon divergence of two distributions over labels, in bits: 0 if they are equal, at most 1.

    Mean divergence of the two from their mean (Lin 1991).
    """
    p, q = _log_shares(one), _log_shares(other)
    middle = np.logaddexp(p, q) - np.log(2)
    return (_divergence(p, middle) + _divergence(q, middle)) / 2


def recall_of_tuning(one: Answers, other: Answers, asked: Asked) -> Floats:
    """1 where `one` is right too, of the queries that `other` got right and the anchor wrong; NaN for other queries.

    The mean is Rec2FTP of Dai et al. 2023, with ICL for `one` and IT for `other`.
    """
    gained = _right(other, asked) & ~_right(asked.anchor, asked)
    return np.where(gained, _right(one, asked), np.nan)


def _right(answers: Answers, asked: Asked) -> NDArray[np.bool_]:
    return predicted(answers) == asked.labels


def _log_shares(answers: Answers) -> Floats:
    """Natural logarithms of probabilities that add up to one over the labels."""
    scores = floats(answers.label_log_probs)
    return scores - np.logaddexp.reduce(scores, axis=-1, keepdims=True)


def _divergence(p: Floats, q: Floats) -> Floats:
    """Of logarithms: sum of p log2(p / q) over the last axis; what has no probability in p counts nothing."""
    p, q = np.broadcast_arrays(p, q)
    apart = np.subtract(p, q, out=np.zeros(p.shape), where=np.isfinite(p))
    return np.maximum((np.exp(p) * apart).sum(axis=-1), 0) / np.log(2)  # rounding can make equal ones negative
