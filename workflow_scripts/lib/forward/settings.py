"""Where and how states are read: the block `dump_hidden_states` of params.yaml."""

from typing import Annotated, Literal

from pydantic import Field

from workflow_scripts.lib.strict import Positive, Strict

LAST, MEAN, BEFORE = "last", "query-mean", "last-"
Position = Literal["last", "query-mean"] | Annotated[str, Field(pattern=r"^last-[1-9][0-9]*$")]


def back(position: Position) -> int:
    """How many tokens before the last the state is taken, or its last token where it is a mean."""
    return int(position.removeprefix(BEFORE)) if position.startswith(BEFORE) else 0


class DumpHiddenStates(Strict):
    """Where states are taken, and how many tokens run together, which changes no state but by rounding."""

    position: Position = Field(
        LAST,
        description="of a query at which its state is taken; last: the token that predicts the label; last-1, last-2 "
        "and so on: so many tokens before; query-mean: the mean over the query's tokens",
    )
    tokens_per_batch: Positive | Literal["auto"] = Field(
        description="of queries run together; halved where memory does not hold them. auto: what suits the device"
    )
