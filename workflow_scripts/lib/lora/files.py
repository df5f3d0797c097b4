"""Adapters in peft's format on disk: plain LoRA on linear modules, whoever tuned it; all else is refused by name."""

import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor

from workflow_scripts.lib.errors import StudyError

CONFIG, WEIGHTS, PICKLED = "adapter_config.json", "adapter_model.safetensors", "adapter_model.bin"
PREFIX, A, B = "base_model.model.", ".lora_A.weight", ".lora_B.weight"

# Fields of adapter_config.json that change nothing of what an adapter computes once it is tuned, or are read here.
KNOWN = {
    *(
        "peft_type",
        "peft_version",
        "task_type",
        "auto_mapping",
        "base_model_name_or_path",
        "revision",
        "runtime_config",
    ),
    *("inference_mode", "target_modules", "exclude_modules", "layers_to_transform", "layers_pattern", "megatron_core"),
    *("r", "lora_alpha", "rank_pattern", "alpha_pattern", "use_rslora", "lora_dropout", "fan_in_fan_out"),
    *("init_lora_weights", "eva_config", "qalora_group_size", "ensure_weight_tying"),
}
# Ways to start that leave the base as it is; PiSSA, OLoRA, CorDA, LoftQ and LoRA-GA take a part of it away.
STARTS = (True, False, "gaussian", "eva", "orthogonal")
ADVICE = "merge the adapter into its model with peft and name the merged folder under `models`"


class AdapterError(StudyError):
    """An adapter that does not fit its model, or that is more than plain LoRA on linear modules."""


class LowRank(NamedTuple):
    """What a module's output gains: scale * B A x, with A [r, d_in] and B [d_out, r]."""

    a: Tensor
    b: Tensor
    scale: float


def read_config(folder: Path) -> dict[str, Any]:
    """adapter_config.json of a folder; AdapterError where there is none."""
    try:
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise AdapterError(f"{folder}: no adapter that can be read: {error}") from None
    if not isinstance(config, dict):
        raise AdapterError(f"{folder / CONFIG}: holds no JSON object")
    return config


def read_tensors(folder: Path, *, shapes_only: bool = False) -> dict[str, Tensor]:
    """The tensors of a folder's safetensors file; on torch's `meta` device where their shapes are enough."""
    path = folder / WEIGHTS
    if not path.is_file() and (folder / PICKLED).is_file():
        raise AdapterError(f"{folder}: its weights are only in {PICKLED}, a pickle; save them as safetensors")
    try:
        if not shapes_only:
            return load_file(path)
        with safe_open(path, "pt") as file:
            return {
                name: torch.empty(file.get_slice(name).get_shape(), device="meta")
                for name in file.keys()  # noqa: SIM118
            }
    except (OSError, SafetensorError) as error:
        raise AdapterError(f"{folder}: no adapter that can be read: {error}") from None


def read_adapter(folder: Path, *, shapes_only: bool = False) -> dict[str, LowRank]:
    """Module name in the base -> what it gains; AdapterError for anything but plain LoRA on linear modules."""
    config = read_config(folder)
    check_plain(config, folder / CONFIG)
    found: dict[str, LowRank] = {}
    for name, (a, b) in matrices(read_tensors(folder, shapes_only=shapes_only)).items():
        rank = _by_pattern(config.get("rank_pattern"), name, config["r"])
        alpha = _by_pattern(config.get("alpha_pattern"), name, config["lora_alpha"])
        if a.dim() != 2 or b.dim() != 2 or a.shape[0] != rank or b.shape[1] != rank:
            shapes = f"A {list(a.shape)} and B {list(b.shape)}"
            raise AdapterError(f"{folder / WEIGHTS}: {name} has {shapes}, and {CONFIG} says rank {rank}; save it again")
        found[name] = LowRank(a, b, alpha / (math.sqrt(rank) if config.get("use_rslora") else rank))
    if not found:
        raise AdapterError(f"{folder / WEIGHTS}: holds no matrices; save the adapter again")
    return found


def check_plain(config: Mapping[str, Any], where: Path) -> None:
    """AdapterError for a config that says more than base(x) + scale * B A x on linear modules."""
    kind = config.get("peft_type")
    if kind != "LORA":
        raise AdapterError(f"{where}: is of kind {kind}, and only LORA can be put into a model; {ADVICE}")
    lacking = [key for key in ("r", "lora_alpha") if not isinstance(config.get(key), int | float)]
    if lacking:
        raise AdapterError(f"{where}: has no number {lacking[0]}; save the adapter again with peft")
    start = config.get("init_lora_weights", True)
    if start not in STARTS:
        raise AdapterError(f"{where}: init_lora_weights is {start}, which changes the base itself; {ADVICE}")
    more = [key for key, value in config.items() if key not in KNOWN and value and (key, value) != ("bias", "none")]
    if more:
        told = json.dumps(config[more[0]], default=str)
        raise AdapterError(
            f"{where}: not plain LoRA: {more[0]} is {told[:80]}, and only scaled products of A and B are put into a "
            f"model; {ADVICE}"
        )


def matrices(weights: Mapping[str, Tensor]) -> dict[str, tuple[Tensor, Tensor]]:
    """Module name in the base -> its A [.., r, d_in] and B [.., d_out, r]; AdapterError for other kinds of weights."""
    names = [key.removeprefix(PREFIX).removesuffix(A) for key in weights if key.endswith(A)]
    if set(weights) != {f"{PREFIX}{name}{kind}" for name in names for kind in (A, B)}:
        other = next((key for key in weights if not key.endswith((A, B))), "A without B")
        raise AdapterError(f"only linear modules can be adapted, and the adapter has {other}")
    return {name: (weights[f"{PREFIX}{name}{A}"], weights[f"{PREFIX}{name}{B}"]) for name in names}


def _by_pattern(patterns: Mapping[str, float] | None, name: str, otherwise: float) -> float:
    """What the first pattern that fits a module's name says, as peft reads its rank_pattern and alpha_pattern."""
    found = (value for pattern, value in (patterns or {}).items() if re.match(rf"(.*\.)?({pattern})$", name))
    return next(found, otherwise)
