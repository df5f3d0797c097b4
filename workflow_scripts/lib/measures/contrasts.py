"""How the states of two arms are matched. A contrast is a row of CONTRASTS and a function that does the matching.

A similarity is the inner product of one arm's unit vectors with what the function makes of the other's. A mean of
cosines is an inner product too, with the mean of unit vectors; so no match looks at draws two by two.
"""

from collections.abc import Callable
from typing import Literal, NamedTuple

import numpy as np

from workflow_scripts.lib.data.partners import next_of_other_label, next_of_same_label
from workflow_scripts.lib.measures.vectors import Floats, Ints, defined, ratio

At = tuple[slice, ...]  # some draws, and of a measure by query some queries


class Other(NamedTuple):
    """The other arm, as a measure sees it; NaN where the measure is undefined.

    Args:
        units: unit vectors [draws, queries, m], or [draws, m] of a measure over all queries
        total: their sum over the draws that have one
        have: how many have one, for every vector of `total`
        labels: gold labels of the queries
        random: unit vectors of states that went as far as the arm's from the anchor, each in a random direction
    """

    units: Floats
    total: Floats
    have: Floats
    labels: tuple[int, ...]
    random: Callable[[At], Floats]


Match = Callable[[Other, At], Floats]
Combine = Callable[[Floats, Floats], Floats]


def own(other: Other, at: At) -> Floats:
    """The same set and the same query."""
    return other.units[at]


def other_draws(other: Other, at: At) -> Floats:
    """The same query and every other draw's set, averaged; NaN where there is no other draw."""
    units = other.units[at]
    known = defined(units)
    rest = other.total[at[1:]] - (units if known.all() else np.where(known[..., None], units, 0))
    others = other.have[at[1:]] - known
    rest *= ratio(np.ones(others.shape), others)[..., None]
    return rest


def pseudo_values(rows: Floats, columns: Floats) -> Floats:
    """What a draw is worth in the mean over all draws of one arm with all other draws of the other: [draws, ...] each.

    `rows` are a draw's mean with the other arm's other draws, `columns` the other arm's same draw with this arm's other
    draws. Their own spread over draws misses one arm's share in it, and an interval from rows alone covers far too
    little. So a draw's value is the delete-one jackknife's: S theta - (S - 1) theta_without_it, with theta the mean.
    Where all draws have a value their mean is theta exactly; a single one may lie outside [-1, 1]. With two draws every
    value is theta, with one there is none.
    """
    known = ~np.isnan(rows + columns)
    count = known.sum(axis=0).astype(np.float64)
    theta = ratio(np.where(known, rows, 0).sum(axis=0), count)
    without = ratio(count * theta - rows - columns, np.broadcast_to(count - 2, rows.shape))
    values = np.where(count > 2, count * theta - (count - 1) * without, np.where(count > 1, theta, np.nan))
    return np.where(known, values, np.nan)


def same_label(other: Other, at: At) -> Floats:
    """The same set and another query with the same gold label; NaN where there is none."""
    return _of_queries(other, at, next_of_same_label(other.labels))


def other_label(other: Other, at: At) -> Floats:
    """The same set and another query with another gold label; NaN where there is none."""
    return _of_queries(other, at, next_of_other_label(other.labels))


def random(other: Other, at: At) -> Floats:
    """The same query, whose state went from the anchor's in a random direction, as far as the arm's did."""
    return other.random(at)


class Contrast(NamedTuple):
    """How two arms are matched.

    Args:
        name: in tables
        heading: for people
        match: what the unit vectors of one arm, at some draws and queries, are multiplied with
        role: what is asked, or a control of it
        by_query: matches queries, so that it is none for a measure over all queries
        of_updates: takes the other arm's update, so that the anchor has none
        of_labels: matches queries of one label, so that it is none where every query has an answer of its own
        combine: where draws of one arm meet other draws of the other: what a draw's value is, of the mean of one arm's
            draw and of the other's
    """

    name: str
    heading: str
    match: Match
    role: Literal["question", "control"]
    by_query: bool = False
    of_updates: bool = False
    of_labels: bool = False
    combine: Combine | None = None


class Difference(NamedTuple):
    """A similarity less the same similarity of a control, paired by draw."""

    name: str
    heading: str
    of: Contrast
    less: Contrast


OWN = Contrast("own", "own set, own query", own, "question")
OTHER_DRAW = Contrast("other-draw", "another draw's set", other_draws, "control", combine=pseudo_values)
SAME_LABEL = Contrast(
    "other-query-same-label", "another query, same label", same_label, "control", by_query=True, of_labels=True
)
OTHER_LABEL = Contrast("other-query-other-label", "another query, other label", other_label, "control", by_query=True)
RANDOM = Contrast("random", "random direction", random, "control", by_query=True, of_updates=True)
CONTRASTS = (OWN, OTHER_DRAW, SAME_LABEL, OTHER_LABEL, RANDOM)

OWN_DEMONSTRATION_EFFECT = Difference("own-other-draw", "own-demonstration effect", OWN, OTHER_DRAW)
OWN_QUERY_EFFECT = Difference("own-other-query", "own query less another, other label", OWN, OTHER_LABEL)
OWN_QUERY_EFFECT_SAME_LABEL = Difference("own-other-query-same", "own query less another, same label", OWN, SAME_LABEL)
DIFFERENCES = (OWN_DEMONSTRATION_EFFECT, OWN_QUERY_EFFECT, OWN_QUERY_EFFECT_SAME_LABEL)


def _of_queries(other: Other, at: At, partners: Ints) -> Floats:
    draws, queries = at
    matched = other.units[draws, partners[queries]]
    matched[:, partners[queries] < 0] = np.nan
    return matched
