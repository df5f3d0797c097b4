"""Batches of token sequences: rows of about the same length within a budget of tokens, padded on the right."""

from collections.abc import Iterator, Sequence

import torch
from jaxtyping import Int
from torch import Tensor


def by_length(lengths: Sequence[int]) -> list[int]:
    """Indices by rising length; equal lengths keep their order."""
    return sorted(range(len(lengths)), key=lengths.__getitem__)


def fitting(lengths: Sequence[int], budget: int, cuts: Sequence[int] = ()) -> int:
    """How many of the first sequences, given by rising length, fit in `budget` tokens when padded; at least one.

    None is longer than a cut that the first one is not longer than.
    """
    longest = min((cut for cut in cuts if lengths[0] <= cut), default=lengths[-1])
    count = 1
    while count < len(lengths) and lengths[count] * (count + 1) <= budget and lengths[count] <= longest:
        count += 1
    return count


def batches(lengths: Sequence[int], budget: int, cuts: Sequence[int] = ()) -> Iterator[list[int]]:
    """Indices by rising length, cut so that rows x longest stays within `budget` tokens (or one row), and at `cuts`."""
    waiting = by_length(lengths)
    while waiting:
        count = fitting([lengths[i] for i in waiting], budget, cuts)
        yield waiting[:count]
        waiting = waiting[count:]


def right_padded(rows: Sequence[Sequence[int]]) -> Int[Tensor, "row token"]:
    """Token ids, zeros after each row's own. Causal attention lets no token see them, so they need no mask."""
    longest = max(map(len, rows))
    return torch.tensor([[*row, *[0] * (longest - len(row))] for row in rows])
