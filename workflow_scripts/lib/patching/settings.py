"""What is patched: the block `patch_hidden_states` of params.yaml."""

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field, field_validator

from workflow_scripts.lib.forward.settings import Layer, LayerError, told
from workflow_scripts.lib.patching.patches import PATCHES
from workflow_scripts.lib.strict import Positive, Strict


class Patching(Strict):
    """How states are put into the anchor's run; whose and where the whole block says."""

    patches: list[Literal[tuple(patch.name for patch in PATCHES)]] = Field(  # type: ignore[valid-type]
        min_length=1, description="what is put in place of the anchor's state"
    )
    layers: Literal["all"] | Annotated[list[Layer], Field(min_length=1)] = Field(
        description="where: all that are kept, or numbers; 0 is the embeddings, the last is after the final norm"
    )
    tokens_per_batch: Positive | Literal["auto"] = Field(
        description="of runs together; halved where memory does not hold them. auto: what suits the device"
    )

    @field_validator("*")
    @classmethod
    def _once(cls, named: object) -> object:
        if isinstance(named, list) and len(set(named)) < len(named):
            raise ValueError("must name each once")
        return named

    def of_layers(self, kept: Sequence[int]) -> Sequence[int]:
        """The layers that are patched, of those whose states are kept; LayerError where one is not."""
        chosen = kept if self.layers == "all" else self.layers
        if lacking := [layer for layer in chosen if layer not in kept]:
            raise LayerError(
                f"patch_hidden_states.layers: no states of layer {lacking[0]}; there are those of layers {told(kept)}"
            )
        return chosen


class PatchHiddenStates(Patching):
    """The block as a whole."""

    arms: list[str] = Field(min_length=1, description="whose states are put in: arms of the study that are given sets")
    factors: list[str] = Field(
        min_length=1, description="at which settings: `reference`, and factors all of whose levels are patched"
    )

    @property
    def how(self) -> Patching:
        """What the stage is told; another arm or factor is no reason to patch again what is there."""
        return Patching(**{name: getattr(self, name) for name in Patching.model_fields})
