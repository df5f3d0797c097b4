"""Which query stands in for another one. Imports nothing of ours."""

from collections import Counter
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.intp]


@lru_cache
def next_of_same_label(labels: tuple[int, ...]) -> Ints:
    """For every query the next with its gold label, the first after the last; -1 where it is the only one."""
    partners = np.full(len(labels), -1)
    for label in set(labels):
        alike = np.flatnonzero(np.equal(labels, label))
        if len(alike) > 1:
            partners[alike] = np.roll(alike, -1)
    return partners


@lru_cache
def next_of_other_label(labels: tuple[int, ...]) -> Ints:
    """For every query one with another gold label, each used once; -1 where there are not enough.

    Queries in the order of their labels are shifted by the size of the largest label: that leads out of every label,
    but for some of a label that more than half of the queries have.
    """
    gold = np.array(labels)
    order = np.argsort(gold, kind="stable")
    partners = np.empty_like(order)
    partners[order] = np.roll(order, -max(Counter(labels).values()))
    return np.where(gold[partners] == gold, -1, partners)
