"""How states are read: the block `dump_hidden_states` of params.yaml."""

from typing import Literal

from pydantic import Field

from workflow_scripts.lib.strict import Positive, Strict


class DumpHiddenStates(Strict):
    """How many tokens run together; it changes no state but by rounding."""

    tokens_per_batch: Positive | Literal["auto"] = Field(
        description="of queries run together; halved where memory does not hold them. auto: what suits the device"
    )
