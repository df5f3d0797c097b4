"""Where two arms agree: their updates in four parts, and how much of the pooled update cosine each contributes.

The update of set s and query q, u[s, q] = h_X - h_A, is split as in two-way analysis of variance:

    u[s, q] = general + query[q] + set[s] + interaction[s, q]

general is what any set of the task does to any query, query what any set does to this one, set what this set does to
any, interaction what this set does to this query. Only the last two speak of a set's own demonstrations. Squared norms
and inner products of two arms add up over the parts, so that the pooled update cosine, sum of <u_one, u_other> over
sqrt(sum |u_one|^2 sum |u_other|^2), is the sum of four contributions.

Means over few draws keep each other's noise, which would make every part too large. Here what draws have in common is
taken from products of different draws only, which has no such bias: queries are fixed, draws are a sample of sets.
"""

from collections.abc import Mapping
from itertools import combinations_with_replacement
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from workflow_scripts.lib.measures.vectors import Floats, floats
from workflow_scripts.lib.measures.workers import Workers

GENERAL, QUERY, SET, INTERACTION, WHOLE = "general", "query", "set", "interaction", "whole"
PARTS = (GENERAL, QUERY, SET, INTERACTION, WHOLE)


class Products(NamedTuple):
    """Inner products of the updates of two arms, by the draw of the one and of the other: [..., draws, draws] each.

    Args:
        same_query: mean over queries of <u_one[s, q], u_other[s2, q]>
        all_queries: <mean over queries of u_one[s], mean over queries of u_other[s2]>
    """

    same_query: Floats
    all_queries: Floats

    def without_each_draw(self) -> "Products":
        """A replicate for every draw, without it: [..., draws, draws - 1, draws - 1], for the jackknife."""
        return Products(*(_without_each(matrix) for matrix in self))


class Part(NamedTuple):
    """A part of the update similarity; NaN where the draws do not show it.

    Args:
        contribution: to the pooled update cosine
        alignment: cosine of the two arms' parts; NaN unless both have a squared norm above zero
        share_one: of the mean squared norm of one arm's update
        share_other: of the other's
    """

    contribution: Floats
    alignment: Floats
    share_one: Floats
    share_other: Floats


def parts_of(one_other: Products, one_one: Products, other_other: Products) -> dict[str, Part]:
    """Name -> part, for PARTS: products [..., draws, draws] -> values [...].

    An estimated squared norm is without bias, and so can come out below zero. With one draw only `whole` is known.
    """
    together, of_one, of_other = (_sums(products) for products in (one_other, one_one, other_other))
    scale = _root(of_one[WHOLE], of_other[WHOLE])
    return {
        name: Part(
            together[name] / scale,
            together[name] / _root(of_one[name], of_other[name]),
            of_one[name] / _above_zero(of_one[WHOLE]),
            of_other[name] / _above_zero(of_other[WHOLE]),
        )
        for name in PARTS
    }


def products_of(states: Mapping[str, ArrayLike], anchor: Floats, workers: Workers) -> dict[tuple[str, str], Products]:
    """Products of every two arms and of each with itself: states [draws, queries, d], anchor [queries, d]."""
    arrays = {name: np.asarray(array) for name, array in states.items()}
    if not arrays:
        return {}
    draws, queries, _ = next(iter(arrays.values())).shape

    def gram(query: int) -> NDArray[np.float64]:
        rows = np.concatenate([array[:, query] - anchor[query] for array in arrays.values()])
        return rows @ rows.T

    def mean(array: NDArray[np.floating]) -> Floats:
        return np.stack([(of_draw - anchor).mean(axis=0) for of_draw in array])

    same = sum(workers.each(gram, range(queries)), np.zeros(())) / queries
    means = np.concatenate(workers.each(mean, arrays.values()))
    every = means @ means.T
    at = {name: slice(i * draws, (i + 1) * draws) for i, name in enumerate(arrays)}
    return {
        (one, other): Products(same[at[one], at[other]], every[at[one], at[other]])
        for one, other in combinations_with_replacement(arrays, 2)
    }


def _sums(products: Products) -> dict[str, Floats]:
    """Inner products of two arms' parts, mean over sets and queries."""
    same, across = _same_and_across(floats(products.same_query))
    same_all, across_all = _same_and_across(floats(products.all_queries))
    return {
        GENERAL: across_all,
        QUERY: across - across_all,
        SET: same_all - across_all,
        INTERACTION: same - across - same_all + across_all,
        WHOLE: same,
    }


def _same_and_across(matrix: Floats) -> tuple[Floats, Floats]:
    """Mean of the diagonal, and of what is beside it: NaN for one draw."""
    draws = matrix.shape[-1]
    diagonal = np.trace(matrix, axis1=-2, axis2=-1)
    beside = draws * (draws - 1)
    return diagonal / draws, (matrix.sum(axis=(-2, -1)) - diagonal) / (beside if beside else np.nan)


def _without_each(matrix: Floats) -> Floats:
    draws = matrix.shape[-1]
    kept = np.array([[s for s in range(draws) if s != left] for left in range(draws)], dtype=np.intp)
    return matrix[..., kept[:, :, None], kept[:, None, :]]


def _root(one: Floats, other: Floats) -> Floats:
    return np.sqrt(_above_zero(one) * _above_zero(other))


def _above_zero(x: Floats) -> Floats:
    return np.where(x > 0, x, np.nan)
