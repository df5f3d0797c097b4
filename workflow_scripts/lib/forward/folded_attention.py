"""Attention of many rows to one prefix without a copy of it per row.

The queries of all rows meet the prefix's keys in one matrix product, each row's own keys in another; the two weighted
means are joined by their normalisers, as flash attention joins its blocks. In a layer with a window, tokens see of the
prefix what the model's own mask shows them.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, cast

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS, sdpa_mask
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from workflow_scripts.lib.forward.shared_prefix import FrozenPrefix, FrozenWindow

# By these names configs ask for this attention; only by the second one do models make masks for it.
NAME, WINDOWED = "folded", "folded_windowed"


def _mask(*, batch_size: int, allow_is_causal_skip: bool, **others: Any) -> Tensor | None:
    """A model's own mask, [1, 1, token, key], True for what is seen: one for all rows, as none is padded before."""
    return sdpa_mask(batch_size=1, allow_is_causal_skip=False, **others)


ALL_MASK_ATTENTION_FUNCTIONS.register(WINDOWED, _mask)


def can_fold(model: PreTrainedModel) -> bool:
    """Does the architecture say that its attention can be exchanged."""
    return bool(getattr(model, "_supports_attention_backend", False))


@contextmanager
def folded(model: PreTrainedModel, prefix: FrozenPrefix) -> Iterator[None]:
    """Within the block the model's attention folds rows over this prefix.

    An attention that does more than a softmax of scaled or capped products would be wrong here; callers compare
    states on a short prompt first.
    """
    before, name = model.config._attn_implementation, WINDOWED if prefix.windowed else NAME
    later: dict[tuple[int, torch.device], Tensor] = {}
    ALL_ATTENTION_FUNCTIONS.register(name, partial(_attention, prefix, later))
    model.config._attn_implementation = name
    prefix.join(False)
    try:
        yield
    finally:
        model.config._attn_implementation = before
        prefix.join(True)


def _attention(
    prefix: FrozenPrefix,
    later: dict[tuple[int, torch.device], Bool[Tensor, "token key"]],
    module: nn.Module,
    query: Float[Tensor, "row head token d_head"],
    key: Float[Tensor, "row kv_head token d_head"],
    value: Float[Tensor, "row kv_head token d_head"],
    attention_mask: Tensor | None = None,
    scaling: float | None = None,
    softcap: float | None = None,
    s_aux: Float[Tensor, " head"] | None = None,
    **others: Any,
) -> tuple[Float[Tensor, "row token head d_head"], None]:
    """`s_aux`: logits of a sink, which takes a share of each query's attention and gives nothing.

    `later` keeps, for all layers, which tokens come after which.
    """
    rows, heads, tokens, width = query.shape
    kv_heads, groups = key.shape[1], heads // key.shape[1]
    scaled = query * (width**-0.5 if scaling is None else scaling)
    grouped = scaled.reshape(rows, kv_heads, groups, tokens, width)
    layer = prefix.frozen[cast(int, module.layer_idx)]
    seen = _seen(layer.kept, tokens, attention_mask) if isinstance(layer, FrozenWindow) else None
    if seen is None:
        of_before, of_own = None, _later(later, tokens, query.device)
    else:
        of_before, of_own = ~seen[:, :-tokens], ~seen[:, -tokens:]
    own, own_size = _weighted(grouped.flatten(2, 3), key, value, softcap, of_own)
    keys, values = layer.prefix
    of_rows = grouped.permute(1, 0, 2, 3, 4).flatten(1, 3)
    before, before_size = (
        one.view(kv_heads, rows, groups * tokens, -1).transpose(0, 1)
        for one in _weighted(of_rows, keys[0], values[0], softcap, of_before)
    )
    joined = torch.lerp(own, before, (before_size - own_size).sigmoid().to(own.dtype)).view(rows, heads, tokens, -1)
    if s_aux is not None:
        size = torch.logaddexp(before_size, own_size).reshape(rows, heads, tokens, 1)
        joined = joined * (size - s_aux.view(-1, 1, 1)).sigmoid().to(joined.dtype)
    return joined.transpose(1, 2).contiguous(), None


def _later(
    known: dict[tuple[int, torch.device], Tensor], tokens: int, device: torch.device
) -> Bool[Tensor, "token key"]:
    """True for the keys after each token."""
    if (tokens, device) not in known:
        known[tokens, device] = torch.ones(tokens, tokens, dtype=torch.bool, device=device).triu(1)
    return known[tokens, device]


def _seen(kept: int, tokens: int, mask: Tensor | None) -> Bool[Tensor, "token key"]:
    """What each token sees of the prefix's kept keys and of the rows' own, by the mask that the model made."""
    if mask is None or mask.dtype != torch.bool or mask.shape != (1, 1, tokens, kept + tokens):
        raise ValueError("no mask of a layer with a window")
    return mask[0, 0]


def _weighted(
    query: Float[Tensor, "*batch query d_head"],
    keys: Float[Tensor, "*batch key d_head"],
    values: Float[Tensor, "*batch key d_head"],
    softcap: float | None,
    hidden: Bool[Tensor, "token key"] | None,
) -> tuple[Float[Tensor, "*batch query d_head"], Float[Tensor, "*batch query 1"]]:
    """The softmax-weighted mean of values, and the logarithm of the softmax's denominator.

    Queries are of several heads or rows, all tokens of one after the other. Of one that sees no key the mean is zero
    and the logarithm as low as it gets.
    """
    scores = (query @ keys.mT).to(torch.promote_types(query.dtype, torch.float32))
    if softcap is not None:
        scores = softcap * (scores / softcap).tanh()
    if hidden is not None:
        scores.unflatten(-2, (-1, len(hidden))).masked_fill_(hidden, float("-inf"))
    highest = scores.amax(-1, keepdim=True).clamp_min(torch.finfo(scores.dtype).min)
    weights = scores.sub_(highest).exp_()
    total = weights.sum(-1, keepdim=True).clamp_min(1)  # what sees a key has 1 of its highest score
    return (weights.to(values.dtype) @ values) / total.to(values.dtype), highest + total.log()
