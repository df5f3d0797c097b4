"""The states of a layer, cut into blocks that are shared out to threads."""

import math
from collections.abc import Callable, Mapping
from itertools import product

import numpy as np
from numpy.typing import NDArray

from workflow_scripts.lib.measures.contrasts import At
from workflow_scripts.lib.measures.layer import Layer
from workflow_scripts.lib.measures.vectors import Floats, floats
from workflow_scripts.lib.measures.workers import Workers

VALUES_AT_ONCE = 2**16  # of states in a block: in float64 half a megabyte, which a core's own cache holds

States = Mapping[str, NDArray[np.float32]]  # arm -> [draws, queries, d]


class Memory:
    """Arrays that one measure after the other writes into: to ask for fresh pages takes as long as to fill them."""

    def __init__(self) -> None:
        self._held: dict[str, Floats] = {}

    def array(self, name: str, shape: tuple[int, ...]) -> Floats:
        """The array of this name, whatever is in it; it is lost when the name is asked for again."""
        size = math.prod(shape)
        if self._held.get(name, np.empty(0)).size < size:
            self._held[name] = np.empty(size)
        return self._held[name][:size].reshape(shape)


class ArmStates:
    """The states of every arm but the anchor, and what they are measured against.

    Blocks depend on the shape of the states alone, and so no number depends on the threads that work on them.
    """

    def __init__(self, layer: Layer, anchor: str, states: States, workers: Workers, memory: Memory) -> None:
        self.layer, self.anchor, self.states = layer, anchor, states
        self.workers, self.memory = workers, memory
        self.shape = next(iter(states.values())).shape
        draws, queries, width = self.shape
        of_draws = slices(draws, queries * width)
        of_queries = slices(queries, width)
        self._layers = {(some.start, some.stop): layer.of(some) for some in of_queries}
        self._blocks: dict[bool, list[At]] = {
            True: list(product(of_draws, of_queries)),
            False: [(s,) for s in of_draws],
        }

    def each_block(self, function: Callable[[At], None], *, by_query: bool = True) -> None:
        """Call a function for every block: of draws and queries, or of draws for what takes all queries at once."""
        self.workers.each(function, self._blocks[by_query])

    def layer_at(self, at: At) -> Layer:
        """What the states of a block are measured against."""
        return self._layers[at[1].start, at[1].stop] if len(at) > 1 else self.layer

    def values(self, arm: str, function: Callable[[Floats, Layer], Floats]) -> Floats:
        """A function of an arm's states, query by query: [draws, queries]."""
        out = np.empty(self.shape[:2])

        def fill(at: At) -> None:
            out[at] = function(floats(self.states[arm][at]), self.layer_at(at))

        self.each_block(fill)
        return out


def slices(count: int, width: int) -> list[slice]:
    """As many of so many rows at a time as have VALUES_AT_ONCE values, at least one."""
    step = max(1, VALUES_AT_ONCE // width)
    return [slice(start, min(start + step, count)) for start in range(0, count, step)]
