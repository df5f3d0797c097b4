"""Sets of demonstrations: which draws and queries each serves, and their artifact."""

import random
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import pyarrow as pa

from workflow_scripts.lib.artifacts.provenance import digest
from workflow_scripts.lib.artifacts.tables import read_origin, read_table, write_table
from workflow_scripts.lib.data.examples import Example, Examples, Wording, fields_type

Shown = TypeVar("Shown")


@dataclass(frozen=True)
class Demonstration:
    """An example as a set has it: `label` is the word that stands beside it, `gold` its own.

    `task`: what the data set is called that it is of, where that is not the queries' own; it is told in its template.
    """

    id: str
    fields: dict[str, str]
    label: str
    gold: str
    task: str | None = None


@dataclass(frozen=True)
class DemonstrationSet:
    """Demonstrations in order, whoever is given them."""

    demonstrations: tuple[Demonstration, ...]

    @cached_property
    def id(self) -> str:
        """16 hex digits over ids, order, texts and labels; carried by all that is made from the set."""
        return digest([[one.id, one.fields, one.label, *filter(None, [one.task])] for one in self.demonstrations])


ANOTHER = "another"  # what artifacts call it: how params.yaml calls a data set is no content


class OtherTask(NamedTuple):
    """A data set whose demonstrations are shown with queries of another, and what sets and errors call it."""

    name: str
    examples: Examples


class Place(NamedTuple):
    """Where a set serves: in draw number `draw`, for all queries or (with an id) for one.

    `similarity` of that query and the set's examples as the pool has them, in the mean.
    """

    draw: int
    query: str | None = None
    similarity: float | None = None


@dataclass(frozen=True)
class ServingSet:
    """A set, and every place where it serves: two draws of few shots may come to the same one."""

    set: DemonstrationSet
    serves: list[Place] = field(default_factory=list)

    def asked(self, queries: Sequence[Example]) -> list[Example]:
        """The queries that it serves, in their order."""
        served = {place.query for place in self.serves}
        return [one for one in queries if None in served or one.id in served]


def another_order(given: Sequence[Shown], dice: random.Random) -> list[Shown]:
    """The same demonstrations, or labels, in another order; equal ones have no other."""
    order = list(given)
    differ = any(one != order[0] for one in order)
    while differ and order == list(given):
        dice.shuffle(order)
    return order


def write_sets(
    sets: Sequence[ServingSet], target: Path, origin: dict[str, Any], other: OtherTask | None = None
) -> None:
    """Write a row per set: its id, where it serves, its demonstrations in order.

    How demonstrations of another task are told stands in the metadata.
    """
    demonstrations = [[asdict(one) for one in each.set.demonstrations] for each in sets]
    table = pa.table(
        {
            "set": pa.array([each.set.id for each in sets], pa.string()),
            "serves": pa.array([[place._asdict() for place in each.serves] for each in sets], pa.list_(PLACE)),
            "demonstrations": pa.array(demonstrations, pa.list_(_demonstration_type(demonstrations))),
        }
    )
    told = {other.name: other.examples.wording.as_json()} if other else {}
    write_table(table, target, {**origin, "told": told})


def read_told(path: Path) -> dict[str, Wording]:
    """How demonstrations of other tasks are told, by the name of their data set."""
    told = read_origin(path)["told"]
    return {name: Wording.of_json(one) for name, one in told.items()}


def read_sets(path: Path) -> list[ServingSet]:
    """Read what write_sets wrote, in the same order."""
    return [
        ServingSet(
            DemonstrationSet(tuple(Demonstration(**one) for one in row["demonstrations"])),
            [Place(**place) for place in row["serves"]],
        )
        for row in read_table(path, ["serves", "demonstrations"]).to_pylist()
    ]


def by_draw(sets: Iterable[ServingSet]) -> dict[int, ServingSet]:
    """Draw -> set, in the draws' order. Draws that came to one set are one: they are no second sample."""
    first = {min(place.draw for place in each.serves): each for each in sets}
    return {draw: first[draw] for draw in sorted(first)}


PLACE = pa.struct({"draw": pa.int32(), "query": pa.string(), "similarity": pa.float64()})


def _demonstration_type(demonstrations: list[list[dict[str, Any]]]) -> pa.StructType:
    fields = fields_type(one["fields"] for some in demonstrations for one in some)
    return pa.struct(
        {"id": pa.string(), "fields": fields, "label": pa.string(), "gold": pa.string(), "task": pa.string()}
    )
