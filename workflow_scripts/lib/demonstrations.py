"""Which demonstrations a prompt shows: the draws of every level of a factor.

A draw's examples and their order depend on the data set, the seed and the draw's number alone. So the levels of a
factor are paired by draw: 4 shots are the first 4 of the 16, and flipped labels stand on the examples that had the
gold ones. Nothing depends on another draw, on the process or on Python's hash seed.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import pyarrow as pa

from workflow_scripts.lib.examples import Example, Examples, example_of
from workflow_scripts.lib.prompts import Demonstration
from workflow_scripts.lib.provenance import digest
from workflow_scripts.lib.tables import read_table, write_table


class PoolError(ValueError):
    """The pool cannot give the demonstrations asked for."""


@dataclass(frozen=True)
class Condition:
    """What a level of a factor comes to: the reference setting with one thing changed."""

    shots: int
    labels: str


@dataclass(frozen=True)
class Shown:
    """A demonstration as one draw shows it; `label` is the word shown, `example.label` the gold one."""

    example: Example
    label: str


@dataclass(frozen=True)
class Draw:
    """One set of demonstrations: draw number `draw` of a level of a factor."""

    level: str
    draw: int
    shown: list[Shown]

    @property
    def demo_set(self) -> str:
        """16 hex digits over ids, order, texts and labels as shown; carried by all made from them."""
        return digest([[one.example.id, one.example.fields, one.label] for one in self.shown])

    def as_demonstrations(self) -> list[Demonstration]:
        """The demonstrations as prompts take them."""
        return [Demonstration(one.example.fields, one.label) for one in self.shown]


def sample_draws(
    data: Examples,
    *,
    factor: str,
    levels: Sequence[int | str],
    reference: dict[str, Any],
    draws: int,
    balanced: bool,
    key: str,
) -> list[Draw]:
    """All draws of all levels of a factor; `key` names seed and data set."""
    return [
        Draw(str(level), number, sample(data, condition, key=f"{key}/{number}", balanced=balanced))
        for level in levels
        for condition in [Condition(**{**reference, factor: level})]
        for number in range(draws)
    ]


def sample(data: Examples, condition: Condition, *, key: str, balanced: bool) -> list[Shown]:
    """The demonstrations of one draw, in prompt order; `key` names seed, data set and draw."""
    if condition.shots > len(data.pool):
        raise PoolError(f"{condition.shots} shots are more than the pool's {len(data.pool)} examples")
    order = _balanced_order(data.pool, key) if balanced else _order(data.pool, key)
    chosen = [data.pool[i] for i in order[: condition.shots]]
    labels = _shown_labels(chosen, condition.labels, data.words, key)
    return [Shown(one, word) for one, word in zip(chosen, labels, strict=True)]


def write_draws(draws: Sequence[Draw], words: Sequence[str], target: Path, origin: dict[str, Any]) -> None:
    """Write a row per demonstration: level, draw, order, demo_set, id, text fields, label, label_word, shown."""
    rows = [
        {
            "level": one.level,
            "draw": one.draw,
            "order": order,
            "demo_set": one.demo_set,
            "id": shown.example.id,
            **shown.example.fields,
            "label": words.index(shown.example.label),
            "label_word": shown.example.label,
            "shown": shown.label,
        }
        for one in draws
        for order, shown in enumerate(one.shown)
    ]
    write_table(pa.Table.from_pylist(rows), target, origin)


def read_draws(path: Path) -> list[Draw]:
    """Read what write_draws wrote, in the same order."""
    rows = read_table(path).to_pylist()
    return [
        Draw(level, number, [Shown(example_of(row, row["label_word"]), row["shown"]) for row in some])
        for (level, number), some in groupby(rows, lambda row: (row["level"], row["draw"]))
    ]


def _order(pool: Sequence[Example], key: str) -> list[int]:
    return random.Random(f"{key}/examples").sample(range(len(pool)), len(pool))


def _balanced_order(pool: Sequence[Example], key: str) -> list[int]:
    """All of the pool in rounds, each round one example of every class that has any left, in random order."""
    waiting: dict[str, list[int]] = {}
    for i in _order(pool, key):
        waiting.setdefault(pool[i].label, []).append(i)
    classes = sorted(waiting)
    rounds = random.Random(f"{key}/rounds")
    order: list[int] = []
    while len(order) < len(pool):
        rounds.shuffle(classes)
        order += [waiting[name].pop() for name in classes if waiting[name]]
    return order


def _shown_labels(chosen: Sequence[Example], labels: str, words: Sequence[str], key: str) -> list[str]:
    if labels == "random":
        dice = random.Random(f"{key}/labels")
        return [dice.choice(words) for _ in chosen]
    # flipped: every class takes the next one's word, so no label is right and the mapping stays consistent
    step = {"gold": 0, "flipped": 1}[labels]
    return [words[(words.index(one.label) + step) % len(words)] for one in chosen]
