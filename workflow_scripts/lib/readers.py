"""Rows from data files and from the hub, as they stand there: column -> value."""

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from workflow_scripts.lib.sources import HubDataset, LocalDataset

Row = dict[str, Any]


class DataError(ValueError):
    """A data set that cannot be used; the message says what, where and what to do."""


def read_file(path: Path, source: LocalDataset) -> list[Row]:
    """All rows of a local file in the format that the settings name; DataError where it cannot be read so."""
    try:
        return list(FORMATS[source.format](path, source))
    except FileNotFoundError:
        raise DataError(f"{path}: no such file (relative paths start at the project's root)") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: is not {source.encoding} ({error}); set `encoding`, often latin-1") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error}") from None


def _delimited(path: Path, source: LocalDataset) -> Iterator[Row]:
    with path.open(encoding=source.encoding, newline="") as file:
        # Tab-separated files of this field hold bare quotation marks: there a quote is a character like any other.
        tabs = source.format == "tsv"
        rows = csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE) if tabs else csv.reader(file)
        columns = source.columns or next(rows, [])
        for values in rows:
            if values and len(values) != len(columns):
                raise DataError(
                    f"{path}:{rows.line_num}: has {len(values)} columns, not the {len(columns)} of {columns}; "
                    "for a file without a header, name them all with `columns`"
                )
            if values:
                yield dict(zip(columns, values, strict=True))


def _jsonl(path: Path, source: LocalDataset) -> Iterator[Row]:
    with path.open(encoding=source.encoding) as file:
        for number, line in enumerate(file, 1):
            if line.strip():
                yield _json_object(line, f"{path}:{number}")


def _json_object(line: str, where: str) -> Row:
    try:
        row = json.loads(line)
    except json.JSONDecodeError as error:
        raise DataError(f"{where}: is not JSON: {error}") from None
    if not isinstance(row, dict):
        raise DataError(f"{where}: is not a JSON object")
    return row


def _parquet(path: Path, source: LocalDataset) -> list[Row]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return list(pq.read_table(path).to_pylist())
    except pa.ArrowInvalid as error:
        raise DataError(f"{path}: is not a whole Parquet file: {error}") from None


def _labelled_lines(path: Path, source: LocalDataset) -> Iterator[Row]:
    with path.open(encoding=source.encoding) as file:
        for number, line in enumerate(file, 1):
            label, space, text = line.strip().partition(" ")
            if not space and label:
                raise DataError(f"{path}:{number}: is not `LABEL text`: {label!r}")
            if label:
                yield {source.label_column: label, "text": text}


FORMATS = {
    "csv": _delimited,
    "tsv": _delimited,
    "jsonl": _jsonl,
    "parquet": _parquet,
    "labelled-lines": _labelled_lines,
}


def read_hub(source: HubDataset, split: str) -> list[Row]:
    """All rows of one split of a hub data set at its revision; DataError where it cannot be had."""
    import datasets
    from huggingface_hub.errors import HfHubHTTPError

    try:
        table = datasets.load_dataset(
            source.id, name=source.configuration, revision=source.revision, split=split, streaming=False
        )
    except (datasets.exceptions.DatasetsError, HfHubHTTPError, OSError, ValueError, RuntimeError) as error:
        raise DataError(
            f"{source.id} at revision {source.revision}, split {split}: {type(error).__name__}: {error}\n"
            "    check id, revision, configuration and split; a gated data set needs `hf auth login`; without network, "
            "download it first where there is one and use `source: local`"
        ) from None
    return list(table.to_list())
