"""Gradient checkpointing: what a block keeps for its way back is computed again there, from what it was given."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from torch.utils.checkpoint import checkpoint
from transformers import PreTrainedModel

from workflow_scripts.lib.lora.settings import TuneLora
from workflow_scripts.lib.models.blocks import decoder_blocks

FLOAT32 = 4  # bytes


@contextmanager
def recomputed(base: PreTrainedModel, tuning: TuneLora) -> Iterator[None]:
    """Within the block every block of the model runs again on the way back, where settings say so; after it as before.

    transformers has this in training mode alone, in which a model's dropout is on.
    """
    blocks = decoder_blocks(base) if tuning.recompute else []
    own = [vars(one).get("forward") for one in blocks]  # what spreads a model over GPUs has put one there
    for one in blocks:
        one.forward = partial(checkpoint, one.forward, use_reentrant=False, preserve_rng_state=False)
    try:
        yield
    finally:
        for one, before in zip(blocks, own, strict=True):
            if before is None:
                del one.forward
            else:
                one.forward = before


def kept_recomputed(base: PreTrainedModel, kept: float) -> float:
    """Bytes a token that are kept in the place of `kept`: what every block is given, and all that one keeps."""
    count = max(1, len(decoder_blocks(base)))
    return kept / count + FLOAT32 * count * base.config.get_text_config(decoder=True).hidden_size
