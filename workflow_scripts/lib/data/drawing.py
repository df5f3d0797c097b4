"""Which examples of a pool a draw shows, and in which order.

All is drawn by a key, which names seed and draw, so that nothing depends on another draw, on what the data set is
called, on the process or on Python's hash seed.
"""

import random
from collections.abc import Sequence

from workflow_scripts.lib.data.choice import RelevanceRule
from workflow_scripts.lib.data.examples import Example
from workflow_scripts.lib.errors import StudyError


class PoolError(StudyError):
    """The pool cannot give the demonstrations asked for."""


def drawn(pool: Sequence[Example], key: str, *, balanced: bool) -> list[int]:
    """Places of all of the pool in random order; balanced: of every class in turn."""
    order = random.Random(f"{key}/examples").sample(range(len(pool)), len(pool))
    return _in_turn(order[::-1], pool, key) if balanced else order


def candidates(pool: Sequence[Example], key: str, *, balanced: bool) -> list[int]:
    """Places of those that a draw chooses among by similarity: a random half of the pool, in random order.

    From the whole pool every draw would come to the same nearest ones.
    """
    return drawn(pool, key, balanced=balanced)[: (len(pool) + 1) // 2]


def drawn_for(
    query: str,
    similarity: Sequence[float],
    rule: RelevanceRule,
    among: Sequence[int],
    pool: Sequence[Example],
    key: str,
    *,
    balanced: bool,
) -> list[int]:
    """Places of the candidates, those that are shown with a query before others.

    Of equally similar ones the draw's first comes first. Balanced, the classes take turns that depend on the draw
    alone, and so neither on the query's label nor on the rule.
    """
    if rule == "random":
        order = random.Random(f"{key}/{query}/examples").sample(among, len(among))
    else:
        order = sorted(among, key=lambda i: similarity[i], reverse=rule == "nearest")
    return _in_turn(order, pool, key) if balanced else order


def shuffled(chosen: Sequence[int], query: str, key: str) -> list[int]:
    """The demonstrations of a query in the order in which they are shown: one that is drawn, the same at every rule.

    By similarity what is most alike would always stand next to the query, where models look most, and with it, where
    classes are not balanced, mostly the query's own label.
    """
    return random.Random(f"{key}/{query}/order").sample(chosen, len(chosen))


def _in_turn(order: Sequence[int], pool: Sequence[Example], key: str) -> list[int]:
    """The same in rounds, each round the next example of every class that has any left, classes in random order."""
    waiting: dict[str, list[int]] = {}
    for i in reversed(order):
        waiting.setdefault(pool[i].label, []).append(i)
    classes = sorted(waiting)
    rounds = random.Random(f"{key}/rounds")
    turns: list[int] = []
    while len(turns) < len(order):
        rounds.shuffle(classes)
        turns += [waiting[name].pop() for name in classes if waiting[name]]
    return turns
