"""Attention of many rows to one prefix without a copy of it per row.

The queries of all rows meet the prefix's keys in one matrix product, each row's own keys in another; the two weighted
means are joined by their normalisers, as flash attention joins its blocks.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from workflow_scripts.lib.forward.shared_prefix import FrozenPrefix

NAME = "folded"


def can_fold(model: PreTrainedModel) -> bool:
    """Does the architecture say that its attention can be exchanged."""
    return bool(getattr(model, "_supports_attention_backend", False))


@contextmanager
def folded(model: PreTrainedModel, prefix: FrozenPrefix) -> Iterator[None]:
    """Within the block the model's attention folds rows over this prefix.

    An attention that does more than a softmax of scaled or capped products would be wrong here; callers compare
    states on a short prompt first.
    """
    before = model.config._attn_implementation
    ALL_ATTENTION_FUNCTIONS.register(NAME, partial(_attention, prefix))
    model.config._attn_implementation = NAME
    prefix.join(False)
    try:
        yield
    finally:
        model.config._attn_implementation = before
        prefix.join(True)


def _attention(
    prefix: FrozenPrefix,
    module: nn.Module,
    query: Float[Tensor, "row head token d_head"],
    key: Float[Tensor, "row kv_head token d_head"],
    value: Float[Tensor, "row kv_head token d_head"],
    attention_mask: Tensor | None = None,
    scaling: float | None = None,
    softcap: float | None = None,
    **others: Any,
) -> tuple[Float[Tensor, "row token head d_head"], None]:
    rows, heads, tokens, width = query.shape
    kv_heads, groups = key.shape[1], heads // key.shape[1]
    scaled = query * (width**-0.5 if scaling is None else scaling)
    grouped = scaled.reshape(rows, kv_heads, groups, tokens, width)
    causal = torch.ones(tokens, tokens, dtype=torch.bool, device=query.device).tril().repeat(groups, 1)
    own, own_size = _weighted(grouped.flatten(2, 3), key, value, softcap, ~causal)
    keys, values = prefix.parts[cast(int, module.layer_idx)]
    before, before_size = _weighted(grouped.permute(1, 0, 2, 3, 4).flatten(1, 3), keys[0], values[0], softcap)
    before = before.view(kv_heads, rows, groups * tokens, -1).transpose(0, 1)
    share = (before_size.view(kv_heads, rows, -1, 1).transpose(0, 1) - own_size).sigmoid().to(own.dtype)
    joined = torch.lerp(own, before, share).view(rows, heads, tokens, -1)
    return joined.transpose(1, 2).contiguous(), None


def _weighted(
    query: Float[Tensor, "*batch query d_head"],
    keys: Float[Tensor, "*batch key d_head"],
    values: Float[Tensor, "*batch key d_head"],
    softcap: float | None,
    hidden: Tensor | None = None,
) -> tuple[Float[Tensor, "*batch query d_head"], Float[Tensor, "*batch query 1"]]:
    """The softmax-weighted mean of values, and the logarithm of the softmax's denominator."""
    scores = (query @ keys.mT).to(torch.promote_types(query.dtype, torch.float32))
    if softcap is not None:
        scores = softcap * (scores / softcap).tanh()
    if hidden is not None:
        scores.masked_fill_(hidden, float("-inf"))
    highest = scores.amax(-1, keepdim=True)
    weights = scores.sub_(highest).exp_()
    total = weights.sum(-1, keepdim=True)
    return (weights.to(values.dtype) @ values) / total.to(values.dtype), highest + total.log()
