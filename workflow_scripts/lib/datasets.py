"""Labelled examples from files, the hub or the embedded world, in one shape: a pool and queries, nothing in both."""

import random
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from workflow_scripts.lib.examples import Example
from workflow_scripts.lib.prompts import Template, placeholders
from workflow_scripts.lib.readers import DataError, Row, read_file, read_hub
from workflow_scripts.lib.sources import Dataset, HubDataset, LocalDataset, WorldDataset
from workflow_scripts.lib.world import texts as world

WORLD_POOL = 400
WORLD_TEMPLATE = Template(query=world.TEMPLATE_QUERY, label=world.TEMPLATE_LABEL, separator=world.TEMPLATE_SEPARATOR)


@dataclass(frozen=True)
class Prepared:
    """A data set ready for sampling; `removed` counts examples left out, by reason."""

    pool: list[Example]
    queries: list[Example]
    removed: dict[str, int]


def template_of(source: Dataset) -> Template:
    """The data set's own template, or the embedded world's."""
    return WORLD_TEMPLATE if isinstance(source, WorldDataset) else source.template


def label_words(source: Dataset) -> list[str]:
    """Label words in the order of label indices."""
    if isinstance(source, WorldDataset):
        return list(_world_task(source).labels)
    return list(dict.fromkeys(word for word in source.labels.values() if word is not None))


def prepare(source: Dataset, *, pool: int | None, queries: int, key: str) -> Prepared:
    """Read, de-duplicate and cut to size; DataError says what is wrong with the data.

    Official splits overlap, so the pool loses every text that is also a query (compared without case and with
    single spaces); within each split the first of equal texts stays. Both cuts are drawn from `key`.
    """
    candidates, asked = _read(source, pool, queries, key)
    different_asked = _distinct(asked)
    texts = {normalised(one) for one in different_asked}
    different = _distinct(candidates)
    apart = [one for one in different if normalised(one) not in texts]
    if len(different_asked) < queries:
        raise DataError(f"has {len(different_asked)} different queries where `queries` asks for {queries}; lower it")
    return Prepared(
        pool=_cut(apart, pool, f"{key}/pool"),
        queries=_cut(different_asked, queries, f"{key}/queries"),
        removed={
            "repeated queries": len(asked) - len(different_asked),
            "repeated in the pool": len(candidates) - len(different),
            "pool texts that are queries": len(different) - len(apart),
        },
    )


def normalised(example: Example) -> str:
    """The text by which two examples count as the same."""
    return " ".join(" ".join(example.fields.values()).casefold().split())


def _distinct(examples: Iterable[Example]) -> list[Example]:
    first: dict[str, Example] = {}
    for one in examples:
        first.setdefault(normalised(one), one)
    return list(first.values())


def _cut(examples: list[Example], count: int | None, key: str) -> list[Example]:
    if count is None or count >= len(examples):
        return examples
    kept = sorted(random.Random(key).sample(range(len(examples)), count))
    return [examples[i] for i in kept]


def _read(source: Dataset, pool: int | None, queries: int, key: str) -> tuple[list[Example], list[Example]]:
    if isinstance(source, WorldDataset):
        return _generate(source, pool or WORLD_POOL, queries, key)
    if isinstance(source, LocalDataset):
        rows = {split: read_file(path, source) for split, path in _local_files(source).items()}
    else:
        rows = {split: read_hub(source, name) for split, name in _hub_splits(source).items()}
    return _examples(rows["pool"], source, "pool"), _examples(rows["query"], source, "query")


def _local_files(source: LocalDataset) -> dict[str, Path]:
    return {"pool": source.pool, "query": source.queries}


def _hub_splits(source: HubDataset) -> dict[str, str]:
    return {"pool": source.pool, "query": source.queries}


def _generate(source: WorldDataset, pool: int, queries: int, key: str) -> tuple[list[Example], list[Example]]:
    _world_task(source)
    seed = random.Random(key).getrandbits(32)
    made = world.examples(source.task, pool + queries, seed)
    random.Random(f"{key}/split").shuffle(made)
    examples = [
        Example(f"{'query' if i < queries else 'pool'}-{i:06d}", {"text": text}, label)
        for i, (text, label) in enumerate(made)
    ]
    return examples[queries:], examples[:queries]


def _world_task(source: WorldDataset) -> world.Task:
    if source.task not in world.TASKS:
        raise DataError(f"task {source.task!r} is not in the embedded world, which has {', '.join(world.TASKS)}")
    return world.TASKS[source.task]


def _examples(rows: list[Row], source: LocalDataset | HubDataset, split: str) -> list[Example]:
    where = str(source.pool if split == "pool" else source.queries)
    if not rows:
        raise DataError(f"{where}: holds no rows")
    fields = placeholders(source.template.query)
    _check_columns(rows, [*fields, source.label_column], where)
    _check_labels(rows, source, where)
    kept = [
        Example(f"{split}-{i:06d}", {f: str(row[f]).strip() for f in fields}, word)
        for i, row in enumerate(rows)
        if (word := source.labels[str(row[source.label_column])]) is not None
    ]
    if not kept:
        raise DataError(f"{where}: every row's label is mapped to null")
    return kept


def _check_columns(rows: list[Row], columns: list[str], where: str) -> None:
    lacking = [name for name in columns if any(row.get(name) is None for row in rows)]
    if lacking:
        raise DataError(
            f"{where}: rows lack {', '.join(lacking)} (columns are {', '.join(map(str, rows[0]))}); "
            "name them in `label_column`, `template.query` or `columns`"
        )


def _check_labels(rows: list[Row], source: LocalDataset | HubDataset, where: str) -> None:
    unknown = Counter(str(row[source.label_column]) for row in rows) - Counter(dict.fromkeys(source.labels, len(rows)))
    if unknown:
        found = ", ".join(f"{value!r} ({count} rows)" for value, count in unknown.most_common(5))
        raise DataError(
            f"{where}: labels outside the declared set: {found}; `labels` declares {', '.join(source.labels)}; "
            "add them, or map them to null to leave their rows out"
        )
