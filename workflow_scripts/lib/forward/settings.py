"""How states are read: the block `dump_hidden_states` of params.yaml."""

from typing import Literal

from pydantic import Field

from workflow_scripts.lib.strict import Positive, Strict


class DumpHiddenStates(Strict):
    """How many tokens run together, which changes no state but by rounding; and how long answers may be."""

    tokens_per_batch: Positive | Literal["auto"] = Field(
        description="of queries run together; halved where memory does not hold them. auto: what suits the device"
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
