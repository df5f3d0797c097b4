"""A small copy of a model's architecture, asked and tuned as the study will: what would fail there fails here."""

import re
from copy import deepcopy
from itertools import islice
from typing import Any

import torch
from transformers import PreTrainedModel

from workflow_scripts.lib.data.prompts import Completion
from workflow_scripts.lib.errors import StudyError
from workflow_scripts.lib.forward.allowed import found_ways
from workflow_scripts.lib.lora.config import TunedAdapter, TuningError, adapted
from workflow_scripts.lib.lora.files import matrices
from workflow_scripts.lib.lora.settings import TuneLora
from workflow_scripts.lib.lora.targets import all_linear, linear_modules
from workflow_scripts.lib.lora.train import Case, tune
from workflow_scripts.lib.models.blocks import decoder_blocks
from workflow_scripts.lib.models.files import ModelError
from workflow_scripts.lib.models.split import split, splits
from workflow_scripts.lib.models.tiny import VOCABULARY, tiny_configs
from workflow_scripts.lib.models.weights import empty_model, random_model
from workflow_scripts.lib.progress import log
from workflow_scripts.lib.tuning.prefix import shared, tune_prefixes
from workflow_scripts.lib.tuning.prefix_file import packed

MOST_PARAMETERS = 3e8  # of a copy: a second or two, and 1.2 GB
LOUD = 0.08  # the usual 0.02 leaves so little to attention that what it should not see would hardly show
CASES = (
    Case("one", [Completion([3, 10, 11, 12], [20]), Completion([3, 13, 14], [21, 22])], 0),
    Case("other", [Completion([3, 15, 16, 17, 18, 19, 4], [23, 24])], 1),
)


def small_copy(config: Any) -> PreTrainedModel | None:
    """A copy with random weights that runs on ids alone, in float32; None where none can be made."""
    for one in tiny_configs(config):
        try:
            if sum(parameter.numel() for parameter in empty_model(one).parameters()) > MOST_PARAMETERS:
                continue
            model = random_model(one, seed=0).eval()
            with torch.inference_mode():
                for matrix in (one for one in model.parameters() if one.dim() > 1 and 0 < one.std() < LOUD):
                    matrix.mul_(LOUD / matrix.std())
                model(torch.tensor([[1, 2, 3]]))
        except Exception:
            continue
        return model
    return None


def check_names(config: Any, tuning: TuneLora) -> None:
    """TuningError where an architecture has no module of those that are named, or one that is not linear."""
    if isinstance(tuning.target_modules, list):
        with adapted(empty_model(config), tuning):
            pass


def renamed(copy: PreTrainedModel, config: Any, tuning: TuneLora) -> TuneLora:
    """Tuning of a small copy: of a named module that only the whole model has, its like in another layer or block.

    Where the copy has none of that kind, all linear modules are tried in their place.
    """
    if not isinstance(tuning.target_modules, list):
        return tuning
    there = {name: type(module) for name, module in copy.named_modules()}
    whole = {name: type(module) for name, module in empty_model(config).named_modules()}
    names: dict[str, None] = {}
    for asked in tuning.target_modules:
        meant = [name for name in whole if _names(asked, name)]
        if not meant or any(_names(asked, name) for name in there):
            names[asked] = None
        for name in meant if asked not in names else ():
            like = re.compile(re.sub(r"\d+", r"\\d+", re.escape(name)))
            alike = (one for one, kind in there.items() if kind is whole[name] and like.fullmatch(one))
            names.update(dict.fromkeys(islice(alike, 1)))
    return tuning.model_copy(update={"target_modules": list(names) or "all-linear"})


def _names(asked: str, name: str) -> bool:
    """Does peft take a module for one that is asked for."""
    return name == asked or name.endswith(f".{asked}")


def try_out(model: PreTrainedModel, tuning: TuneLora, by_parts: bool = False) -> None:
    """Ask and tune a small copy.

    `by_parts`: as models with `precision: split` run; ModelError where they cannot. ArchitectureError for states that
    cannot be compared; TuningError where modules cannot be tuned, or where adapters tuned side by side are not those
    tuned alone.
    """
    if by_parts:
        model = _split(model)
    found_ways(model)
    if tuning.target_modules == "all-linear":
        _say_what_is_left_out(model)
    with adapted(model, tuning):
        pass
    quick = tuning.model_copy(update={"steps": 2, "learning_rate": 0.02, "tokens_per_batch": VOCABULARY})
    try:
        together = list(tune(model, CASES, quick))
        alone = [one for case in CASES for one in tune(model, [case], quick)]
    except StudyError:
        raise
    except Exception as error:  # whatever would end the job after hours
        why = " ".join(str(error).split())[:200]
        raise TuningError(f"{type(model).__name__} cannot be tuned: {type(error).__name__}: {why}") from None
    if isinstance(tuning.target_modules, list):
        _check_moved(alone[0])
    if not all(map(_alike, together, alone)):
        raise TuningError(
            f"{type(model).__name__} mixes the rows of a batch, so adapters cannot be tuned side by side; "
            "name other modules in tune_lora.target_modules"
        )


def _split(model: PreTrainedModel) -> PreTrainedModel:
    """A copy that multiplies by parts; what it leaves in float32 is told."""
    copy = split(deepcopy(model), torch.bfloat16)
    name = type(model).__name__
    try:
        copy(torch.tensor([[1, 2, 3]]))
    except Exception:  # each class has its own way of taking a weight without its module
        raise ModelError(f"{name} takes weights without their modules: leave out `precision: split`") from None
    by_parts = sum(copy.get_parameter(f"{one}.weight").numel() for one in splits(copy))
    weights = sum(one.numel() for block in decoder_blocks(copy) for one in block.parameters() if one.dim() > 1)
    if weights > 2 * by_parts:
        log(f"{name}: most weights of its blocks are in no linear module, so `precision: split` leaves them in float32")
    return copy


def try_prefix(model: PreTrainedModel, tuning: TuneLora, prefix: int, longest: int) -> None:
    """Tune keys and values on a small copy.

    TuningError where it has none that prompts of up to `longest` tokens, `prefix` of them before the query, can share;
    AdapterError where they cannot be saved.
    """
    shown = [3 + i % 100 for i in range(prefix)]
    case = Case("one", [Completion([10, 11, 12], [20])], 0, shown, fixed=1)
    packed(shared(model, found_ways(model), shown, longest - prefix).parts)
    list(tune_prefixes(model, [case], tuning.model_copy(update={"steps": 1})))


def _check_moved(adapter: TunedAdapter) -> None:
    for name, (_, b) in matrices(adapter.weights).items():
        if not b.any():
            raise TuningError(f"tune_lora.target_modules: nothing runs through {name}, so it would stay as it is")


def _alike(one: TunedAdapter, other: TunedAdapter) -> bool:
    """Losses equal up to what rounding makes of the optimiser's steps."""
    moved = max(other.losses) - min(other.losses)
    return all(abs(a - b) <= 0.01 * moved for a, b in zip(one.losses, other.losses, strict=True))


def _say_what_is_left_out(model: PreTrainedModel) -> None:
    tuned = set(all_linear(model))
    left = dict.fromkeys(name.rpartition(".")[2] for name in linear_modules(model) if name not in tuned)
    if left:
        log(
            f"{type(model).__name__}: all-linear leaves out {', '.join(left)}: peft does not adapt them as linear "
            "modules here, or not all tokens run through them"
        )
