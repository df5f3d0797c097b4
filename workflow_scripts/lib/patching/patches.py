"""What is put into the anchor's run in place of its state, for every draw and query: a function and a row of PATCHES.

A direction is the mean of an arm's updates over all other queries (leave one out), so that it knows nothing of the
query that it is added for, not even by its label; with few queries a held-out half would make it twice as noisy.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from workflow_scripts.lib.data.partners import next_of_other_label

Floats = NDArray[np.float64]


class States(NamedTuple):
    """States at one layer: the anchor's [queries, d], an arm's [draws, queries, d]; and the queries' gold labels."""

    anchor: Floats
    arm: Floats
    labels: tuple[int, ...]


def own_state(states: States) -> Floats:
    """The arm's state of the query itself."""
    return states.arm


def other_query_state(states: States) -> Floats:
    """The arm's state of another query, with another gold label; NaN where there is none.

    A task vector (Hendel, Geva and Globerson 2023): what it says of the task may be carried over, its own answer not.
    """
    partners = next_of_other_label(states.labels)
    return np.where((partners < 0)[:, None], np.nan, states.arm[:, partners])


def own_direction(states: States) -> Floats:
    """The anchor's state and the mean of what the arm's set adds to the states of all other queries."""
    return states.anchor + _directions(states)


def other_draw_direction(states: States) -> Floats:
    """The same of the next draw's set, the first after the last; NaN where there is no other draw."""
    directions = _directions(states)
    others = np.roll(directions, -1, axis=0) if len(directions) > 1 else np.full_like(directions, np.nan)
    return states.anchor + others


def _directions(states: States) -> Floats:
    """Mean updates over all queries but one: [draws, queries, d]; NaN where there is no other query."""
    updates = states.arm - states.anchor
    others = updates.shape[1] - 1
    return (updates.sum(axis=1, keepdims=True) - updates) / (others or np.nan)


class Patch(NamedTuple):
    """What is put in: `make` gives it for every draw and query of an arm, [draws, queries, d]."""

    name: str
    heading: str
    make: Callable[[States], Floats]


class PatchDifference(NamedTuple):
    """A measure of one patch less that of another, paired by draw: of measures that ask for the draw's own set."""

    name: str
    heading: str
    of: Patch
    less: Patch


OWN_STATE = Patch("own-state", "the arm's state", own_state)
OTHER_QUERY_STATE = Patch("other-query-state", "another query's state", other_query_state)
OWN_DIRECTION = Patch("own-direction", "the set's direction", own_direction)
OTHER_DRAW_DIRECTION = Patch("other-draw-direction", "another draw's direction", other_draw_direction)
PATCHES = (OWN_STATE, OTHER_QUERY_STATE, OWN_DIRECTION, OTHER_DRAW_DIRECTION)

OWN_SET_EFFECT = PatchDifference(
    "own-other-direction", "the set's direction less another draw's", OWN_DIRECTION, OTHER_DRAW_DIRECTION
)
PATCH_DIFFERENCES = (OWN_SET_EFFECT,)
