"""Changes of a model's weights, put into it and taken out again."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from transformers import PreTrainedModel

from workflow_scripts.lib.lora.files import AdapterError

DELTAS = "deltas.safetensors"


@contextmanager
def with_deltas(base: PreTrainedModel, folder: Path) -> Iterator[None]:
    """Within the block the weights of `base` are changed by what the folder holds; after it they are what they were.

    The sum is rounded to the model's precision: float32 of weights that multiply by parts (models/split.py), which then
    are whole. AdapterError where the changes are not those of this model's weights.
    """
    path = folder / DELTAS
    try:
        deltas = load_file(path)
    except (OSError, SafetensorError) as error:
        raise AdapterError(f"{path}: cannot be read: {error}") from None
    parameters = dict(base.named_parameters())
    odd = {name for name, one in parameters.items() if name not in deltas or deltas[name].shape != one.shape}
    if odd or len(deltas) > len(parameters):
        what = min(odd or deltas.keys() - parameters.keys())
        raise AdapterError(f"{path}: holds no changes of this model's weights: {what}; tune it again")
    before = {name: one.data for name, one in parameters.items()}
    try:
        for name, one in parameters.items():
            delta = deltas[name].to(one.device)
            one.data = (one.data.to(delta.dtype) + delta).to(torch.promote_types(one.dtype, base.dtype))
        yield
    finally:
        for name, one in parameters.items():
            one.data = before[name]
