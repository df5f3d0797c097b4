"""Tidy tables that figures are drawn from: a row is an estimate, told by what it is of.

Keys are short words for people, numbers are the mean and the ends of its interval. A table is filled in the order of
what a reader needs first and stops at `ROOM`, so that the page of a study of any size stays one that opens: what did
not fit is in the files of tables all the same (contents.py), and the page says that it is.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import product
from typing import Any, NamedTuple

from workflow_scripts.lib.arms import ANCHOR, ARMS, CEILINGS, IMITATIONS, QUESTION, Arm
from workflow_scripts.lib.measures import (
    ACCORDS,
    BEHAVIOURS,
    CHANGES,
    HEADLINE,
    HOW_WELL,
    MOVEMENT,
    NOISE,
    SIMILARITIES,
)
from workflow_scripts.lib.measures.contrasts import CONTRASTS, OTHER_DRAW, OTHER_LABEL, OWN, OWN_DEMONSTRATION_EFFECT
from workflow_scripts.lib.patching.measures import PATCH_MEASURES
from workflow_scripts.lib.patching.patches import PATCHES
from workflow_scripts.lib.report.cases import ICL_IT, Case, together
from workflow_scripts.lib.results.estimates import Estimate
from workflow_scripts.lib.study.factors import FACTORS, MOMENT

ROOM = 400_000  # rows of all tables together, which are some 3 MB of a page
PART = "part of the update similarity"
EFFECT, VALUE = "change", "value"  # of a level: against the reference, and as it is
ENDS = ("mean", "low", "high")
HEAD = ("model", "dataset")

Row = tuple[Any, ...]
Make = Callable[[Case], Iterator[Row]]


class Tidy(NamedTuple):
    """A table: names of its keys and of its numbers, which stand behind them, and its rows."""

    name: str
    keys: tuple[str, ...]
    numbers: tuple[str, ...]
    rows: list[Row]

    def records(self, rows: Iterable[Row] | None = None) -> list[dict[str, Any]]:
        """Rows as figures take them."""
        names = (*self.keys, *self.numbers)
        return [dict(zip(names, row, strict=True)) for row in (self.rows if rows is None else rows)]


def tidy(every: Sequence[Case], losses: Sequence[Row] = (), room: float = ROOM) -> tuple[dict[str, Tidy], list[str]]:
    """The tables by name, and what of them did not fit into so many rows; `losses` are tuning's."""
    tables = {name: Tidy(name, (*HEAD, *keys), numbers, []) for name, keys, numbers in SHAPES}
    left_out = []
    fills: list[tuple[str, str, Callable[[], list[Row]]]] = [
        (what, name, partial(_rows, every, make)) for what, name, make in FILLS
    ]
    for what, name, rows_of in (*fills, ("losses of tuning", "tuning", lambda: list(losses))):
        rows = rows_of()
        if room < len(rows):
            left_out.append(what)
            continue
        room -= len(rows)
        tables[name].rows.extend(rows)
    return tables, left_out


def _rows(every: Sequence[Case], make: Make) -> list[Row]:
    return [(case.model, case.dataset, *row) for case in every for row in make(case)]


def _ends(estimate: Estimate) -> tuple[float | None, ...]:
    return estimate.mean, estimate.low, estimate.high


def _banded(estimate: Estimate) -> tuple[float | None, ...]:
    return *_ends(estimate), estimate.band_low, estimate.band_high


def _over_layers(case: Case, measure: str, arms: Sequence[Arm], match: str, shown: str) -> Iterator[Row]:
    """An estimate at every layer that has it."""
    layers = case.results.layers(case.model, case.dataset)
    for layer in layers:
        names = [arm.name for arm in arms]
        found = case.results.at(case.model, case.dataset, measure, *names, match=match, layer=layer)
        if found.mean is not None:
            yield together(*arms), shown, match, layer, layers[-1] - layer, *_banded(found)


def _parts(case: Case) -> Iterator[Row]:
    last = case.results.layers(case.model, case.dataset)[-1]
    for layer in case.results.layers(case.model, case.dataset):
        names = [arm.name for arm in QUESTION]
        for name, part in case.results.parts(case.model, case.dataset, *names, layer=layer).items():
            if part.contribution.mean is not None:
                yield ICL_IT, PART, name, layer, last - layer, *_banded(part.contribution)


def _headline(case: Case) -> Iterator[Row]:
    for match in (*CONTRASTS, OWN_DEMONSTRATION_EFFECT):
        yield from _over_layers(case, HEADLINE.name, QUESTION, match.name, HEADLINE.heading)
    for arms in (*CEILINGS, *IMITATIONS):
        for match in (OWN, OTHER_DRAW, OTHER_LABEL):
            yield from _over_layers(case, HEADLINE.name, arms, match.name, HEADLINE.heading)
    yield from _over_layers(case, NOISE.name, QUESTION, OWN.name, NOISE.heading)


def _against_anchor(case: Case) -> Iterator[Row]:
    for measure in SIMILARITIES:
        if not measure.of_updates:
            for arm in QUESTION:
                yield from _over_layers(case, measure.name, (ANCHOR, arm), OWN.name, measure.heading)
    for change in CHANGES:
        for arm in QUESTION:
            yield from _over_layers(case, change.name, (arm,), OWN.name, change.heading)


def _other_measures(case: Case) -> Iterator[Row]:
    for measure in SIMILARITIES:
        if measure is not HEADLINE:
            for match in (*CONTRASTS, OWN_DEMONSTRATION_EFFECT):
                yield from _over_layers(case, measure.name, QUESTION, match.name, measure.heading)
            for arms in (*CEILINGS, *IMITATIONS):
                yield from _over_layers(case, measure.name, arms, OWN.name, measure.heading)


LEVEL_MATCHES = (OWN, OTHER_DRAW, OTHER_LABEL, OWN_DEMONSTRATION_EFFECT)


def _levels(case: Case, measures: Sequence[Any]) -> Iterator[Row]:
    for factor in case.results.factors:
        for place, level in enumerate(case.levels(factor)):
            at = (factor, level)
            for measure in measures:
                for match in LEVEL_MATCHES:
                    value = case.of(measure, *QUESTION, match=match.name, at=at)
                    yield from _level(factor, level, place, ICL_IT, measure.heading, match.name, VALUE, value)
                    changed = case.effect(factor, level, measure, QUESTION, match.name)
                    yield from _level(factor, level, place, ICL_IT, measure.heading, match.name, EFFECT, changed)


def _level_answers(case: Case) -> Iterator[Row]:
    for factor in case.results.factors:
        for place, level in enumerate(case.levels(factor)):
            for measure, arm in product(HOW_WELL, (ANCHOR, *QUESTION)):
                value = case.of(measure, arm, at=(factor, level))
                value = case.of(measure, arm) if value.mean is None and arm is ANCHOR else value
                yield from _level(factor, level, place, arm.heading, measure.heading, OWN.name, VALUE, value)


def _level(factor: str, level: str, place: int, of: str, measure: str, match: str, what: str, one: Estimate) -> Any:
    if one.mean is not None:
        yield factor, level, place, of, measure, match, what, *_ends(one)


def moments(factors: Sequence[str]) -> list[str]:
    """Those factors whose levels are moments of one tuning."""
    return [factor.name for factor in FACTORS if factor.changes == MOMENT and factor.name in factors]


def _path(case: Case) -> Iterator[Row]:
    """Similarity with its controls beside how far the tuned arm had moved by then."""
    tuned = QUESTION[1]
    for factor in moments(case.results.factors):
        for place, level in enumerate(case.levels(factor)):
            at = (factor, level)
            moved = case.of(MOVEMENT, tuned, at=at).mean
            for match in LEVEL_MATCHES[:3]:
                one = case.of(HEADLINE, *QUESTION, match=match.name, at=at)
                if moved is not None and one.mean is not None:
                    yield level, place, HEADLINE.heading, match.name, moved, *_ends(one)


def _patches(case: Case) -> Iterator[Row]:
    for arm in ARMS:
        for measure in PATCH_MEASURES:
            for patch in PATCHES:
                for row in _over_layers(case, measure.name, (ANCHOR, arm), patch.name, measure.heading):
                    yield arm.heading, *row[1:]


def _answers(case: Case) -> Iterator[Row]:
    of: list[tuple[Any, tuple[Arm, ...]]] = [(measure, (arm,)) for measure in BEHAVIOURS for arm in ARMS]
    of += [(measure, arms) for measure in ACCORDS for arms in ((ANCHOR, QUESTION[0]), (ANCHOR, QUESTION[1]), QUESTION)]
    for measure, arms in of:
        if (found := case.of(measure, *arms)).mean is not None:
            yield together(*arms), measure.heading, *_ends(found)


BANDED = (*ENDS, "band_low", "band_high")
LAYERED = ("of", "measure", "match", "layer", "above")  # `above`: layers between it and the last
SHAPES: tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...] = (
    ("states", LAYERED, BANDED),
    ("levels", ("factor", "level", "place", "of", "measure", "match", "what"), ENDS),
    ("path", ("level", "place", "measure", "match"), ("moved_by", *ENDS)),
    ("patches", LAYERED, BANDED),
    ("answers", ("of", "measure"), ENDS),
    ("tuning", ("draw", "step"), ("mean",)),
)
FILLS: tuple[tuple[str, str, Make], ...] = (
    ("parts over layers", "states", _parts),
    (f"{HEADLINE.heading} over layers", "states", _headline),
    ("answers", "answers", _answers),
    ("scores of answers over levels", "levels", _level_answers),
    (f"{HEADLINE.heading} over levels", "levels", lambda case: _levels(case, [HEADLINE])),
    ("the tuning path", "path", _path),
    ("similarity to the anchor over layers", "states", _against_anchor),
    ("patched runs", "patches", _patches),
    ("other measures over layers", "states", _other_measures),
    ("other measures over levels", "levels", lambda c: _levels(c, [m for m in SIMILARITIES if m is not HEADLINE])),
)
