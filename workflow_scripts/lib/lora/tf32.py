"""Products of tuning in TF32, where a GPU has them and settings allow it; all else has float32's 23 bits."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from transformers import PreTrainedModel

from workflow_scripts.lib.lora.settings import TuneLora


@contextmanager
def in_tf32(base: PreTrainedModel, tuning: TuneLora) -> Iterator[None]:
    """Within the block float32 products on a GPU may run in TF32; after it in what they ran in before.

    On a CPU nothing changes, as some have faster products under that name too, and no setting of a GPU is to change
    what a CPU makes.
    """
    before = torch.get_float32_matmul_precision()
    if tuning.tf32 and base.device.type == "cuda":
        torch.set_float32_matmul_precision("high")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)
