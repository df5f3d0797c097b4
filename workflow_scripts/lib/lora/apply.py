"""LoRA adapters in peft's standard format, put into a loaded model and taken out again by hooks.

peft's own wrapping rebuilds every adapted module and costs tens of milliseconds an adapter, seconds on a large model.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn.functional import linear
from transformers import PreTrainedModel

from workflow_scripts.lib.errors import StudyError

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
PREFIX, A, B = "base_model.model.", ".lora_A.weight", ".lora_B.weight"

# What would change the sum base(x) + alpha / r * B A x; adapters of this tool have none of it.
PLAIN = {"peft_type": "LORA", "bias": "none", "use_dora": False, "use_rslora": False, "lora_bias": False}


class AdapterError(StudyError):
    """An adapter that does not fit its model, or that is more than plain LoRA on linear modules."""


@contextmanager
def with_adapter(base: PreTrainedModel, folder: Path) -> Iterator[None]:
    """Within the block `base` runs through the adapter, unmerged, as in peft's PeftModel; after it, as it was."""
    try:
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        weights = load_file(folder / WEIGHTS)
    except (OSError, ValueError, SafetensorError) as error:
        raise AdapterError(f"{folder}: no adapter that can be read: {error}") from None
    patterns = config.get("rank_pattern") or config.get("alpha_pattern")
    if patterns or any(config.get(key, value) != value for key, value in PLAIN.items()):
        raise AdapterError(f"{folder}/{CONFIG}: not plain LoRA of one rank, and nothing else can be dumped")
    scale = config["lora_alpha"] / config["r"]
    with ExitStack() as stack:
        for name, (a, b) in matrices(weights).items():
            hook = _hook(_adapted_module(base, name, folder, a, b), a, b, scale)
            stack.callback(hook.remove)
        yield


def matrices(weights: Mapping[str, Tensor]) -> dict[str, tuple[Tensor, Tensor]]:
    """Module name in the base -> its A [.., r, d_in] and B [.., d_out, r]; AdapterError for other kinds of weights."""
    names = [key.removeprefix(PREFIX).removesuffix(A) for key in weights if key.endswith(A)]
    if set(weights) != {f"{PREFIX}{name}{kind}" for name in names for kind in (A, B)}:
        other = next((key for key in weights if not key.endswith((A, B))), "A without B")
        raise AdapterError(f"only linear modules can be adapted, and the adapter has {other}")
    return {name: (weights[f"{PREFIX}{name}{A}"], weights[f"{PREFIX}{name}{B}"]) for name in names}


def _adapted_module(base: PreTrainedModel, name: str, folder: Path, a: Tensor, b: Tensor) -> nn.Module:
    try:
        module = base.get_submodule(name)
    except AttributeError:
        raise AdapterError(f"{folder}: no adapter that fits this model: it has no module {name}") from None
    wanted, shape = {a.shape[1], b.shape[0]}, set(getattr(module, "weight", a).shape)
    if wanted != shape:
        raise AdapterError(f"{folder}: no adapter that fits this model: {name} is {shape}, not {wanted}")
    return module


def _hook(module: nn.Module, a: Tensor, b: Tensor, scale: float) -> Any:
    """The sum in peft's order and precision, so that the states are peft's bit for bit."""
    weight = next(module.parameters())
    a, b = a.to(weight.device), b.to(weight.device)

    def add(_: nn.Module, args: tuple[Tensor], output: Tensor) -> Tensor:
        update = linear(linear(args[0].to(a), a), b) * scale
        return (output + update).to(output.dtype)

    return module.register_forward_hook(add)
