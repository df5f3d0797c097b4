"""Where and how states are read, and what is kept: the block `dump_hidden_states` of params.yaml."""

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field

from workflow_scripts.lib.errors import StudyError
from workflow_scripts.lib.strict import Positive, Strict

LAST, MEAN, BEFORE = "last", "query-mean", "last-"
Position = Literal["last", "query-mean"] | Annotated[str, Field(pattern=r"^last-[1-9][0-9]*$")]
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


def back(position: Position) -> int:
    """How many tokens before the last the state is taken, or its last token where it is a mean."""
    return int(position.removeprefix(BEFORE)) if position.startswith(BEFORE) else 0


class DumpHiddenStates(Strict):
    """Where states are taken, which are kept and how exactly, and how long answers may be.

    How many tokens run together changes rounding alone.
    """

    position: Position = Field(
        LAST,
        description="of a query at which its state is taken; last: the token that predicts the label; last-1, last-2 "
        "and so on: so many tokens before; query-mean: the mean over the query's tokens",
    )
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
    new_tokens: int = Field(
        0,
        ge=0,
        description="of generation: the most that a greedy answer has; 0: no answer is written, and its score is "
        "the log-probability of the data set's",
    )

    def used_by(self, *, generation: bool) -> "DumpHiddenStates":
        """The same, without what a task does not look at: that makes none of its states anew."""
        return self if generation else self.model_copy(update={"new_tokens": 0})

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
