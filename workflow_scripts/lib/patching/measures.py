"""What is measured of the anchor's answers with a patch: a function and a row of PATCH_MEASURES."""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]

NONE = -1  # no label


class Predicted(NamedTuple):
    """Labels by their indices, `NONE` for none: [draws, queries], or [queries] of what is of no set.

    Args:
        patched: the likeliest label in the anchor's run with the patch; none where there is nothing to put in
        arm: in the arm's own run, with the same set and query
        anchor: in the anchor's own run
        gold: the query's label
        shown: what the set shows in place of that label; none where it does not show it, or shows several
    """

    patched: Ints
    arm: Ints
    anchor: Ints
    gold: Ints
    shown: Ints

    @property
    def ran(self) -> NDArray[np.bool_]:
        """Which queries had something put in: [draws, queries]."""
        return self.patched != NONE


class Written(NamedTuple):
    """Answers of a generation task, one for each query: [draws, queries], or [queries] of what is of no set.

    NaN where there is nothing to put in.

    Args:
        patched: log-probability of the data set's answer in the anchor's run with the patch, nats a token
        right: 1 where that run would write it: each of its tokens is the likeliest after those before it
        arm: log-probability in the arm's own run, with the same set and query
        anchor: in the anchor's own run
    """

    patched: Floats
    right: Floats
    arm: Floats
    anchor: Floats

    @property
    def ran(self) -> NDArray[np.bool_]:
        """Which queries had something put in: [draws, queries]."""
        return ~np.isnan(self.patched)


def log_prob(run: Written) -> Floats:
    """Log-probability of the data set's answer, nats a token."""
    return run.patched


def exact_match(run: Written) -> Floats:
    """1 where the anchor would write the data set's answer."""
    return run.right


def accuracy(run: Predicted) -> Floats:
    """1 where the gold label is the likeliest of the label set."""
    return _of_those_run(run, run.patched == run.gold)


def agreement(run: Predicted) -> Floats:
    """1 where it is the label that the arm itself predicts."""
    return _of_those_run(run, run.patched == run.arm)


def shown_label(run: Predicted) -> Floats:
    """1 where it is the label that the set shows in place of the gold one; NaN where it shows the gold one, or none."""
    differs = (run.shown != NONE) & (run.shown != run.gold)
    return np.where(differs, _of_those_run(run, run.patched == run.shown), np.nan)


def recovered(run: Predicted) -> Floats:
    """The patch's gain in accuracy over the anchor as a share of the arm's: [draws]."""
    return _recovered(*(_gains(run, labels) for labels in (run.patched, run.arm)))


def recovered_log_prob(run: Written) -> Floats:
    """The patch's gain in log-probability over the anchor as a share of the arm's: [draws]."""
    return _recovered(*(np.where(run.ran, one - run.anchor, 0).sum(axis=1) for one in (run.patched, run.arm)))


def _recovered(gain: Floats, whole_gain: Floats) -> Floats:
    """Gains of a patch as a share of the arm's: [draws], [draws] -> [draws].

    A ratio of means over draws, since a single draw's gain may be near zero: a draw's value is the delete-one
    jackknife's, S theta - (S - 1) theta_without_it, where theta is the ratio. NaN where the arm gains nothing, or would
    not without one of the draws.
    """
    draws = len(gain)
    theta = _share(gain.sum(), whole_gain.sum())
    without = _share(gain.sum() - gain, whole_gain.sum() - whole_gain) if draws > 1 else np.zeros(1)
    values = draws * theta - (draws - 1) * without
    return np.full(draws, np.nan) if np.isnan(values).any() else values


def _gains(run: Predicted, labels: Ints) -> Floats:
    """Of the queries that had something put in, how many more are right than in the anchor: [draws]."""
    gained = (labels == run.gold).astype(np.float64) - (run.anchor == run.gold)
    return np.where(run.ran, gained, 0).sum(axis=1)


def _share(part: Any, whole: Any) -> Any:
    return part / np.where(whole > 0, whole, np.nan)


def _of_those_run(run: Predicted, values: NDArray[np.bool_]) -> Floats:
    return np.where(run.ran, values.astype(np.float64), np.nan)


class PatchMeasure(NamedTuple):
    """A value for every draw and query or, if not `by_query`, for every draw. `of_set`: it asks for the draw's own set.

    Of another draw's patch, what is not `of_set` has by construction the mean of the draws' own. `kind`: of which
    answers it is, those of a label set or of a generation task.
    """

    name: str
    heading: str
    formula: str
    of: Callable[[Any], Floats]
    of_set: bool = False
    by_query: bool = True
    bounds: tuple[float, float] = (0.0, 1.0)
    kind: type[Predicted] | type[Written] = Predicted


ACCURACY = PatchMeasure("patched_accuracy", "accuracy, patched", "gold label likeliest of the labels", accuracy)
AGREEMENT = PatchMeasure(
    "patched_agreement", "agreement with the arm, patched", "same label predicted as in the arm itself", agreement, True
)
SHOWN_LABEL = PatchMeasure(
    "patched_shown_label",
    "the set's own label, patched",
    "label predicted that the set shows in place of the gold one, of the queries for whose label it shows another",
    shown_label,
    True,
)
RECOVERED = PatchMeasure(
    "recovered_gain",
    "recovered gain",
    "gain in accuracy over the anchor, as a share of the arm's own gain",
    recovered,
    by_query=False,
    bounds=(-math.inf, math.inf),
)
LOG_PROB = PatchMeasure(
    "patched_log_prob_per_token",
    "log-probability per token, patched",
    "of the data set's answer in generation, nats, mean over its tokens with those that end it",
    log_prob,
    bounds=(-math.inf, 0.0),
    kind=Written,
)
EXACT_MATCH = PatchMeasure(
    "patched_exact_match",
    "exact match, patched",
    "each token of the data set's answer, and of what ends it, is the likeliest after those before it",
    exact_match,
    kind=Written,
)
RECOVERED_LOG_PROB = PatchMeasure(
    "recovered_log_prob",
    "recovered log-probability",
    "gain in log-probability per token over the anchor, as a share of the arm's own gain",
    recovered_log_prob,
    by_query=False,
    bounds=(-math.inf, math.inf),
    kind=Written,
)
PATCH_MEASURES = (ACCURACY, AGREEMENT, SHOWN_LABEL, RECOVERED, LOG_PROB, EXACT_MATCH, RECOVERED_LOG_PROB)
HOW_WELL = (ACCURACY, LOG_PROB)  # what every patched run has, by its kind of answers


def rows_of(run: Predicted | Written, draws: Sequence[int]) -> Iterator[dict[str, Any]]:
    """A row per measure of the run's kind and draw: its mean over queries that have a value, and how many have none."""
    for measure in (one for one in PATCH_MEASURES if isinstance(run, one.kind)):
        values = measure.of(run)
        known = ~np.isnan(values) if measure.by_query else run.ran & ~np.isnan(values)[:, None]
        counts, queries = known.sum(axis=1), run.patched.shape[1]
        sums = np.where(known, values, 0).sum(axis=1) if measure.by_query else values * counts
        for draw, total, count in zip(draws, sums.tolist(), counts.tolist(), strict=True):
            value = total / count if count else None
            yield {
                **{"draw": draw, "measure": measure.name, "answers": "all"},
                **{"value": value, "queries": count, "excluded": queries - count},
            }
