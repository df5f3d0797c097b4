"""Checkpoints whose weights stay as they are stored, in 16 bits, while they are read and after."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedConfig, PreTrainedModel

from workflow_scripts.lib.models.files import FLOATS, ModelError
from workflow_scripts.lib.models.split import HALF, split, splits

STORED = {FLOATS[str(dtype)]: dtype for dtype in HALF}  # by the name that files have for it
ADVICE = "leave `precision` out for this model"


def half_of(folder: Path, stored: Mapping[str, str]) -> torch.dtype:
    """The type of 16 bits that most tensors of a checkpoint are stored in; ModelError where none is."""
    kinds = Counter(kind for kind in stored.values() if kind in STORED)
    if not kinds:
        raise ModelError(f"{folder}: `precision: split` needs weights in bfloat16 or float16, and none is; {ADVICE}")
    return STORED[kinds.most_common(1)[0][0]]


def only_half_of(stored: Mapping[str, str]) -> torch.dtype | None:
    """The type of 16 bits that every tensor of a checkpoint is stored in; None where they are of others, or several."""
    kinds = {*stored.values()}
    return STORED.get(kinds.pop()) if len(kinds) == 1 else None


def half_to_draw(config: PreTrainedConfig) -> torch.dtype:
    """The type of 16 bits for weights that are drawn: the one that the config names, or bfloat16."""
    return config.dtype if config.dtype in HALF else torch.bfloat16


def split_class(kind: type[PreTrainedModel], dtype: torch.dtype) -> type[PreTrainedModel]:
    """A class of models whose linear weights are put into `dtype` as it is made, before any weight is read.

    So they never take the memory of float32, and what places layers on GPUs knows their size.
    """

    def init(model: Any, *args: Any, **named: Any) -> None:
        kind.__init__(model, *args, **named)
        split(model, dtype)

    return type(kind.__name__, (kind,), {"__init__": init, "__module__": kind.__module__})


def check_exact(folder: Path, model: PreTrainedModel, stored: Mapping[str, str]) -> None:
    """ModelError for a weight that was stored in another type than it has now: it has been rounded."""
    for module, has in splits(model).items():
        name = f"{module}.weight"
        own = {kind for one, kind in stored.items() if name.endswith(one) or one.endswith(name)}
        # A checkpoint of another layout has other names: there all have to be of that type.
        odd = sorted(kind for kind in own or {*stored.values()} if STORED.get(kind) != has)
        if odd:
            most = FLOATS[str(has)]
            raise ModelError(
                f"{folder}: {name} is stored in {odd[0]} and most weights in {most}, to which `precision: split` would "
                f"round it; {ADVICE}"
            )
