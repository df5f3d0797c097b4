"""The blocks of a model's residual stream."""

from typing import TYPE_CHECKING

from workflow_scripts.lib.models.files import ModelError

if TYPE_CHECKING:
    from torch import nn
    from transformers import PreTrainedModel


def decoder_blocks(model: "PreTrainedModel") -> "list[nn.Module]":
    """The blocks, in order; empty where there is no one list of them."""
    from torch import nn

    count = model.config.get_text_config(decoder=True).num_hidden_layers
    lists = [m for m in model.modules() if isinstance(m, nn.ModuleList) and len(m) == count]
    return list(lists[0]) if lists else []


def blocks_to_draw(model: "PreTrainedModel") -> "list[nn.Module]":
    """The same; ModelError where there are none, so that nothing could be drawn apart from all other weights."""
    blocks = decoder_blocks(model)
    if not blocks:
        raise ModelError(f"{type(model).__name__} has no one list of blocks; say `untrained: true`, which draws all")
    return blocks


def draw_blocks(model: "PreTrainedModel", drawn: "PreTrainedModel") -> None:
    """Give the blocks of a model the weights of another one's; embeddings, final norm and head stay as they are."""
    import torch

    with torch.no_grad():
        for block, other in zip(blocks_to_draw(model), blocks_to_draw(drawn), strict=True):
            for (_, one), (_, new) in zip(block.named_parameters(), other.named_parameters(), strict=True):
                one.copy_(new)
