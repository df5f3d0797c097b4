"""Check a study against its data and models before anything expensive runs; every error is reported at once.

`python -m workflow_scripts.lib.preflight params.yaml`, and the start of every run that has something to do.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from workflow_scripts.lib import datasets
from workflow_scripts.lib.demonstrations import Draw, PoolError, sample_draws
from workflow_scripts.lib.examples import Examples
from workflow_scripts.lib.hub import HubError, commit_of, snapshot
from workflow_scripts.lib.lora import Tuning, TuningError, adapted
from workflow_scripts.lib.model_sources import check_local
from workflow_scripts.lib.models import ModelError, empty_model, load_config, load_tokenizer
from workflow_scripts.lib.pocket import model as pocket
from workflow_scripts.lib.progress import log
from workflow_scripts.lib.prompts import LabelError, Prompts, Template
from workflow_scripts.lib.readers import DataError
from workflow_scripts.lib.settings import SettingsError, Study, read_study
from workflow_scripts.lib.sources import HubModel, LocalModel, Model


class ContextError(ValueError):
    """A prompt that a model's context cannot hold."""


EXPECTED = (DataError, PoolError, ModelError, HubError, LabelError, TuningError, ContextError)


@dataclass(frozen=True)
class CheckedData:
    """A data set as the study will use it: its examples and the draws of every factor."""

    examples: Examples
    draws: dict[str, list[Draw]]


@dataclass(frozen=True)
class CheckedModel:
    """A model's config and tokenizer."""

    config: Any
    tokenizer: Any


def errors(study: Study) -> list[str]:
    """All that would stop the study, each line naming the key, what is wrong and what is allowed."""
    found: list[str] = []

    def checked(key: str, check: Callable[..., Any], *arguments: Any) -> Any:
        try:
            return check(*arguments)
        except EXPECTED as error:
            found.append(f"{key}: {error}")
            return None

    data = {name: checked(f"datasets.{name}", _data, study, name) for name in study.datasets}
    models = {name: checked(f"models.{name}", _model, source) for name, source in study.models.items()}
    for name, model in models.items():
        if model:
            checked(f"models.{name}", _tunable, study, model)
    for (model_name, model), (data_name, examples) in product(models.items(), data.items()):
        if model and examples:
            template = datasets.template_of(study.datasets[data_name])
            checked(f"models.{model_name} with datasets.{data_name}", _fits, model, template, examples)
    return found


def _data(study: Study, name: str) -> CheckedData:
    source = study.datasets[name]
    key = f"{study.seed}/{name}"
    prepared = datasets.prepare(source, pool=study.prepare_dataset.pool, queries=study.queries, key=key)
    examples = Examples(prepared.pool, prepared.queries, datasets.label_words(source))
    drawn = {
        factor: sample_draws(
            examples,
            factor=factor,
            levels=levels,
            reference=study.reference.model_dump(),
            draws=study.draws,
            balanced=study.sample_demonstrations.balanced,
            key=key,
        )
        for factor, levels in study.factors.levels().items()
    }
    return CheckedData(examples, drawn)


def _model(source: Model) -> CheckedModel:
    if isinstance(source, LocalModel):
        folder = check_local(source)
    elif isinstance(source, HubModel):
        folder = snapshot(source.id, commit_of(source.id, source.revision), weights=False)
    else:
        return CheckedModel(pocket.configuration(), pocket.tokenizer())
    return CheckedModel(load_config(folder), load_tokenizer(folder))


def _tunable(study: Study, model: CheckedModel) -> None:
    with adapted(empty_model(model.config), Tuning(**study.tune_lora.model_dump())):
        pass


def _fits(model: CheckedModel, template: Template, data: CheckedData) -> None:
    prompts = Prompts(model.tokenizer, template, data.examples.words)
    context = getattr(model.config, "max_position_embeddings", None)
    ending = max(len(prompts.query(one.fields)) for one in data.examples.queries)
    ending += max(map(len, prompts.labels.values())) - 1
    length, where = max(
        (len(prompts.prefix(draw.as_demonstrations())) + ending, f"{factor} {draw.level}, draw {draw.draw}")
        for factor, draws in data.draws.items()
        for draw in draws
    )
    if context is not None and length > context:
        raise ContextError(
            f"the longest prompt ({where}) has {length} tokens and the context holds {context}; "
            "use fewer shots or shorter texts"
        )


def main(params: str = "params.yaml") -> None:
    """Check a params file; exits with 1 and one line per error."""
    try:
        found = errors(read_study(Path(params)))
    except SettingsError as error:
        raise SystemExit(str(error)) from None
    if found:
        raise SystemExit("\n".join([f"{params}:", *(f"  {line}" for line in found)]))
    log(f"{params}: checked against its data and models")


if __name__ == "__main__":
    main(*sys.argv[1:])
