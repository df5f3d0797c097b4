"""What a case shows of a claim: a verdict, and the rows of numbers that it rests on."""

from collections.abc import Sequence
from typing import Literal, NamedTuple

from workflow_scripts.lib.results.estimates import Estimate

Verdict = Literal["agrees", "disagrees", "cannot tell", "shown", "not measured"]


class Row(NamedTuple):
    """A quantity of a case; `effect` if it is a difference, which may be small and has a test."""

    name: str
    estimate: Estimate
    effect: bool = False


class Seen(NamedTuple):
    """What a case shows of a claim, and the numbers, or why there are none."""

    verdict: Verdict
    rows: tuple[Row, ...] = ()
    why: str = ""


NOT_MEASURED = Seen("not measured", why="the study does not have what this needs")


def not_varied(factor: str) -> Seen:
    """What is said where a study lacks a factor."""
    return Seen("not measured", why=f"the study does not vary {factor}: name its levels under `factors`")


def shown(rows: Sequence[Row]) -> Seen:
    """Numbers without a verdict, where there are any."""
    return Seen("shown", measured(rows)) if measured(rows) else NOT_MEASURED


def measured(rows: Sequence[Row]) -> tuple[Row, ...]:
    """The rows that have a number."""
    return tuple(row for row in rows if row.estimate.mean is not None)
