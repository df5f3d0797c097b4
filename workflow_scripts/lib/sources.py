"""Data sets and models as params.yaml names them."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator

from workflow_scripts.lib.prompts import Strict, Template

Dtype = Literal["float32", "bfloat16", "float16"]
Device = Annotated[
    str, Field(pattern=r"^(auto|cpu|mps|(cuda|xpu)(:\d+)?)$", description="auto: GPUs where there are any, or the CPU")
]


class WorldDataset(Strict):
    """A task of the embedded text world (docs/pocket.md)."""

    source: Literal["world"]
    task: str


class LabelledDataset(Strict):
    """What local and hub data sets share."""

    label_column: str = "label"
    labels: dict[str, str | None] = Field(
        min_length=2, description="value in the file -> label word in the prompt; null leaves the row out"
    )
    template: Template

    @field_validator("labels")
    @classmethod
    def _distinct(cls, labels: dict[str, str | None]) -> dict[str, str | None]:
        if len(set(labels.values()) - {None}) < 2:
            raise ValueError("needs at least two different label words")
        return labels


class LocalDataset(LabelledDataset):
    """Files on disk; the pool gives demonstrations, the queries are asked about."""

    source: Literal["local"]
    pool: Path
    queries: Path
    format: Literal["csv", "tsv", "jsonl", "parquet", "labelled-lines"]
    encoding: str = "utf-8"
    columns: list[str] | None = Field(None, description="names the columns of a csv or tsv without a header")


class HubDataset(LabelledDataset):
    """A data set on the Hugging Face hub, at a revision."""

    source: Literal["hub"]
    id: str
    revision: str
    configuration: str | None = None
    pool: str = "train"
    queries: str = "test"


Dataset = WorldDataset | LocalDataset | HubDataset


class PocketModel(Strict):
    """The embedded model, trained here from scratch (docs/pocket.md)."""

    source: Literal["pocket"]
    seed: int = 0
    untrained: bool = False


class LocalModel(Strict):
    """A folder in Hugging Face format; `untrained` keeps its config and draws its weights from `seed`."""

    source: Literal["local"]
    path: Path
    dtype: Dtype = "float32"
    device: Device = "auto"
    untrained: bool = False
    seed: int = 0


class HubModel(Strict):
    """A model on the Hugging Face hub, at a revision; weights stay in the hub's cache."""

    source: Literal["hub"]
    id: str
    revision: str
    dtype: Dtype = "float32"
    device: Device = "auto"
    untrained: bool = False
    seed: int = 0


Model = PocketModel | LocalModel | HubModel
