"""A prepared data set as stages hand it on: examples in memory and as a Parquet artifact."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from workflow_scripts.lib.tables import read_origin, read_table, write_table

SPLITS = ("pool", "query")


@dataclass(frozen=True)
class Example:
    """One labelled example; `fields` are what the template names, `label` is the label word."""

    id: str
    fields: dict[str, str]
    label: str


@dataclass(frozen=True)
class Examples:
    """A data set's pool, its queries, and its label words in the order of label indices."""

    pool: list[Example]
    queries: list[Example]
    words: list[str]


def write_examples(examples: Examples, target: Path, origin: dict[str, Any]) -> None:
    """Write columns id, split, one per text field, label (index) and label_word."""
    rows = [
        {"id": one.id, "split": split, **one.fields, "label": examples.words.index(one.label), "label_word": one.label}
        for split, some in zip(SPLITS, (examples.pool, examples.queries), strict=True)
        for one in some
    ]
    write_table(pa.Table.from_pylist(rows), target, {**origin, "label_words": examples.words})


def read_examples(path: Path) -> Examples:
    """Read what write_examples wrote."""
    by_split: dict[str, list[Example]] = {split: [] for split in SPLITS}
    for row in read_table(path).to_pylist():
        by_split[row["split"]].append(example_of(row, row["label_word"]))
    return Examples(by_split["pool"], by_split["query"], read_origin(path)["label_words"])


def example_of(row: dict[str, Any], label: str) -> Example:
    """An example from a table's row: what is no column of ours is a text field."""
    return Example(row["id"], {name: text for name, text in row.items() if name not in RESERVED}, label)


RESERVED: Sequence[str] = ("id", "split", "label", "label_word", "level", "draw", "order", "shown", "demo_set")
