"""The study's settings: the one source of what params.yaml may say.

The models below check params.yaml before the DAG is built and report every error at once. The JSON schema
for editors (docs/params.schema.json) is generated from them: `python -m workflow_scripts.lib.study.settings`.
"""

import json
from pathlib import Path
from types import GenericAlias
from typing import Annotated, Any, Literal, get_type_hints

from pydantic import AfterValidator, Field, ValidationError, create_model, field_validator, model_validator
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from workflow_scripts.lib.arms import ANCHOR, CHOOSABLE, QUESTION, named
from workflow_scripts.lib.data.choice import SampleDemonstrations
from workflow_scripts.lib.data.sources import Dataset, PrepareDataset
from workflow_scripts.lib.data.template import Rewording
from workflow_scripts.lib.errors import StudyError
from workflow_scripts.lib.forward.settings import LAST, DumpHiddenStates
from workflow_scripts.lib.lora.settings import TuneLora
from workflow_scripts.lib.measures.settings import CompareHiddenStates
from workflow_scripts.lib.models.sources import Model, PrepareModel
from workflow_scripts.lib.patching.settings import PatchHiddenStates
from workflow_scripts.lib.report.settings import RenderReport
from workflow_scripts.lib.results.settings import AggregateSimilarity
from workflow_scripts.lib.strict import Positive, Seed, Strict
from workflow_scripts.lib.study.factors import AT_REFERENCE, FACTORS, Factor, Reference, Varied, level_name


def _no_recipe(name: str) -> str:
    if name.endswith(".recipe"):
        raise ValueError(f"{name} may not end in .recipe, as what stands beside an artifact does")
    return name


Name = Annotated[
    str,
    Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", description="names a folder or file"),
    AfterValidator(_no_recipe),
]
LONGEST = 200  # characters of a value that an error shows


class SettingsError(StudyError):
    """params.yaml says something it may not; the message lists every error."""


class Levels(Strict):
    """Levels of each factor; one factor varies at a time."""

    @model_validator(mode="after")
    def _named_once(self) -> "Levels":
        if not self.levels():
            raise ValueError(f"needs at least one of {', '.join(type(self).model_fields)}")
        for factor, levels in self.levels().items():
            if len(set(map(level_name, levels))) < len(levels):
                raise ValueError(f"{factor} names a level twice: {levels}")
        return self

    def levels(self) -> dict[str, list[Any]]:
        """Factor -> its levels, of the factors that the study has."""
        return {name: levels for name in type(self).model_fields if (levels := getattr(self, name))}


def _levels_of(factor: Factor) -> Any:
    level = get_type_hints(factor.block, include_extras=True)[factor.key]
    return GenericAlias(list, (level,)) | None, Field(None, min_length=1)


Factors = create_model("Factors", __base__=Levels, **{factor.name: _levels_of(factor) for factor in FACTORS})


class Study(Strict):
    """params.yaml as a whole."""

    seed: Seed
    models: dict[Name, Annotated[Model, Field(discriminator="source")]] = Field(min_length=1)
    datasets: dict[Name, Annotated[Dataset, Field(discriminator="source")]] = Field(min_length=1)
    factors: Factors
    templates: dict[Name, Rewording] = Field(
        description="name -> what is put otherwise in each data set's own template"
    )
    reference: Reference
    draws: Positive
    queries: Positive
    arms: list[Literal[tuple(arm.name for arm in CHOOSABLE)]] = Field(  # type: ignore[valid-type]
        description="ways of giving a model a set: by prompt, by weights, by both; ceilings at the reference alone"
    )
    imported: dict[Name, Path] = Field(
        description="model -> folder of a peft LoRA adapter, whoever tuned it: what its arm `imported` runs through"
    )
    prepare_dataset: PrepareDataset
    prepare_model: PrepareModel
    sample_demonstrations: SampleDemonstrations
    tune_lora: TuneLora
    dump_hidden_states: DumpHiddenStates
    compare_hidden_states: CompareHiddenStates
    patch_hidden_states: PatchHiddenStates
    aggregate_similarity: AggregateSimilarity
    render_report: RenderReport
    counts_as: dict[str, Annotated[str, Field(pattern=r"^\d+\.\d+$")]] = Field(
        description="library -> minor release in quotes: the one that is installed is taken for it, so that what was "
        "made with it stays fresh",
    )

    @property
    def varied(self) -> Varied:
        """The blocks that say where the reference of each factor stands."""
        return Varied(self.reference, self.tune_lora, self.dump_hidden_states)

    @model_validator(mode="after")
    def _on_the_way(self) -> "Study":
        later = [step for step in self.factors.levels().get("path", []) if step > self.tune_lora.steps]
        if later:
            raise ValueError(f"factors.path: step {later[0]} is beyond tune_lora.steps, {self.tune_lora.steps}")
        return self

    @model_validator(mode="after")
    def _named_templates(self) -> "Study":
        unknown = {self.reference.template, *self.factors.levels().get("template", [])} - {"own", *self.templates}
        if unknown:
            known = ", ".join(["own", *self.templates])
            raise ValueError(f"factors.template: {sorted(unknown)[0]} is none of `templates`, which has {known}")
        return self

    @model_validator(mode="after")
    def _at_the_reference(self) -> "Study":
        for key, value, must, what in (
            ("reference.task", self.reference.task, "own", "another task is a level"),
            ("reference.relevance", self.reference.relevance, "any", "sets for each query are levels"),
            ("dump_hidden_states.position", self.dump_hidden_states.position, LAST, "others are levels"),
        ):
            if value != must:
                raise ValueError(f"{key}: must be {must}; {what} of factors.{key.split('.')[1]}")
        return self

    @model_validator(mode="after")
    def _other_tasks(self) -> "Study":
        if "another" in self.factors.levels().get("task", []) and len(self.datasets) < 2:
            raise ValueError("factors.task: another task needs a second data set")
        return self

    @model_validator(mode="after")
    def _given_what_they_need(self) -> "Study":
        chosen = named(self.arms)
        unknown = [name for name in self.imported if name not in self.models]
        if unknown:
            raise ValueError(f"imported: {unknown[0]} is none of `models`, which has {', '.join(self.models)}")
        lacking = [arm.name for arm in chosen if arm.imported and not self.imported]
        if lacking:
            raise ValueError(f"arms: {lacking[0]} needs an adapter's folder; name it under `imported`, by its model")
        alone = [arm.name for arm in chosen if arm.of_another and len(self.datasets) < 2]
        if alone:
            raise ValueError(f"arms: {alone[0]} shows demonstrations of another task, and needs a second data set")
        return self

    @model_validator(mode="after")
    def _patched(self) -> "Study":
        at = {factor.name: factor.level_of(self.varied) for factor in FACTORS}
        varied = [name for name, levels in self.factors.levels().items() if any(level != at[name] for level in levels)]
        # One run of the anchor serves the levels of a cell, and one set all its queries.
        otherwise = {"template", "position"}
        other_run = [factor.name for factor in FACTORS if factor.changes & otherwise or factor.key == "relevance"]
        same_run = [name for name in varied if name not in other_run]
        given = [arm.name for arm in CHOOSABLE if arm.given and arm.everywhere and arm.name in self.arms]
        allowed = {"arms": given, "factors": [AT_REFERENCE, *same_run]}
        for key, names in allowed.items():
            unknown = [name for name in getattr(self.patch_hidden_states, key) if name not in names]
            if unknown:
                raise ValueError(f"patch_hidden_states.{key}: {unknown[0]} is none of {', '.join(names)}")
        return self

    @model_validator(mode="after")
    def _relevant_by(self) -> "Study":
        model = self.sample_demonstrations.relevance.model
        if model is not None and model not in self.models:
            known = ", ".join(self.models)
            raise ValueError(f"sample_demonstrations.relevance.model: {model} is none of `models`, which has {known}")
        return self

    @field_validator("arms")
    @classmethod
    def _needed(cls, arms: list[str]) -> list[str]:
        lacking = [arm.name for arm in (ANCHOR, *QUESTION) if arm.name not in arms]
        if lacking or len(set(arms)) < len(arms):
            raise ValueError(f"must name {', '.join(lacking) or 'each arm once'}")
        return arms


def read_study(path: Path) -> Study:
    """Read and check a params file; SettingsError lists every error with its key, value and what is allowed."""
    try:
        # YAML 1.2 and no key twice, as DVC reads it: or one would take 2e-3 for a number and the other for a text.
        content = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise SettingsError(f"{path}: no such file; run from the project's root") from None
    except (YAMLError, UnicodeDecodeError) as error:
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
    if place and place[0] in ("models", "datasets"):
        del place[2:3]  # pydantic puts the kind of source between a name and its settings
    key = ".".join(place)
    what = error["msg"].removeprefix("Value error, ")
    if error["type"] == "extra_forbidden":
        return f"  {key}: unknown key; remove it or check its spelling"
    if error["type"] == "missing":
        return f"  {key}: missing"
    if not key:  # what is wrong between keys names them itself
        return f"  {what}"
    given = json.dumps(error["input"], default=str)
    return f"  {key}: {what[0].lower()}{what[1:]} (is {given if len(given) <= LONGEST else given[:LONGEST] + '...'})"


def json_schema() -> str:
    """The JSON schema of params.yaml, as docs/params.schema.json holds it."""
    return json.dumps(Study.model_json_schema(), indent=1) + "\n"


if __name__ == "__main__":
    Path("docs/params.schema.json").write_text(json_schema(), encoding="utf-8")
