"""Examples from files, the hub, wheels, the CLDR or the embedded world as a pool and queries, nothing in both."""

import random
from collections import Counter
from dataclasses import dataclass, replace
from typing import NamedTuple

from workflow_scripts.lib.data import cldr
from workflow_scripts.lib.data.examples import Example, Examples
from workflow_scripts.lib.data.labelled import labelled
from workflow_scripts.lib.data.parting import apart, distinct, repeated, set_aside
from workflow_scripts.lib.data.paths import every_path, listed
from workflow_scripts.lib.data.readers import needed, read_files, read_hub, read_package
from workflow_scripts.lib.data.rows import DataError, Row, check_columns
from workflow_scripts.lib.data.sources import (
    CldrDataset,
    Dataset,
    Files,
    HubDataset,
    Lines,
    LocalDataset,
    PackageDataset,
    ReadDataset,
    WorldDataset,
)
from workflow_scripts.lib.data.summary import Summary, summed_up
from workflow_scripts.lib.data.template import Template
from workflow_scripts.lib.world import texts as world

WORLD_POOL = 400
WORLD_TEMPLATE = Template(query=world.TEMPLATE_QUERY, label=world.TEMPLATE_LABEL, separator=world.TEMPLATE_SEPARATOR)


@dataclass(frozen=True)
class Prepared:
    """A data set ready for sampling, and what became of its rows."""

    examples: Examples
    summary: Summary


class Parted(NamedTuple):
    """Different texts as a pool and queries, before they are cut to size; rows read and removed on the way."""

    pool: list[Example]
    queries: list[Example]
    read: dict[str, int]
    removed: Counter[str]


class Split(NamedTuple):
    """Rows that belong together, and what they are called in errors and in the summary."""

    rows: list[Row]
    where: str


def template_of(source: Dataset) -> Template:
    """The data set's own template, or the embedded world's."""
    return WORLD_TEMPLATE if isinstance(source, WorldDataset) else source.template


def label_words(source: Dataset) -> list[str]:
    """Label words in the order of label indices; none of a generation task."""
    if isinstance(source, WorldDataset):
        return list(_world_task(source).labels)
    if source.labels is None:
        return []
    return list(dict.fromkeys(word for word in source.labels.values() if word is not None))


def prepare(source: Dataset, *, pool: int | None, queries: int, seed: int) -> Prepared:
    """Read, de-duplicate and cut to size; DataError says what is wrong with the data.

    Official splits overlap, so the pool loses every text that is nearly a query (`parting.nearly`); within each split
    the first of equal texts stays. Where all is in one file, queries are set aside by `seed`, text and label. Both
    cuts are drawn from `seed` alone, so that data sets with the same texts in the same order keep the same ones.
    """
    parted = _parted(source, pool, queries, seed)
    if len(parted.queries) < queries:
        raise DataError(f"has {len(parted.queries)} different queries where `queries` asks for {queries}; lower it")
    examples = Examples(
        pool=_cut(parted.pool, pool, f"{seed}/pool"),
        queries=_cut(parted.queries, queries, f"{seed}/queries"),
        words=label_words(source),
        template=template_of(source),
    )
    uncalled = {
        "beyond the size of the pool": len(parted.pool) - len(examples.pool),
        "beyond the number of queries": len(parted.queries) - len(examples.queries),
    }
    return Prepared(examples, summed_up(examples, parted.read, {**parted.removed, **uncalled}))


def _cut(examples: list[Example], count: int | None, key: str) -> list[Example]:
    if count is None or count >= len(examples):
        return examples
    kept = sorted(random.Random(key).sample(range(len(examples)), count))
    return [examples[i] for i in kept]


def _parted(source: Dataset, pool: int | None, queries: int, seed: int) -> Parted:
    if isinstance(source, WorldDataset):
        return _generated(source, pool or WORLD_POOL, queries, seed)
    candidates, *asked = _read(source)
    if isinstance(source.queries, int | float):
        return _one_for_both(candidates, source, source.queries, seed)
    return _two(candidates, asked[0], source)


def _read(source: LocalDataset | HubDataset | CldrDataset | PackageDataset) -> list[Split]:
    """The rows of the pool and of the queries, or of what both are in."""
    if isinstance(source, LocalDataset):
        return [Split(read_files(named, source), _called(named)) for named in listed(source).named_files().values()]
    if isinstance(source, CldrDataset):
        check_columns(cldr.COLUMNS, needed(source), "CLDR")
        return [Split(cldr.rows(source.kinds, source.locales), "CLDR")]
    if isinstance(source, PackageDataset):
        return [Split(read_package(source), f"{source.release}, {source.file}")]
    names = [name for name in (source.pool, source.queries) if isinstance(name, str)]
    return [Split(*read_hub(source, name)) for name in names]


def _called(named: Files | Lines) -> str:
    if isinstance(named, dict):
        return " with ".join(map(_called, named.values()))
    first, *others = every_path(named)
    return f"{first} and {len(others)} more" if others else str(first)


def _two(pool: Split, queries: Split, source: ReadDataset) -> Parted:
    candidates, asked = (labelled(split.rows, source, split.where) for split in (pool, queries))
    different, different_asked = distinct(candidates.examples), distinct(asked.examples)
    left = apart(different, different_asked)
    if not left:
        raise DataError(
            f"{pool.where}: no example is left for the pool: all {len(different)} different texts are queries too; "
            "where one file or split holds all, set queries aside from it: `file: ...` (on the hub `pool: ...`) and "
            "`queries: 0.2`"
        )
    removed = candidates.removed + asked.removed
    removed += repeated(asked.examples, " in the queries") + repeated(candidates.examples, " in the pool")
    removed["in the pool that are nearly queries"] += len(different) - len(left)
    read = Counter({pool.where: len(pool.rows)}) + Counter({queries.where: len(queries.rows)})
    return Parted(_called_by("pool", left), _called_by("query", different_asked), dict(read), removed)


def _one_for_both(split: Split, source: ReadDataset, aside: float, seed: int) -> Parted:
    found = labelled(split.rows, source, split.where)
    pool, queries = set_aside(distinct(found.examples), aside, seed, by_label=not source.generation)
    removed = found.removed + repeated(found.examples)
    return Parted(_called_by("pool", pool), _called_by("query", queries), {split.where: len(split.rows)}, removed)


def _called_by(split: str, examples: list[Example]) -> list[Example]:
    return [replace(one, id=f"{split}-{one.id}") for one in examples]


def _generated(source: WorldDataset, pool: int, queries: int, seed: int) -> Parted:
    _world_task(source)
    made = world.examples(source.task, pool + queries, random.Random(f"{seed}/texts").getrandbits(32))
    random.Random(f"{seed}/split").shuffle(made)
    examples = [Example(f"{i:06d}", {"text": text}, label) for i, (text, label) in enumerate(made)]
    asked, candidates = examples[:queries], examples[queries:]  # no text comes twice
    return Parted(_called_by("pool", candidates), _called_by("query", asked), {source.task: len(made)}, Counter())


def _world_task(source: WorldDataset) -> world.Task:
    if source.task not in world.TASKS:
        raise DataError(f"task {source.task!r} is not in the embedded world, which has {', '.join(world.TASKS)}")
    return world.TASKS[source.task]
