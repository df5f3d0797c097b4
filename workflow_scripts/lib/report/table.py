"""A table of text: rows with heads at the left, columns in groups, and nothing that no row has."""

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import NamedTuple

from workflow_scripts.lib.report.wording import NOTHING, interval, number, p_value
from workflow_scripts.lib.results.estimates import Estimate


class Cell(NamedTuple):
    """A number and, beneath it, what goes with it: its interval, its test."""

    value: str
    beneath: tuple[str, ...] = ()


class Head(NamedTuple):
    """What a row, or several that follow each other, are of."""

    text: str
    beneath: str = ""
    rows: int = 1


class Column(NamedTuple):
    """A column's heading, and the heading of the group that it is in."""

    group: str
    heading: str


class Row(NamedTuple):
    """Heads at the left (those that an earlier row's head covers are left out) and a cell for each column."""

    heads: list[Head]
    cells: list[Cell]


class Table(NamedTuple):
    """`heads` are the headings of the rows' heads; `groups`, of neighbouring columns: heading, and theirs."""

    caption: str
    heads: list[str]
    groups: list[tuple[str, list[str]]]
    rows: list[Row]


EMPTY = Cell(NOTHING)


def cell(estimate: Estimate, *beneath: str, test: str = "p") -> Cell:
    """An estimate with its interval and, where there is one, its test beneath."""
    if estimate.mean is None:
        return EMPTY
    tested = p_value(estimate.p if test == "p" else estimate.p_holm, test)
    return Cell(number(estimate.mean), tuple(filter(None, [interval(estimate), tested, *beneath])))


def table(caption: str, heads: Sequence[str], columns: Sequence[Column], rows: Iterable[Row]) -> Table:
    """The table without rows and columns that hold nothing; equal heads of neighbouring rows become one."""
    told = [row for row in rows if any(one != EMPTY for one in row.cells)]
    kept = [i for i in range(len(columns)) if any(row.cells[i] != EMPTY for row in told)]
    groups = [
        (group, [columns[i].heading for i in members]) for group, members in groupby(kept, lambda i: columns[i].group)
    ]
    told = [Row(row.heads, [row.cells[i] for i in kept]) for row in told]
    return Table(caption, list(heads), groups, _spanned(told))


def _spanned(rows: Sequence[Row]) -> list[Row]:
    """Rows of which equal heads, with equal heads before them, stand in the first alone."""
    spanned = []
    for i, row in enumerate(rows):
        starts = [i == 0 or rows[i - 1].heads[: n + 1] != row.heads[: n + 1] for n in range(len(row.heads))]
        heads = [head._replace(rows=_run(rows[i:], n)) for n, head in enumerate(row.heads) if starts[n]]
        spanned.append(Row(heads, row.cells))
    return spanned


def _run(rows: Sequence[Row], column: int) -> int:
    """How many rows from the first on have its heads up to a column."""
    first = rows[0].heads[: column + 1]
    return next((i for i, row in enumerate(rows) if row.heads[: column + 1] != first), len(rows))
