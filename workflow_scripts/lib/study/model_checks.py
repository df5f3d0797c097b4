"""A study's models before a run: their config and tokenizer, and whether a small copy of each can be tuned."""

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from workflow_scripts.lib.arms import Weights, named
from workflow_scripts.lib.models import pin
from workflow_scripts.lib.models.config import load_config, load_tokenizer
from workflow_scripts.lib.models.sources import Model, PocketModel
from workflow_scripts.lib.pocket import model as pocket
from workflow_scripts.lib.progress import log
from workflow_scripts.lib.study.factors import level_name
from workflow_scripts.lib.study.grid import Grid
from workflow_scripts.lib.study.settings import Study
from workflow_scripts.lib.study.trial import check_names, renamed, small_copy, try_out

if TYPE_CHECKING:
    from transformers import PreTrainedModel


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


def model_of(source: Model) -> CheckedModel:
    """A model's config and tokenizer; ModelError or HubError where they are not to be had."""
    if isinstance(source, PocketModel):
        return CheckedModel(pocket.configuration(), pocket.tokenizer(), embedded=True)
    folder = pin.check(source)
    by_parts = getattr(source, "precision", "whole") == "split"
    return CheckedModel(load_config(folder), load_tokenizer(folder), by_parts=by_parts)


def check_tunable(study: Study, model: CheckedModel) -> None:
    """StudyError where an architecture cannot be tuned as some setting says, as far as names and a small copy tell."""
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


def trains(study: Study, weights: Weights) -> bool:
    """Whether an arm of the study runs with these weights."""
    return any(arm.weights == weights for arm in named(study.arms))


def check_layers(study: Study, model: CheckedModel) -> None:
    """StudyError where a model has not the layers that are to be kept or patched."""
    kept = study.dump_hidden_states.kept(model.config.get_text_config(decoder=True).num_hidden_layers + 1)
    study.patch_hidden_states.of_layers(kept)
