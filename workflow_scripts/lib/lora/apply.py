"""LoRA adapters put into a loaded model and taken out again by hooks.

peft's own wrapping rebuilds every adapted module and costs tens of milliseconds an adapter, seconds on a large model.
"""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import linear
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from workflow_scripts.lib.lora.files import AdapterError, LowRank, read_adapter


@contextmanager
def with_adapter(base: PreTrainedModel, folder: Path) -> Iterator[None]:
    """Within the block `base` runs through the adapter, unmerged, as in peft's PeftModel; after it, as it was."""
    with ExitStack() as stack:
        for module, low in adapted_modules(base, read_adapter(folder), folder):
            stack.callback(module.register_forward_hook(_hook(module, low)).remove)
        yield


def check_adapter(base: PreTrainedModel, folder: Path) -> None:
    """AdapterError where an adapter cannot be put into `base`; reads names and shapes, so both may be on `meta`."""
    for _ in adapted_modules(base, read_adapter(folder, shapes_only=True), folder):
        pass


def adapted_modules(
    base: PreTrainedModel, adapter: Mapping[str, LowRank], folder: Path
) -> Iterator[tuple[nn.Module, LowRank]]:
    """The modules of the base that an adapter is for; AdapterError where one is missing or of another shape."""
    for name, low in adapter.items():
        try:
            module = base.get_submodule(name)
        except AttributeError:
            raise AdapterError(f"{folder}: no adapter that fits this model: it has no module {name}") from None
        if not isinstance(module, nn.Linear | Conv1D):
            kind = type(module).__name__
            raise AdapterError(f"{folder}: {name} is a {kind}, and only linear modules can be adapted")
        wanted = [low.b.shape[0], low.a.shape[1]]
        has = list(module.weight.shape if isinstance(module, nn.Linear) else module.weight.T.shape)
        if wanted != has:
            raise AdapterError(f"{folder}: no adapter that fits this model: {name} is {has}, not {wanted}")
        yield module, low


def _hook(module: nn.Module, low: LowRank) -> Any:
    """The sum in peft's order and precision, so that the states are peft's bit for bit.

    peft holds adapters of lower precision in float32.
    """
    weight = next(module.parameters())
    a, b = (one.to(weight.device, torch.promote_types(one.dtype, torch.float32)) for one in (low.a, low.b))

    def add(_: nn.Module, args: tuple[Tensor], output: Tensor) -> Tensor:
        update = linear(linear(args[0].to(a), a), b) * low.scale
        return (output + update).to(output.dtype)

    return add
