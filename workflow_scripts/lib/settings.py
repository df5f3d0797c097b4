"""The study's settings: the one source of what params.yaml may say.

The models below check params.yaml before the DAG is built and report every error at once. The JSON schema
for editors (docs/params.schema.json) is generated from them: `python -m workflow_scripts.lib.settings`.
"""

import json
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import Field, ValidationError, model_validator

from workflow_scripts.lib.prompts import Strict
from workflow_scripts.lib.sources import Dataset, Model

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", description="names a folder or file")]
Positive = Annotated[int, Field(gt=0)]
LabelCondition = Literal["gold", "flipped", "random"]
Measure = Literal["cosine", "update_cosine", "partial_cosine", "movement"]


class SettingsError(ValueError):
    """params.yaml says something it may not; the message lists every error."""


class Reference(Strict):
    """The setting that every factor is varied around."""

    shots: Positive
    labels: LabelCondition = "gold"


class Factors(Strict):
    """Levels of each factor; one factor varies at a time."""

    shots: list[Positive] | None = Field(None, min_length=1)
    labels: list[LabelCondition] | None = Field(None, min_length=1)

    @model_validator(mode="after")
    def _named_once(self) -> "Factors":
        if not self.levels():
            raise ValueError(f"needs at least one of {', '.join(type(self).model_fields)}")
        for factor, levels in self.levels().items():
            if len(set(levels)) < len(levels):
                raise ValueError(f"{factor} names a level twice: {levels}")
        return self

    def levels(self) -> dict[str, list[int | str]]:
        """Factor -> its levels, of the factors that the study has."""
        return {name: levels for name in type(self).model_fields if (levels := getattr(self, name))}


class PrepareDataset(Strict):
    """Settings of the stage of that name."""

    pool: Positive | None = Field(None, description="candidate demonstrations kept; null keeps all")


class PrepareModel(Strict):
    """How `source: pocket` is trained; models from elsewhere need none of it."""

    steps: Positive
    tokens_per_step: Positive
    learning_rate: float = Field(gt=0)
    gate_queries: Positive


class SampleDemonstrations(Strict):
    """Settings of the stage of that name."""

    balanced: bool = Field(True, description="classes in equal shares, as far as the number of shots allows")


class TuneLora(Strict):
    """LoRA tuning of one adapter on one set of demonstrations."""

    r: Positive
    alpha: Positive
    target_modules: Literal["attention", "all-linear"] | list[str] = Field(
        description="attention: peft's choice for the architecture (query and value projections)"
    )
    learning_rate: float = Field(gt=0)
    steps: Positive
    max_grad_norm: float = Field(gt=0)
    tokens_per_batch: Positive = Field(description="bounds memory for activations")
    adapters_at_once: Positive = Field(description="tuned side by side; bounds memory for their weights")


class DumpHiddenStates(Strict):
    """Settings of the stage of that name."""

    tokens_per_batch: Positive | Literal["auto"] = Field(
        description="of queries run together; halved where memory does not hold them. auto: what suits the device"
    )


class CompareHiddenStates(Strict):
    """Settings of the stage of that name."""

    measures: list[Measure] = Field(min_length=1)


class AggregateSimilarity(Strict):
    """Settings of the stage of that name."""

    confidence: float = Field(gt=0.5, lt=1)
    resamples: int = Field(ge=100)


class RenderReport(Strict):
    """Settings of the stage of that name."""

    title: str


class Study(Strict):
    """params.yaml as a whole."""

    seed: int
    models: dict[Name, Annotated[Model, Field(discriminator="source")]] = Field(min_length=1)
    datasets: dict[Name, Annotated[Dataset, Field(discriminator="source")]] = Field(min_length=1)
    factors: Factors
    reference: Reference
    draws: Positive
    queries: Positive
    prepare_dataset: PrepareDataset
    prepare_model: PrepareModel
    sample_demonstrations: SampleDemonstrations
    tune_lora: TuneLora
    dump_hidden_states: DumpHiddenStates
    compare_hidden_states: CompareHiddenStates
    aggregate_similarity: AggregateSimilarity
    render_report: RenderReport


def read_study(path: Path) -> Study:
    """Read and check a params file; SettingsError lists every error with its key, value and what is allowed."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SettingsError(f"{path}: no such file; run from the project's root") from None
    except yaml.YAMLError as error:
        raise SettingsError(f"{path}: not valid YAML: {error}") from None
    if not isinstance(content, dict):
        raise SettingsError(f"{path}: must hold keys and values")
    return check_study(content, str(path))


def check_study(content: dict[str, Any], source: str) -> Study:
    """Check the content of a params file; `source` names it in errors."""
    try:
        return Study.model_validate(content)
    except ValidationError as error:
        raise SettingsError("\n".join([f"{source}:", *(_line(e) for e in error.errors())])) from None


def _line(error: Any) -> str:
    place = [str(part) for part in error["loc"]]
    if place[0] in ("models", "datasets"):
        del place[2:3]  # pydantic puts the kind of source between a name and its settings
    key = ".".join(place)
    what = error["msg"].removeprefix("Value error, ")
    if error["type"] == "extra_forbidden":
        return f"  {key}: unknown key; remove it or check its spelling"
    if error["type"] == "missing":
        return f"  {key}: missing"
    return f"  {key}: {what[0].lower()}{what[1:]} (is {json.dumps(error['input'], default=str)})"


def json_schema() -> str:
    """The JSON schema of params.yaml, as docs/params.schema.json holds it."""
    return json.dumps(Study.model_json_schema(), indent=1) + "\n"


if __name__ == "__main__":
    Path("docs/params.schema.json").write_text(json_schema(), encoding="utf-8")
