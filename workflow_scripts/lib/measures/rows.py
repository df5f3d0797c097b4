"""Rows of the tables that a level's measures make: a value of every draw, the mean over its queries."""

from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

import numpy as np

from workflow_scripts.lib.measures.vectors import Bools, Floats

Which = Literal["all", "same", "different"]


class Row(NamedTuple):
    """A measure of a draw.

    Args:
        draw: its number
        layer: None of answers
        one: an arm
        other: a later arm; None where the measure is of a single one
        match: name of the contrast; None where the measure is of a single arm
        measure: its name
        answers: queries it is the mean of: all, or those for which the two arms predict the same or a different label
        value: None where no query has one
        queries: how many have a value
        excluded: how many have none
    """

    draw: int
    layer: int | None
    one: str
    other: str | None
    match: str | None
    measure: str
    answers: Which
    value: float | None
    queries: int
    excluded: int


class Of(NamedTuple):
    """What the rows of all draws have in common."""

    layer: int | None
    one: str
    other: str | None
    match: str | None
    measure: str


def rows_of_queries(draws: Sequence[int], of: Of, values: Floats) -> Iterator[Row]:
    """A row per draw of values [draws, queries], or [1, queries] of an arm without draws."""
    every = np.broadcast_to(values, (len(draws), values.shape[1]))
    return _rows(draws, of, "all", every, np.ones(every.shape, np.bool_))


def rows_by_answer(draws: Sequence[int], of: Of, values: Floats, same: Bools) -> Iterator[Row]:
    """Two rows per draw of values [draws, queries]: of the queries with the same prediction, and of the others."""
    yield from _rows(draws, of, "same", values, same)
    yield from _rows(draws, of, "different", values, ~same)


def rows_of_draws(draws: Sequence[int], of: Of, values: Floats, queries: int) -> Iterator[Row]:
    """A row per draw of values [draws], each over all queries at once."""
    for draw, value in zip(draws, values.tolist(), strict=True):
        known = not np.isnan(value)
        yield Row(draw, *of, "all", value if known else None, *((queries, 0) if known else (0, queries)))


def _rows(draws: Sequence[int], of: Of, which: Which, values: Floats, among: Bools) -> Iterator[Row]:
    known = ~np.isnan(values) & among
    counts = known.sum(axis=-1)
    sums = np.where(known, values, 0).sum(axis=-1)
    excluded = among.sum(axis=-1) - counts
    for draw, total, count, left in zip(draws, sums.tolist(), counts.tolist(), excluded.tolist(), strict=True):
        yield Row(draw, *of, which, total / count if count else None, count, left)
