"""Models with the weights of a checkpoint, all of them and no others, or with random ones."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workflow_scripts.lib.models.blocks import blocks_to_draw
from workflow_scripts.lib.models.config import check_trained, load_config
from workflow_scripts.lib.models.files import (
    FLOATS,
    INDEX,
    ModelError,
    files_read,
    listed,
    stored_types,
    weight_files,
)

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel


def trained_model(
    folder: Path, *, allow_pickle: bool, dtype: Any, device_map: Any, by_parts: bool = False, narrow: bool = False
) -> "PreTrainedModel":
    """A model with the weights of a folder; nothing of a checkpoint is executed.

    `by_parts`: weights of linear modules stay as they are stored, in 16 bits, and multiply by parts (models/split.py).
    `narrow`: they travel to where they are to be as they are stored, where all are of one type of 16 bits, and become
    float32 there. ModelError where the folder cannot be loaded as it is, and where its weights are not those of its
    config.
    """
    from transformers import AutoModelForCausalLM
    from transformers.utils.logging import disable_progress_bar, set_verbosity_error

    from workflow_scripts.lib.models import split, stored_halves

    disable_progress_bar()
    set_verbosity_error()  # its report is read here, and said in one line
    config = load_config(folder)
    check_trained(folder)
    files_read(folder, allow_pickle=allow_pickle, weights=True)
    stored = _stored(folder, allow_pickle)
    kind: Any = AutoModelForCausalLM
    half = stored_halves.half_of(folder, stored) if by_parts else stored_halves.only_half_of(stored) if narrow else None
    if half:
        kind = stored_halves.split_class(type(empty_model(config)), half)
    try:
        loaded: Any = kind.from_pretrained(
            folder,
            config=config,
            dtype=dtype,
            device_map=device_map,
            use_safetensors=None if allow_pickle else True,
            weights_only=True,
            trust_remote_code=False,
            ignore_mismatched_sizes=True,  # they are in the report
            output_loading_info=True,
        )
    except Exception as error:  # transformers, safetensors, torch and accelerate have each their own
        raise ModelError(f"{folder}: cannot be loaded: {_why(error)}") from None
    model, report = loaded
    check_report(folder, config, report)
    _check_types(folder, model, stored)
    if half:
        model.__class__ = kind.__base__
        stored_halves.check_exact(folder, model, stored)
    return model if by_parts else split.whole(model)


def check_weights(folder: Path, *, allow_pickle: bool, by_parts: bool = False) -> None:
    """ModelError where the weights are not those of the config; takes no memory for them, and seconds."""
    import torch

    where: dict[str, Any] = {"dtype": torch.float32, "device_map": {"": "meta"}}
    trained_model(folder, allow_pickle=allow_pickle, by_parts=by_parts, **where)


def check_makes(folder: Path) -> None:
    """ModelError where no model can be made of the config; takes no memory for its weights."""
    config = load_config(folder)
    try:
        empty_model(config)
    except Exception as error:
        raise ModelError(f"{folder / 'config.json'}: no model can be made of it: {_why(error)}") from None


def random_model(config: "PreTrainedConfig", seed: int) -> "PreTrainedModel":
    """A model of the architecture's own initialisation, drawn from `seed`; float32, on the CPU."""
    import torch
    from transformers import AutoModelForCausalLM

    torch.manual_seed(seed)
    return AutoModelForCausalLM.from_config(config, dtype=torch.float32, trust_remote_code=False)


def check_blocks(folder: Path) -> None:
    """ModelError where an architecture has no one list of blocks, whose weights could be drawn apart from others."""
    blocks_to_draw(empty_model(load_config(folder)))


def empty_model(config: "PreTrainedConfig") -> "PreTrainedModel":
    """The architecture without memory for its weights: enough to see which modules it has."""
    import torch
    from transformers import AutoModelForCausalLM

    with torch.device("meta"):
        return AutoModelForCausalLM.from_config(config, trust_remote_code=False)


def check_report(folder: Path, config: "PreTrainedConfig", report: dict[str, Any]) -> None:
    """ModelError for weights that would be drawn at random or left out; those that are tied are no fault."""
    shapes = [f"{name} ({list(has)}, not {list(needs)})" for name, has, needs in sorted(report["mismatched_keys"])]
    faults = {
        "lacks": sorted(report["missing_keys"]),
        "has in other shapes": shapes,
        "has besides": sorted(report["unexpected_keys"]),
        "cannot have converted": sorted(map(str, report.get("error_msgs", []))),
    }
    found = [f"{what} {listed(names)}" for what, names in faults.items() if names]
    if found:
        raise ModelError(
            f"{folder}: the weights are not those of the causal language model ({config.model_type}) that config.json "
            f"describes: the checkpoint {'; '.join(found)}; take that of the whole model, with its own config.json"
        )


def _why(error: Exception) -> str:
    """In one line; of a value that was looked up, an error has nothing but the value."""
    if isinstance(error, KeyError):
        from transformers import __version__

        return f"transformers {__version__} does not know {error}, which config.json names"
    return " ".join(str(error).split())[:300] or type(error).__name__


def _stored(folder: Path, allow_pickle: bool) -> dict[str, str]:
    files = [path for path in weight_files(folder, allow_pickle=allow_pickle) if not path.name.endswith(INDEX)]
    return {name: stored for path in files for name, stored in stored_types(path).items()}


def _check_types(folder: Path, model: "PreTrainedModel", stored: dict[str, str]) -> None:
    """ModelError for integers or eight bits in the place of weights, which transformers takes for their values."""
    odd = [name for name, kind in stored.items() if kind not in FLOATS.values()]
    found = sorted(name for name in odd if _is_weight(model, name)) if odd else []
    if found:
        raise ModelError(
            f"{folder}: its weights are quantised, and config.json does not say how: {listed(found)} of type "
            f"{stored[found[0]]}; use the checkpoint that it was made from"
        )


def _is_weight(model: "PreTrainedModel", name: str) -> bool:
    """Does a checkpoint's name become floating-point numbers: the model's own, with or without a prefix, or renamed."""
    own = [*model.named_parameters(remove_duplicate=False), *model.named_buffers(remove_duplicate=False)]
    same = [one for n, one in own if n == name or n.endswith(f".{name}") or name.endswith(f".{n}")]
    if same:
        return any(one.is_floating_point() for one in same)
    left_out = [*(model._keys_to_ignore_on_load_unexpected or ()), "position_ids$"]
    return not any(re.search(pattern, name) for pattern in left_out)
