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
    """The patch's gain in accuracy over the anchor as a share of the arm's: [draws].

    A ratio of means over draws, since a single draw's gain may be near zero: a draw's value is the delete-one
    jackknife's, S theta - (S - 1) theta_without_it, where theta is the ratio. NaN where the arm gains nothing, or would
    not without one of the draws.
    """
    gain, whole_gain = (_gains(run, labels) for labels in (run.patched, run.arm))
    draws = len(gain)
    theta = _share(gain.sum(), whole_gain.sum())
    without = _share(gain.sum() - gain, whole_gain.sum() - whole_gain) if draws > 1 else np.zeros(1)
    values = draws * theta - (draws - 1) * without
    return np.full(draws, np.nan) if np.isnan(values).any() else values


def _gains(run: Predicted, labels: Ints) -> Floats:
    """Of the queries that had something put in, how many more are right than in the anchor: [draws]."""
    gained = (labels == run.gold).astype(np.float64) - (run.anchor == run.gold)
    return np.where(run.patched == NONE, 0, gained).sum(axis=1)


def _share(part: Any, whole: Any) -> Any:
    return part / np.where(whole > 0, whole, np.nan)


def _of_those_run(run: Predicted, values: NDArray[np.bool_]) -> Floats:
    return np.where(run.patched == NONE, np.nan, values.astype(np.float64))


class PatchMeasure(NamedTuple):
    """A value for every draw and query or, if not `by_query`, for every draw. `of_set`: it asks for the draw's own set.

    Of another draw's patch, what is not `of_set` has by construction the mean of the draws' own.
    """

    name: str
    heading: str
    formula: str
    of: Callable[[Predicted], Floats]
    of_set: bool = False
    by_query: bool = True
    bounds: tuple[float, float] = (0.0, 1.0)


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
PATCH_MEASURES = (ACCURACY, AGREEMENT, SHOWN_LABEL, RECOVERED)


def rows_of(run: Predicted, draws: Sequence[int]) -> Iterator[dict[str, Any]]:
    """A row per measure and draw: its mean over the queries that have a value, and how many have none."""
    for measure in PATCH_MEASURES:
        values = measure.of(run)
        known = ~np.isnan(values) if measure.by_query else (run.patched != NONE) & ~np.isnan(values)[:, None]
        counts, queries = known.sum(axis=1), run.patched.shape[1]
        sums = np.where(known, values, 0).sum(axis=1) if measure.by_query else values * counts
        for draw, total, count in zip(draws, sums.tolist(), counts.tolist(), strict=True):
            value = total / count if count else None
            yield {
                **{"draw": draw, "measure": measure.name, "answers": "all"},
                **{"value": value, "queries": count, "excluded": queries - count},
            }
