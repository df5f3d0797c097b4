"""A row as a file or the hub has it, and the error of all that reads data."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from workflow_scripts.lib.errors import StudyError


class DataError(StudyError):
    """A data set that cannot be used; the message says what, where and what to do."""


class Row(NamedTuple):
    """Column -> value, and where the row stands: `file:line`, or `file, row N` counted from 1."""

    where: str
    cells: dict[str, Any]


def checked_once(columns: list[str], where: str) -> list[str]:
    """The names of columns; DataError where one stands there twice, for the last would win without a word."""
    if repeated := sorted({name for name in columns if columns.count(name) > 1}):
        raise DataError(f"{where}: the column {repeated[0]!r} is there more than once; rename or remove one")
    return columns


def check_columns(columns: Sequence[str], needed: Sequence[str], where: str) -> None:
    """DataError where columns that the settings name are not among those of the rows."""
    if lacking := [name for name in needed if name not in columns]:
        found = ", ".join(name if name.isprintable() else ascii(name) for name in columns)
        raise DataError(
            f"{where}: rows lack {', '.join(lacking)} (columns are {found}); "
            "name them in `label_column` or `answer_column`, `template.query` or `columns`"
        )
