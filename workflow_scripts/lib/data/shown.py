"""Ways of showing a set of demonstrations in a prompt: one function each, from a set to demonstrations in order."""

import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple, Protocol

from workflow_scripts.lib.data.examples import Example
from workflow_scripts.lib.data.parting import apart
from workflow_scripts.lib.data.sets import Demonstration, DemonstrationSet, OtherTask, another_order
from workflow_scripts.lib.errors import StudyError

Shown = Sequence[Demonstration]


class ShownError(StudyError):
    """A set that cannot be shown so."""


class Beside(NamedTuple):
    """What a way may take beside the set: demonstrations of another task, and how many tokens of a prompt each has."""

    others: Shown
    tokens: Callable[[Demonstration], int]


NOTHING = Beside([], lambda _: 0)


class WayOfShowing(Protocol):
    """A function from a set, and what there is beside it, to demonstrations in order."""

    __name__: str

    def __call__(self, shown: DemonstrationSet, beside: Beside = NOTHING) -> Shown:
        """ShownError where the set cannot be shown so."""


def as_drawn(shown: DemonstrationSet, beside: Beside = NOTHING) -> Shown:
    """The set as it is."""
    return shown.demonstrations


def reordered(shown: DemonstrationSet, beside: Beside = NOTHING) -> Shown:
    """The same demonstrations in another order, drawn by the set's own id."""
    return another_order(shown.demonstrations, random.Random(shown.id))


def shuffled_labels(shown: DemonstrationSet, beside: Beside = NOTHING) -> Shown:
    """The same texts with the same labels, dealt out anew by the set's own id; some is another one's, if any differ."""
    labels = another_order([one.label for one in shown.demonstrations], random.Random(f"{shown.id}/labels"))
    return [replace(one, label=label) for one, label in zip(shown.demonstrations, labels, strict=True)]


def another_task(shown: DemonstrationSet, beside: Beside = NOTHING) -> Shown:
    """Demonstrations of another task in the set's place, drawn by its id: as many tokens, and nothing of its task.

    Where no choice of whole ones has as many, a few less.
    """
    order = random.Random(f"{shown.id}/another").sample(beside.others, len(beside.others))
    lengths, room = [beside.tokens(one) for one in order], sum(map(beside.tokens, shown.demonstrations))
    chosen = as_long_as(room, lengths)
    if not chosen:
        raise ShownError(
            f"no demonstration of the other task is as short as a set of this one, {room} tokens; take more shots, or "
            "leave the arm out that shows it"
        )
    return [order[i] for i in chosen]


def as_long_as(room: int, lengths: Sequence[int]) -> list[int]:
    """Places of numbers whose sum is `room` or little less: the first that fit, then one exchanged for a longer one."""
    chosen: list[int] = []
    left = room
    for place, length in enumerate(lengths):
        if length <= left:
            chosen.append(place)
            left -= length
    unused = [place for place in range(len(lengths)) if place not in chosen]
    # What is left of the room after each exchange, the least first; equal ones in the order of the places.
    exchanges = [
        (left - lengths[new] + lengths[old], old, new)
        for old in chosen
        for new in unused
        if lengths[old] < lengths[new] <= lengths[old] + left
    ]
    exchanged = {old: new for _, old, new in sorted(exchanges)[:1]}
    return [exchanged.get(place, place) for place in chosen]


WAYS: tuple[WayOfShowing, ...] = (as_drawn, reordered, shuffled_labels, another_task)
SHOWN = {way.__name__: way for way in WAYS}


def beside(other: OtherTask | None, queries: Sequence[Example], tokens: Callable[[Demonstration], int]) -> Beside:
    """What stands beside the sets of a data set: another one's pool, without what is asked about."""
    if other is None:
        return Beside([], tokens)
    pool = apart(other.examples.pool, queries)
    return Beside([Demonstration(one.id, one.fields, one.label, one.label, other.name) for one in pool], tokens)
