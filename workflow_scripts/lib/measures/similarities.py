"""The similarity of every two arms at a layer, for every contrast."""

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from workflow_scripts.lib.measures.blocks import ArmStates, slices
from workflow_scripts.lib.measures.contrasts import At, Contrast, Other
from workflow_scripts.lib.measures.kinds import Similarity
from workflow_scripts.lib.measures.layer import Layer
from workflow_scripts.lib.measures.on_states import distance
from workflow_scripts.lib.measures.vectors import Floats, defined, dot, floats, unit
from workflow_scripts.lib.measures.workers import Workers

SEED = 0x5EED  # of random directions


class Values(NamedTuple):
    """A similarity of two arms for a contrast, of every draw and query [draws, queries] or of every draw [draws]."""

    one: str
    other: str
    contrast: Contrast
    values: Floats


class Chance(NamedTuple):
    """What takes the place of an arm's states in the contrast that keeps no more of them than how far they went.

    Args:
        directions: random unit vectors [draws, queries, d]
        distances: of every arm's states from the anchor's [draws, queries]
    """

    directions: NDArray[np.float32]
    distances: Mapping[str, Floats]

    def states(self, arm: str, at: At, layer: Layer) -> Floats:
        """As far from the anchor's as the arm's states are, in the random directions."""
        return layer.anchor + self.distances[arm][at][..., None] * self.directions[at]


def random_directions(shape: tuple[int, ...], draws: Sequence[int], workers: Workers) -> NDArray[np.float32]:
    """Gaussian directions of mean zero and length one [draws, queries, d]; a draw's depend on its number alone.

    Not uniform on [0, 1]: such directions resemble one another (cosine 0.75).
    """
    directions = np.empty(shape, np.float32)

    def fill(place: int) -> None:
        dice = np.random.default_rng([SEED, draws[place]])
        dice.standard_normal(out=directions[place], dtype=np.float32)
        directions[place] /= np.linalg.norm(directions[place], axis=-1, keepdims=True)

    workers.each(fill, range(len(draws)))
    return directions


def chance(arms: ArmStates, directions: NDArray[np.float32]) -> Chance:
    """Random directions, and how far every arm went at a layer."""
    return Chance(directions, {arm: arms.values(arm, distance) for arm in arms.states})


def similarity_of(
    similarity: Similarity, arms: ArmStates, contrasts: Sequence[Contrast], random: Chance
) -> Iterator[Values]:
    """Of every two arms, the earlier first; of the anchor too, where the measure is not one of updates."""
    of_anchor = similarity.represent(arms.layer.anchor[None], arms.layer)
    others = {name: _seen(similarity, arms, name, of_anchor.shape[1:], random) for name in arms.states}
    ones = {name: other.units for name, other in others.items()}
    if not similarity.of_updates:
        ones = {arms.anchor: np.broadcast_to(unit(of_anchor), (arms.shape[0], *of_anchor.shape[1:])), **ones}
    shape = arms.shape[:2] if similarity.by_query else arms.shape[:1]
    found = {
        contrast: {
            (one, other): (np.empty(shape), np.empty(shape))
            for one, other in combinations(ones, 2)
            if one != arms.anchor or not contrast.of_updates
        }
        for contrast in contrasts
        if similarity.by_query or not contrast.by_query
    }

    def fill(at: At) -> None:
        for contrast, values in found.items():
            needed = {other for _, other in values} | ({one for one, _ in values} if contrast.combine else set())
            # The anchor is the same in every draw, so that another draw's is its own.
            matched = {x: contrast.match(others[x], at) if x in others else ones[x][at] for x in needed}
            for (one, other), (there, back) in values.items():
                there[at] = dot(ones[one][at], matched[other])
                if contrast.combine:
                    back[at] = dot(ones[other][at], matched[one])

    arms.each_block(fill, by_query=similarity.by_query)
    for contrast, values in found.items():
        for (one, other), (there, back) in values.items():
            yield Values(one, other, contrast, contrast.combine(there, back) if contrast.combine else there)


def _seen(similarity: Similarity, arms: ArmStates, name: str, shape: tuple[int, ...], random: Chance) -> Other:
    """An arm as the measure sees it; `shape` is that of a draw."""
    states = arms.states[name]
    units, total = arms.memory.array(name, (len(states), *shape)), np.empty(shape)

    def fill(at: At) -> None:
        unit(similarity.represent(floats(states[at]), arms.layer_at(at)), out=units[at])

    def add(some: slice) -> None:
        known = defined(units[:, some])
        total[some] = np.sum(units[:, some], axis=0) if known.all() else np.nansum(units[:, some], axis=0)

    def at_random(at: At) -> Floats:
        layer = arms.layer_at(at)
        return unit(similarity.represent(random.states(name, at, layer), layer))

    arms.each_block(fill, by_query=similarity.by_query)
    arms.workers.each(add, slices(shape[0], math.prod(shape[1:])))
    return Other(
        units, total, defined(units).sum(axis=0, dtype=np.float64), tuple(arms.layer.labels.tolist()), at_random
    )
