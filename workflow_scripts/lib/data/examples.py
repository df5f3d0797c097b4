"""A prepared data set as stages hand it on: examples in memory and as a Parquet artifact."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa

from workflow_scripts.lib.artifacts.tables import read_origin, read_table, write_table
from workflow_scripts.lib.data.template import Rewording, Template

SPLITS = ("pool", "query")


@dataclass(frozen=True)
class Example:
    """One example; `fields` are what the template names, `label` is what is to follow: a label word, or the answer."""

    id: str
    fields: dict[str, str]
    label: str


@dataclass(frozen=True)
class Wording:
    """How the examples of a data set become text: template, and label words in the order of label indices.

    There are none where answers are free text.
    """

    template: Template
    words: list[str]

    def as_json(self) -> dict[str, Any]:
        """As artifacts have it in their metadata."""
        return {"template": self.template.model_dump(), "label_words": self.words}

    @classmethod
    def of_json(cls, made: Mapping[str, Any]) -> "Wording":
        """What as_json gave, whatever stands beside it."""
        return cls(Template(**made["template"]), made["label_words"])


@dataclass(frozen=True)
class Examples:
    """A data set's pool, its queries, its label words in the order of label indices, and how all become text.

    A generation task has no label words: what an example's `label` holds is its answer, free text.
    """

    pool: list[Example]
    queries: list[Example]
    words: list[str]
    template: Template

    @property
    def generation(self) -> bool:
        """Whether answers are free text."""
        return not self.words

    @cached_property
    def targets(self) -> list[int]:
        """Of every query the index of its label word; of a generation task the number of its answer among theirs."""
        numbers = {word: i for i, word in enumerate(self.words or dict.fromkeys(one.label for one in self.queries))}
        return [numbers[one.label] for one in self.queries]

    @property
    def wording(self) -> Wording:
        """How all become text."""
        return Wording(self.template, self.words)

    def reworded(self, rewording: Rewording | None) -> "Examples":
        """The same in another template."""
        return replace(self, template=self.template.reworded(rewording))


def write_examples(examples: Examples, target: Path, origin: dict[str, Any]) -> None:
    """Write columns id, split, fields (a struct), label (index) and label_word; words and template as metadata.

    Of a generation task there is no index, and label_word is the answer.
    """
    indices: dict[str, int | None] = {word: i for i, word in enumerate(examples.words)}
    splits = list(zip(SPLITS, (examples.pool, examples.queries), strict=True))
    every = [one for _, some in splits for one in some]
    table = pa.table(
        {
            "id": pa.array([one.id for one in every], pa.string()),
            "split": pa.array([split for split, some in splits for _ in some], pa.string()),
            "fields": pa.array([one.fields for one in every], fields_type(one.fields for one in every)),
            "label": pa.array([indices.get(one.label) for one in every], pa.int32()),
            "label_word": pa.array([one.label for one in every], pa.string()),
        }
    )
    write_table(table, target, {**origin, **examples.wording.as_json()})


def read_examples(path: Path) -> Examples:
    """Read what write_examples wrote."""
    by_split: dict[str, list[Example]] = {split: [] for split in SPLITS}
    for row in read_table(path).to_pylist():
        by_split[row["split"]].append(Example(row["id"], row["fields"], row["label_word"]))
    wording = Wording.of_json(read_origin(path))
    return Examples(by_split["pool"], by_split["query"], wording.words, wording.template)


def fields_type(fields: Iterable[dict[str, str]]) -> pa.StructType:
    """Text fields as a struct of their own, so that a field may be called as a column is."""
    names: Sequence[str] = next(iter(fields), {}).keys()  # type: ignore[assignment]
    return pa.struct([(name, pa.string()) for name in names])
