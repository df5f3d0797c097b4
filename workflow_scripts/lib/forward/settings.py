"""How states are read and what is kept of them: the block `dump_hidden_states` of params.yaml."""

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field

from workflow_scripts.lib.errors import StudyError
from workflow_scripts.lib.strict import Positive, Strict

Layer = Annotated[int, Field(ge=0)]


class LayerError(StudyError):
    """A layer that a model does not have, or that is not kept of its states."""


def told(layers: Sequence[int]) -> str:
    """Layers as an error names them, `0 to 4` where there is none between them that is left out."""
    whole = len(layers) > 2 and [*layers] == [*range(layers[0], layers[-1] + 1)]
    return f"{layers[0]} to {layers[-1]}" if whole else ", ".join(map(str, layers))


class Every(Strict):
    """Every nth layer, counted back from the last."""

    every: Positive


class DumpHiddenStates(Strict):
    """How many tokens run together, which changes no state but by rounding; which states are kept, and how exactly."""

    tokens_per_batch: Positive | Literal["auto"] = Field(
        description="of queries run together; halved where memory does not hold them. auto: what suits the device"
    )
    layers: Literal["all"] | Every | Annotated[list[Layer], Field(min_length=1)] = Field(
        description="whose states are kept: all, {every: n}, or numbers; 0 is the embeddings; the last layer, after "
        "the final norm, is kept always"
    )
    storage: Literal["float32", "float16"] = Field(
        description="of states on disk; float16 takes half, and what it rounds off is in the noise that is measured"
    )

    def kept(self, count: int) -> list[int]:
        """The layers that are kept of a model that has so many, in their order; LayerError where it lacks one."""
        last = count - 1
        if self.layers == "all":
            return [*range(count)]
        if isinstance(self.layers, Every):
            return [*range(last % self.layers.every, count, self.layers.every)]
        if max(self.layers) > last:
            raise LayerError(f"dump_hidden_states.layers: the model has layers 0 to {last}, and not {max(self.layers)}")
        return sorted({*self.layers, last})
