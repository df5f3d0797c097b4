"""What is derived from compared cells, draw by draw: differences of contrasts, the margin, and effects of levels.

Taken within each draw, a difference is free of what its two sides have in common. No two intervals would show that.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from workflow_scripts.lib.arms import ANCHOR, QUESTION
from workflow_scripts.lib.measures import COSINE, MARGIN
from workflow_scripts.lib.measures.contrasts import DIFFERENCES, OWN
from workflow_scripts.lib.patching.measures import PATCH_MEASURES
from workflow_scripts.lib.patching.patches import PATCH_DIFFERENCES
from workflow_scripts.lib.results.cells import KEYS, NO_LAYER, Draws, joined
from workflow_scripts.lib.results.estimates import ALL, REFERENCE

OF_SETS = [measure.name for measure in PATCH_MEASURES if measure.of_set]


def with_differences(draws: Draws) -> Draws:
    """The rows, then every difference of contrasts and of patches that has both sides, then the margin."""
    of_sets = draws.where(draws.keys["measure"].isin(OF_SETS).to_numpy())
    contrasts = [_difference(draws, one.name, one.of.name, one.less.name) for one in DIFFERENCES]
    patches = [_difference(of_sets, one.name, one.of.name, one.less.name) for one in PATCH_DIFFERENCES]
    return joined([draws, *contrasts, *patches, _margin(draws)])


def is_difference(keys: pd.DataFrame) -> np.ndarray:
    """Which rows are differences, so that zero is a hypothesis about them: (rows,)."""
    names = [difference.name for difference in (*DIFFERENCES, *PATCH_DIFFERENCES)]
    return (keys["match"].isin(names) | (keys["measure"] == MARGIN.name)).to_numpy()


def _difference(draws: Draws, name: str, of: str, less: str) -> Draws:
    sides = [draws.where(_equal(draws.keys, match=match)) for match in (of, less)]
    return _less(*_aligned(sides, leave=["match"]), match=name)


def _margin(draws: Draws) -> Draws:
    """By how much the similarity of the question's arms is above the larger of theirs with the anchor."""
    anchor, (icl, it) = ANCHOR.name, (arm.name for arm in QUESTION)
    keys = draws.keys
    cosines = draws.where(_equal(keys, measure=COSINE.name, match=OWN.name, answers=ALL))
    sides = [
        cosines.where(_equal(cosines.keys, one=one, other=other))
        for one, other in ((icl, it), (anchor, icl), (anchor, it))
    ]
    own, *others = _aligned(sides, leave=["one", "other"])
    larger = others[0]._replace(by_draw=np.maximum(*(side.by_draw for side in others)))
    return _less(own, larger, measure=MARGIN.name)


def effects(draws: Draws, reference: Mapping[str, str]) -> Draws:
    """Every level of every factor less the reference, paired by draw: of answers, and of states at the last layer.

    `reference`: factor -> the level that is the reference's. A cell that has it compares it on its own queries, and its
    other levels are held against that.
    """
    keys = draws.keys
    last = keys.groupby(["model", "dataset"])["layer"].transform("max")
    some = draws.where(((keys["layer"] == NO_LAYER) | (keys["layer"] == last)).to_numpy() & _equal(keys, answers=ALL))
    at_reference = (some.keys["factor"].map(reference) == some.keys["level"]).to_numpy()
    of_study, again = some.where(_equal(some.keys, factor=REFERENCE)), some.where(at_reference)
    varied = some.where(~_equal(some.keys, factor=REFERENCE) & ~at_reference)
    has_own = varied.keys["factor"].isin(again.keys["factor"]).to_numpy()
    return joined(
        [
            _less(*_aligned([varied.where(~has_own), of_study], leave=["factor", "level"])),
            _less(*_aligned([varied.where(has_own), again], leave=["level"])),
        ]
    )


def _equal(keys: pd.DataFrame, **wanted: str) -> np.ndarray:
    """Which rows have these keys: (rows,)."""
    return np.logical_and.reduce([(keys[name] == value).to_numpy() for name, value in wanted.items()])


def _aligned(sides: Sequence[Draws], leave: Sequence[str]) -> list[Draws]:
    """The rows of all sides that have equal keys but for those in `leave`, in the order of the first side's."""
    on = [key for key in KEYS if key not in leave]
    places = [side.keys[on].assign(**{f"place {i}": range(len(side.keys))}) for i, side in enumerate(sides)]
    merged = places[0]
    for place in places[1:]:
        merged = merged.merge(place, on=on)
    return [side.where(merged[f"place {i}"].to_numpy()) for i, side in enumerate(sides)]


def _less(one: Draws, other: Draws, **names: str) -> Draws:
    """One less the other, draw by draw, with the counts of the side that has fewer queries."""
    fewer, more = np.minimum(one.queries, other.queries), np.maximum(one.excluded, other.excluded)
    return Draws(one.keys.assign(**names), one.by_draw - other.by_draw, fewer, more)
