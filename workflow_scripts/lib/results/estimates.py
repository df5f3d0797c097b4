"""Estimates, and tables of them that are looked up by keys."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import pyarrow as pa

REFERENCE = "reference"  # factor and level of the cell that holds the reference setting
ALL = "all"  # queries, whatever was answered


class Estimate(NamedTuple):
    """Mean over draws and what is known of it; None where nothing is (one draw, or nothing could be measured).

    `low` and `high` are its interval's ends, `band_low` and `band_high` those of a band that holds all layers at once.
    `p` is of the hypothesis that a difference is zero, `p_holm` the same corrected for the levels of a factor.
    `queries` and `excluded` are counted over all draws.
    """

    mean: float | None = None
    low: float | None = None
    high: float | None = None
    band_low: float | None = None
    band_high: float | None = None
    p: float | None = None
    p_holm: float | None = None
    draws: int = 0
    queries: int = 0
    excluded: int = 0


ABSENT = Estimate()


class Part(NamedTuple):
    """A part of two arms' update similarity, with its shares of the one's and of the other's squared movement."""

    contribution: Estimate
    alignment: Estimate
    share_one: Estimate
    share_other: Estimate


class Rows:
    """A table's rows by their keys."""

    def __init__(self, table: pa.Table, keys: Sequence[str]) -> None:
        self._columns = table.to_pydict()
        self.places = {key: i for i, key in enumerate(zip(*(self._columns[name] for name in keys), strict=True))}

    def estimate(self, key: tuple[Any, ...], of: str = "") -> Estimate:
        """A row's estimate; of a field `of`, where a row has several."""
        place = self.places.get(key)
        if place is None:
            return ABSENT
        names = {name: (of if name == "mean" else f"{of}_{name}") if of else name for name in Estimate._fields}
        names |= {"draws": "draws"}
        found = {name: self._columns[column][place] for name, column in names.items() if column in self._columns}
        return Estimate(**found)
