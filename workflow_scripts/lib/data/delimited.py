"""Rows of csv and tsv: Python's own reader, strict, and what it cannot know about quotation marks.

Not pandas: a release of it would count for every artifact that is made from a data set (freshness/libraries.py).
"""

import csv
import io
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, NamedTuple

from workflow_scripts.lib.data.rows import DataError, Row, checked_once
from workflow_scripts.lib.data.sources import FileDataset

DELIMITERS = {"csv": ",", "tsv": "\t"}
csv.field_size_limit(sys.maxsize)  # a text may be longer than the 131,072 characters that the reader would allow


class Record(NamedTuple):
    """The cells of one row, and the line where it begins."""

    line: int
    cells: list[str]


def delimited_rows(text: str, path: Path, source: FileDataset) -> Iterator[Row]:
    """All rows of a csv or tsv; DataError where it is not whole, or could be read in two ways."""
    records = _records(text, path, source)
    columns = checked_once(source.columns or (records.pop(0).cells if records else []), str(path))
    return (Row(f"{path}:{line}", dict(zip(columns, cells, strict=True))) for line, cells in records)


def _records(text: str, path: Path, source: FileDataset) -> list[Record]:
    if source.quotes is not None or source.format == "csv":
        return _parsed(text, path, source, quoted=source.quotes is not False)
    return _told(text, path, source)


def _told(text: str, path: Path, source: FileDataset) -> list[Record]:
    """Rows of a tsv, whose quotation marks are characters (SST-2, CoLA) or stand around cells (pandas, Excel).

    What the marks are is told from the file, as far as it has only one reading; DataError where it has two.
    """
    bare, quoted = (_tried(text, path, source, quoted=quoted) for quoted in (False, True))
    if isinstance(bare, DataError):
        return _either(quoted, bare)
    if bare == quoted:
        return bare
    around = _written_around(bare, source)
    if isinstance(quoted, DataError):
        return bare if not around else _either(quoted, quoted)
    inside = any('"' in cell for cell in _beginning(bare, with_mark=False))
    if around == inside or len(bare) != len(quoted):
        line = next(one.line for one, other in zip(bare, quoted, strict=False) if one != other)
        raise DataError(
            f"{path}:{line}: quotation marks may be part of the text or stand around it: set `quotes: false` where "
            "they are part of it, `quotes: true` where they are not and those in the text are doubled"
        )
    return quoted if around else bare


def _written_around(bare: list[Record], source: FileDataset) -> bool:
    """Whether marks stand around cells: those in a text are doubled, or the header or the labels have them too."""
    header = [] if source.columns else bare[0].cells
    columns = source.columns or [name.strip('"') for name in header]
    at = columns.index(source.label_column) if source.label_column in columns else None
    labels = [one.cells[at] for one in bare] if at is not None else []
    doubled = any('""' in cell[1:-1] for cell in _beginning(bare, with_mark=True))
    return doubled or any(cell.startswith('"') for cell in [*header, *labels])


def _beginning(records: list[Record], *, with_mark: bool) -> Iterator[str]:
    """Cells that begin with a quotation mark, or those that do not."""
    return (cell for one in records for cell in one.cells if cell.startswith('"') is with_mark)


def _tried(text: str, path: Path, source: FileDataset, *, quoted: bool) -> list[Record] | DataError:
    try:
        return _parsed(text, path, source, quoted=quoted)
    except DataError as error:
        return error


def _either(records: list[Record] | DataError, error: DataError) -> list[Record]:
    if isinstance(records, DataError):
        raise error
    return records


def _parsed(text: str, path: Path, source: FileDataset, *, quoted: bool) -> list[Record]:
    lines = list(io.StringIO(text, newline=""))
    delimiter = DELIMITERS[source.format]
    quoting: Literal[0, 3] = csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE
    reader = csv.reader(lines, delimiter=delimiter, quoting=quoting, strict=True)
    records: list[Record] = []
    line = 1
    try:
        for cells in reader:
            if cells:
                records.append(Record(line, cells))
                _check_width(records, path, source)
                _check_closed(records, lines[line - 1 : reader.line_num], path, source)
            line = reader.line_num + 1
    except csv.Error as error:
        raise DataError(f"{path}:{line}: its quotation marks are broken ({error}); {MEND}") from None
    return records


MEND = "close them, double those inside quoted cells, or set `quotes: false` where they are part of the text"


def _check_width(records: list[Record], path: Path, source: FileDataset) -> None:
    columns, last = source.columns or records[0].cells, records[-1]
    if len(last.cells) != len(columns):
        raise DataError(
            f"{path}:{last.line}: has {len(last.cells)} columns, not the {len(columns)} of {columns}; "
            "for a file without a header, name them all with `columns`"
        )


def _check_closed(records: list[Record], lines: list[str], path: Path, source: FileDataset) -> None:
    """A quoted cell may hold line ends; where its lines are rows of their own, a quotation mark is lost.

    One line is always like a row, with the cell's own label: so two are that are most of the lines, or any three.
    Rows that are swallowed may be irregular themselves, and blank lines say nothing. Where answers are free text,
    nothing tells a row from a line of a cell.
    """
    columns, labels = source.columns or records[0].cells, source.labels
    if len(lines) < 2 or labels is None or source.label_column not in columns:
        return
    label = columns.index(source.label_column)
    alone = csv.reader((line.replace('"', "") for line in lines), delimiter=DELIMITERS[source.format])
    written = [cells for cells in alone if cells]
    rows = sum(len(cells) == len(columns) and cells[label].strip() in labels for cells in written)
    if rows > 2 or (rows == 2 and len(written) < 4):
        raise DataError(f"{path}:{records[-1].line}: a quotation mark that opens here is not closed; {MEND}")
