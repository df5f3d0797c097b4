"""Check a study against its data and models before anything expensive runs; every error is reported at once.

`python -m workflow_scripts.lib.study.preflight params.yaml`, and the start of every run that has something to do.
"""

import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from workflow_scripts.lib.arms import named
from workflow_scripts.lib.data import datasets
from workflow_scripts.lib.data.datasets import Prepared
from workflow_scripts.lib.data.prompts import Prompts
from workflow_scripts.lib.data.sources import Dataset
from workflow_scripts.lib.errors import StudyError
from workflow_scripts.lib.models.config import load_config, load_tokenizer
from workflow_scripts.lib.models.context import context_length
from workflow_scripts.lib.models.pin import check_hub, check_local
from workflow_scripts.lib.models.sources import HubModel, LocalModel, Model
from workflow_scripts.lib.pocket import model as pocket
from workflow_scripts.lib.progress import log
from workflow_scripts.lib.study.factors import level_name
from workflow_scripts.lib.study.grid import REFERENCE, Grid
from workflow_scripts.lib.study.material import Material, Shown, material
from workflow_scripts.lib.study.preview import about_answers, preview, warnings
from workflow_scripts.lib.study.prompt_checks import (
    Asked,
    answers,
    asked,
    check_answers,
    check_prompts,
    embedded,
)
from workflow_scripts.lib.study.settings import SettingsError, Study, read_study
from workflow_scripts.lib.study.trial import check_names, renamed, small_copy, try_out


class ContextError(StudyError):
    """A prompt that a model's context cannot hold."""


@dataclass(frozen=True)
class Checked:
    """All that would stop the study, each line naming the key, what is wrong and what is allowed; and what is read.

    data: data set -> what there is to read of it. prompts: key -> the reference's, of a model and a data set.
    """

    errors: list[str]
    data: dict[str, Material]
    prompts: dict[str, tuple[Prompts, Material]]


@dataclass(frozen=True)
class CheckedModel:
    """A model's config and tokenizer; `embedded`: it is ours, and tests try what others are tried for here."""

    config: Any
    tokenizer: Any
    embedded: bool = False


def check(study: Study) -> Checked:
    """Look at all that a study's settings name."""
    found: list[str] = []

    def checked(key: str, check: Callable[..., Any], *arguments: Any) -> Any:
        try:
            return check(*arguments)
        except StudyError as error:
            found.append(f"{key}: {error}")
            return None

    prepared = {name: checked(f"datasets.{name}", _prepared, study, source) for name, source in study.datasets.items()}
    data = {name: checked(f"datasets.{name}", material, study, name, prepared) for name in prepared if prepared[name]}
    models = {name: checked(f"models.{name}", _model, source) for name, source in study.models.items()}
    prompts: dict[str, tuple[Prompts, Material]] = {}
    for name, model in models.items():
        if model:
            checked(f"models.{name}", _tunable, study, model)
            checked(f"models.{name}", _has_layers, study, model)
    for (model_name, model), (data_name, read) in product(models.items(), data.items()):
        key = f"models.{model_name} with datasets.{data_name}"
        if model and read and (made := checked(key, _fits, study, model, read)):
            prompts[key] = made, read
    return Checked(found, {name: read for name, read in data.items() if read}, prompts)


def _prepared(study: Study, source: Dataset) -> Prepared:
    return datasets.prepare(source, pool=study.prepare_dataset.pool, queries=study.queries, seed=study.seed)


def _model(source: Model) -> CheckedModel:
    if isinstance(source, LocalModel):
        folder = check_local(source)
    elif isinstance(source, HubModel):
        folder = check_hub(source)
    else:
        return CheckedModel(pocket.configuration(), pocket.tokenizer(), embedded=True)
    return CheckedModel(load_config(folder), load_tokenizer(folder))


def _tunable(study: Study, model: CheckedModel) -> None:
    grid = Grid(study.factors, study.varied, study.arms, study.models)
    every = {level_name(tuning.target_modules): tuning for tuning in map(grid.tuning, grid.settings)}
    for tuning in every.values():
        check_names(model.config, tuning)
    # Tests try the embedded model's architecture; here it would cost every run a second and a half.
    tried = [one for one in every.values() if not model.embedded or isinstance(one.target_modules, list)]
    if not tried:
        return
    copy = small_copy(model.config)
    if copy is None:
        log(f"{type(model.config).__name__}: no small copy can be made, so nothing of it is tried before tuning")
        return
    for tuning in tried:
        try_out(copy, renamed(copy, model.config, tuning))


def _has_layers(study: Study, model: CheckedModel) -> None:
    study.patch_hidden_states.of_layers(model.config.get_text_config(decoder=True).num_hidden_layers + 1)


def _fits(study: Study, model: CheckedModel, read: Material) -> Prompts:
    """The reference's prompts, if those of every setting are as they must be."""
    prompts = _prompts(model, read)
    _check_texts(model, read, prompts)
    most = study.dump_hidden_states.new_tokens
    lengths = {setting: _longest(prompts[setting], read, shown, most) for setting, shown in read.shown.items()}
    context = context_length(model.config)
    longest = max(lengths, key=lengths.__getitem__)
    if context is not None and lengths[longest] > context:
        raise ContextError(
            f"the longest prompt ({longest}) has {lengths[longest]} tokens and the context holds {context}; "
            "use fewer shots or shorter texts"
        )
    return prompts[REFERENCE.name]


def _prompts(model: CheckedModel, read: Material) -> dict[str, Prompts]:
    """Setting -> its prompts; settings with the same wording share them."""
    by_wording: dict[str, Prompts] = {}
    found = {}
    for setting, shown in read.shown.items():
        wording = repr([shown.template, shown.told])
        if wording not in by_wording:
            by_wording[wording] = Prompts(model.tokenizer, shown.template, read.examples.words, shown.told)
        found[setting] = by_wording[wording]
    return found


def _check_texts(model: CheckedModel, read: Material, prompts: Mapping[str, Prompts]) -> None:
    """Check every text that stands in a prompt of any setting, once for each wording."""
    texts: dict[Prompts, dict[str, Asked]] = {}
    told: dict[Prompts, dict[str, str]] = {}
    for setting, shown in read.shown.items():
        for task, own in ((None, prompts[setting]), *prompts[setting].others.items()):
            texts.setdefault(own, {}).update((repr(one), one) for one in asked(read.examples, shown.sets, task))
            if own.generation:
                told.setdefault(own, {}).update(answers(read.examples, shown.sets, task))
    for own, some in texts.items():
        check_prompts(own, list(some.values()), embedded(model.config))
        check_answers(own, told.get(own, {}), embedded(model.config))


def _longest(prompts: Prompts, read: Material, shown: Shown, new_tokens: int) -> int:
    """Tokens of a setting's longest prompt with its label, or in generation its answer or as much as may be written."""
    queries = read.examples.queries
    asked_for = {one.id: len(prompts.query(one.fields)) for one in queries}
    whole = (
        len(prompts.prefix(each.set.demonstrations)) + max(asked_for[one.id] for one in each.asked(queries))
        for each in shown.sets
    )
    follows = [len(prompts.learnt(word)) - 1 for word in read.examples.words or {one.label for one in queries}]
    return max(whole) + max(*follows, new_tokens if prompts.generation else 0)


def _show(study: Study, checked: Checked, brief: bool) -> None:
    """Say what is odd about data sets, and prompts of every model and data set; if not brief, what all look like."""
    for name, read in checked.data.items():
        _say(f"datasets.{name}", [] if brief else read.summary.lines(), read.summary.notes())
    for key, (prompts, read) in checked.prompts.items():
        given = read.reference.sets
        shown = [] if brief else preview(prompts, read.examples.queries[0], given[0].set, named(study.arms))
        notes = [*warnings(prompts, asked(read.examples, given))]
        if prompts.generation:
            notes += about_answers(prompts, answers(read.examples, given), study.dump_hidden_states.new_tokens)
        _say(key, shown, notes)


def _say(key: str, shown: Iterable[str], notes: Iterable[str]) -> None:
    if lines := [*shown, *(f"note: {line}" for line in notes)]:
        log("\n  ".join([f"{key}:", *lines]))


def main(params: str = "params.yaml", how: str = "") -> None:
    """Check a params file; exits with 1 and one line per error. With `--brief` data and prompts are not shown."""
    try:
        study = read_study(Path(params))
    except SettingsError as error:
        raise SystemExit(str(error)) from None
    checked = check(study)
    _show(study, checked, brief=how == "--brief")
    if checked.errors:
        raise SystemExit("\n".join([f"{params}:", *(f"  {line}" for line in checked.errors)]))
    log(f"{params}: checked against its data and models")


if __name__ == "__main__":
    main(*sys.argv[1:])
