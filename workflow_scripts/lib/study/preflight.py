"""Check a study against its data and models before anything expensive runs; every error is reported at once.

`python -m workflow_scripts.lib.study.preflight params.yaml`, and the start of every run that has something to do.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workflow_scripts.lib.arms import FULL, PREFIX, Weights, named
from workflow_scripts.lib.data import datasets
from workflow_scripts.lib.data.datasets import Prepared
from workflow_scripts.lib.data.prompts import Prompts
from workflow_scripts.lib.data.sets import Demonstration
from workflow_scripts.lib.data.shown import SHOWN, beside
from workflow_scripts.lib.data.sources import Dataset
from workflow_scripts.lib.errors import StudyError
from workflow_scripts.lib.forward.settings import back
from workflow_scripts.lib.lora.apply import check_adapter
from workflow_scripts.lib.models import pin
from workflow_scripts.lib.models.config import load_config, load_tokenizer
from workflow_scripts.lib.models.context import context_length
from workflow_scripts.lib.models.encoders import check_encoder
from workflow_scripts.lib.models.sources import Model, PocketModel
from workflow_scripts.lib.models.weights import empty_model
from workflow_scripts.lib.pocket import model as pocket
from workflow_scripts.lib.progress import log
from workflow_scripts.lib.study.factors import level_name
from workflow_scripts.lib.study.grid import BY_QUERY, REFERENCE, Grid
from workflow_scripts.lib.study.material import Material, Shown, material
from workflow_scripts.lib.study.preview import Look, show
from workflow_scripts.lib.study.prompt_checks import Asked, answers, asked, check_answers, check_prompts, embedded
from workflow_scripts.lib.study.settings import SettingsError, Study, read_study
from workflow_scripts.lib.study.trial import check_names, renamed, small_copy, try_out, try_prefix
from workflow_scripts.lib.tuning.full import check_size

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class ContextError(StudyError):
    """A prompt that a model's context cannot hold, or that lacks the token at which a state is to be taken."""


@dataclass(frozen=True)
class Checked:
    """All that would stop the study, each line naming the key, what is wrong and what is allowed; and what is read.

    data: data set -> what there is to read of it. looks: key -> the reference's prompts, of a model and a data set, and
    those of every other template.
    """

    errors: list[str]
    data: dict[str, Material]
    looks: dict[str, Look]


@dataclass(frozen=True)
class CheckedModel:
    """A model's config and tokenizer.

    embedded: it is ours, and tests try what others are tried for here. by_parts: its `precision` is `split`.
    """

    config: Any
    tokenizer: Any
    embedded: bool = False
    by_parts: bool = False

    @cached_property
    def copy(self) -> "PreTrainedModel | None":
        """A small copy to try things on; none of an architecture that tests try, or that none can be made of."""
        return None if self.embedded else small_copy(self.config)


def check(study: Study) -> Checked:
    """Look at all that a study's settings name."""
    found: list[str] = []

    def checked(key: str, check: Callable[..., Any], *arguments: Any) -> Any:
        try:
            return check(*arguments)
        except StudyError as error:
            found.append(f"{key}: {error}")
            return None

    prepared = {
        name: checked(f"datasets.{name}", prepared_of, study, source) for name, source in study.datasets.items()
    }
    data = {name: checked(f"datasets.{name}", material, study, name, prepared) for name in prepared if prepared[name]}
    models = {name: checked(f"models.{name}", model_of, source) for name, source in study.models.items()}
    if BY_QUERY in study.factors.levels():
        checked("sample_demonstrations.relevance", check_encoder, study.sample_demonstrations.relevance)
    looks: dict[str, Look] = {}
    for name, model in models.items():
        if model:
            checked(f"models.{name}", _tunable, study, model)
            checked(f"models.{name}", _has_layers, study, model)
        if model and _trains(study, FULL):
            checked(f"models.{name}", check_size, empty_model(model.config), study.tune_lora)
        if model and name in study.imported:
            checked(f"imported.{name}", check_adapter, empty_model(model.config), study.imported[name])
    for (model_name, model), (data_name, read) in product(models.items(), data.items()):
        key = f"models.{model_name} with datasets.{data_name}"
        made = checked(key, _fits, study, model, read) if model and read else None
        looks |= {f"{key}{at}": one for at, one in (made or {}).items()}
    return Checked(found, {name: read for name, read in data.items() if read}, looks)


def prepared_of(study: Study, source: Dataset) -> Prepared:
    """A data set as the study would prepare it; DataError where it cannot be read."""
    return datasets.prepare(source, pool=study.prepare_dataset.pool, queries=study.queries, seed=study.seed)


def model_of(source: Model) -> CheckedModel:
    """A model's config and tokenizer; ModelError or HubError where they are not to be had."""
    if isinstance(source, PocketModel):
        return CheckedModel(pocket.configuration(), pocket.tokenizer(), embedded=True)
    folder = pin.check(source)
    by_parts = getattr(source, "precision", "whole") == "split"
    return CheckedModel(load_config(folder), load_tokenizer(folder), by_parts=by_parts)


def _tunable(study: Study, model: CheckedModel) -> None:
    grid = Grid(study.factors, study.varied, study.arms, study.models, study.imported)
    every = {level_name(tuning.target_modules): tuning for tuning in map(grid.tuning, grid.settings)}
    for tuning in every.values():
        check_names(model.config, tuning)
    # Tests try the embedded model's architecture; here it would cost every run a second and a half.
    tried = [one for one in every.values() if not model.embedded or isinstance(one.target_modules, list)]
    if not tried:
        return
    # Of the embedded model's architecture, only modules that the settings name.
    copy = model.copy or small_copy(model.config)
    if copy is None:
        log(f"{type(model.config).__name__}: no small copy can be made, so nothing of it is tried before tuning")
        return
    for tuning in tried:
        try_out(copy, renamed(copy, model.config, tuning), model.by_parts)


def _trains(study: Study, weights: Weights) -> bool:
    """Whether an arm of the study runs with these weights."""
    return any(arm.weights == weights for arm in named(study.arms))


def _has_layers(study: Study, model: CheckedModel) -> None:
    kept = study.dump_hidden_states.kept(model.config.get_text_config(decoder=True).num_hidden_layers + 1)
    study.patch_hidden_states.of_layers(kept)


def _fits(study: Study, model: CheckedModel, read: Material) -> dict[str, Look]:
    """The reference's prompts, and those of every other template, if those of every setting are as they must be."""
    prompts = prompts_by_setting(model, read)
    _check_texts(study, model, read, prompts)
    most = study.dump_hidden_states.new_tokens
    lengths = {setting: _longest(prompts[setting], read, shown, most) for setting, shown in read.shown.items()}
    context = context_length(model.config)
    longest = max(lengths, key=lengths.__getitem__)
    if context is not None and lengths[longest] > context:
        raise ContextError(
            f"the longest prompt ({longest}) has {lengths[longest]} tokens and the context holds {context}; "
            "use fewer shots or shorter texts"
        )
    _check_positions(study, [len(prompts[REFERENCE.name].query(one.fields)) for one in read.examples.queries])
    if model.copy and _trains(study, PREFIX):
        before = max(len(prompts[REFERENCE.name].prefix(one.set.demonstrations)) for one in read.reference.sets)
        try_prefix(model.copy, study.tune_lora, before, lengths[REFERENCE.name])
    others = [setting for setting, shown in read.shown.items() if shown.template != read.reference.template]
    arms = named(study.arms)
    everywhere = [arm for arm in arms if arm.everywhere]
    looks = {f" at {setting}": Look(prompts[setting], read, everywhere) for setting in others}
    return {"": Look(prompts[REFERENCE.name], read, arms)} | looks


def _check_positions(study: Study, lengths: Sequence[int]) -> None:
    for position in study.factors.levels().get("position", []):
        if back(position) >= min(lengths):
            raise ContextError(
                f"factors.position: {position} is no token of the shortest query, which has {min(lengths)} tokens"
            )


def prompts_by_setting(model: CheckedModel, read: Material) -> dict[str, Prompts]:
    """Setting -> its prompts; settings with the same wording share them."""
    by_wording: dict[str, Prompts] = {}
    found = {}
    for setting, shown in read.shown.items():
        wording = repr([shown.template, shown.told])
        if wording not in by_wording:
            by_wording[wording] = Prompts(model.tokenizer, shown.template, read.examples.words, shown.told)
        found[setting] = by_wording[wording]
    return found


def _check_texts(study: Study, model: CheckedModel, read: Material, prompts: Mapping[str, Prompts]) -> None:
    """Check every text that stands in a prompt of any setting, once for each wording."""
    texts: dict[Prompts, dict[str, Asked]] = {}
    told: dict[Prompts, dict[str, str]] = {}
    for setting, shown in read.shown.items():
        for task, own in ((None, prompts[setting]), *prompts[setting].others.items()):
            texts.setdefault(own, {}).update((repr(one), one) for one in asked(read.examples, shown.sets, task))
            if own.generation:
                told.setdefault(own, {}).update(answers(read.examples, shown.sets, task))
    if read.other:
        at_reference = prompts[REFERENCE.name]
        own, in_place = at_reference.others[read.other.name], _in_place(study, read, at_reference)
        texts[own].update((one.id, (one.id, one.fields)) for one in in_place)
        if own.generation:
            told.setdefault(own, {}).update((one.label, one.id) for one in in_place)
    for own, some in texts.items():
        check_prompts(own, list(some.values()), embedded(model.config))
        check_answers(own, told.get(own, {}), embedded(model.config))


def _in_place(study: Study, read: Material, prompts: Prompts) -> list[Demonstration]:
    """What arms show of another task in the place of the reference's sets."""
    at_hand = beside(read.other, read.examples.queries, prompts.length)
    ways = [SHOWN[arm.shows] for arm in named(study.arms) if arm.of_another and arm.shows]
    return [one for way in ways for each in read.reference.sets for one in way(each.set, at_hand)]


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


def main(params: str = "params.yaml", how: str = "") -> None:
    """Check a params file; exits with 1 and one line per error. With `--brief` data and prompts are not shown."""
    try:
        study = read_study(Path(params))
    except SettingsError as error:
        raise SystemExit(str(error)) from None
    checked = check(study)
    show(checked.data, checked.looks, study.dump_hidden_states.new_tokens, brief=how == "--brief")
    if checked.errors:
        raise SystemExit("\n".join([f"{params}:", *(f"  {line}" for line in checked.errors)]))
    log(f"{params}: checked against its data and models")


if __name__ == "__main__":
    main(*sys.argv[1:])
