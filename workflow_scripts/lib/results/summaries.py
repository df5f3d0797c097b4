"""The study in few numbers, for `dvc metrics` and `dvc plots`."""

from collections.abc import Iterator
from itertools import combinations
from typing import Any

from workflow_scripts.lib.arms import ANCHOR, QUESTION
from workflow_scripts.lib.measures import (
    COSINE,
    HEADLINE,
    HOW_WELL,
    MEASURES,
    MOVED,
    NOISE,
    SIMILARITIES,
)
from workflow_scripts.lib.measures.contrasts import (
    CONTRASTS,
    DIFFERENCES,
    OTHER_DRAW,
    OTHER_LABEL,
    OWN,
    OWN_DEMONSTRATION_EFFECT,
    Contrast,
    Difference,
)
from workflow_scripts.lib.results.estimates import ABSENT, Estimate, Part
from workflow_scripts.lib.results.results import Results

DIGITS = 6
SIGNIFICANT = 3  # of noise and p, which are small
ARMS = tuple(arm.name for arm in (ANCHOR, *QUESTION))
TOGETHER = tuple(combinations(ARMS, 2))
ASKED = TOGETHER[-1]  # the question's two arms
SCORED = dict(zip((measure.name for measure in HOW_WELL), ("right", "log-probability"), strict=True))

Cell = tuple[str, str]


def metrics_of(results: Results) -> dict[str, Any]:
    """Model -> data set -> what metrics.json says, at the reference setting and the last layer."""
    metrics: dict[str, Any] = {}
    for model, dataset in results.cells():
        metrics.setdefault(model, {})[dataset] = _cell_metrics(results, (model, dataset))
    return metrics


def headline_of(results: Results) -> dict[Cell, dict[str, float | None]]:
    """(model, data set) -> the few numbers that `dvc metrics show` prints: a row, last layer, reference setting."""
    return {cell: _headline(results, cell) for cell in results.cells()}


def _headline(results: Results, cell: Cell) -> dict[str, float | None]:
    matches: dict[str, Contrast | Difference] = {
        "own": OWN,
        "other draw": OTHER_DRAW,
        "other query": OTHER_LABEL,
        "own less other": OWN_DEMONSTRATION_EFFECT,
    }
    told = {name: results.at(*cell, HEADLINE.name, *ASKED, match=one.name) for name, one in matches.items()}
    effect = told["own less other"]
    found = {name: one.mean for name, one in told.items()} | {"from": effect.low, "to": effect.high, "p": effect.p}
    answers = {
        f"{arm} {SCORED[measure.name]}": results.at(*cell, measure.name, arm) for measure in HOW_WELL for arm in ARMS
    }
    found |= {name: one.mean for name, one in answers.items() if one.mean is not None}
    return {name: None if value is None else round(value, 3) for name, value in found.items()}


def _cell_metrics(results: Results, cell: Cell) -> dict[str, Any]:
    compared = [measure.name for measure in SIMILARITIES if ASKED in results.arms_of(*cell, measure.name)]
    return {
        "at": {**results.reference, "layer": results.layers(*cell)[-1]},
        **{measure.name: found for measure in MEASURES if (found := _of_arms(results, cell, measure.name))},
        "parts": {name: _part(part) for name, part in results.parts(*cell, *ASKED).items()},
        "contrasts": {measure: _contrasts(results, cell, measure) for measure in compared},
        "differences": {measure: _differences(results, cell, measure) for measure in compared},
        "adapters_not_moved": results.adapters_not_moved(*cell),
        "draws": max(results.at(*cell, COSINE.name, *ASKED).draws, results.at(*cell, MOVED.name, ASKED[1]).draws),
    }


def _of_arms(results: Results, cell: Cell, measure: str) -> dict[str, float | None]:
    """A measure of the anchor and the question's arms, alone or two together: those that have it."""
    rounded = _significant if measure == NOISE.name else _rounded
    return {
        label(one, other): rounded(results.at(*cell, measure, one, other).mean)
        for one, other in results.arms_of(*cell, measure)
        if {one, other} <= {*ARMS, None}
    }


def label(one: str, other: str | None = None) -> str:
    """Arms as a key of metrics.json or in a column of a plot."""
    return one if other is None else f"{one}_{other}"


def _part(part: Part) -> dict[str, Any]:
    shares = zip(("share_one", "share_other"), ASKED, strict=True)
    return {
        "contribution": _with_interval(part.contribution),
        "alignment": _with_interval(part.alignment),
        "share": {arm: _rounded(getattr(part, field).mean) for field, arm in shares},
    }


def _contrasts(results: Results, cell: Cell, measure: str) -> dict[str, float | None]:
    found = {one.name: results.at(*cell, measure, *ASKED, match=one.name) for one in CONTRASTS}
    return {name: _rounded(one.mean) for name, one in found.items() if one != ABSENT}


def _differences(results: Results, cell: Cell, measure: str) -> dict[str, Any]:
    found = {one.name: results.at(*cell, measure, *ASKED, match=one.name) for one in DIFFERENCES}
    return {name: _with_interval(one) | {"p": _significant(one.p)} for name, one in found.items() if one != ABSENT}


def _with_interval(estimate: Estimate) -> dict[str, float | None]:
    return {name: _rounded(getattr(estimate, name)) for name in ("mean", "low", "high")}


LAYERS_HEADER = ["model", "dataset", "of", "layer", COSINE.name, NOISE.name]
LEVELS_HEADER = ["factor", "level", "model", "dataset", "measure", "of", "mean", NOISE.name]


def rows_over_layers(results: Results) -> Iterator[list[Any]]:
    """Cosine and noise of every two of the anchor and the question's arms at every layer: the rows of layers.csv."""
    for cell in results.cells():
        for one, other in TOGETHER:
            for layer in results.layers(*cell):
                cosine = results.at(*cell, COSINE.name, one, other, layer=layer).mean
                noise = results.at(*cell, NOISE.name, *_of_noise(one, other), layer=layer).mean
                yield [*cell, label(one, other), layer, _rounded(cosine), _significant(noise)]


def rows_over_levels(results: Results) -> Iterator[list[Any]]:
    """Cosine and noise of every two arms at every level, last layer, and how well each arm answers: rows of levels.csv.

    That is its accuracy, or in generation the log-probability of the data set's answer: what the cell has.
    """
    measured: list[tuple[str, str, str | None]] = [(COSINE.name, *arms) for arms in TOGETHER]
    measured += [(measure.name, arm, None) for measure in HOW_WELL for arm in ARMS]
    for factor in results.factors:
        for cell in results.cells():
            for level in results.levels(*cell, factor):
                for measure, one, other in measured:
                    mean = results.at(*cell, measure, one, other, factor=factor, level=level).mean
                    if mean is None and other is None:
                        continue
                    noise = None  # an answer has none
                    if other is not None:
                        noise = results.at(*cell, NOISE.name, *_of_noise(one, other), factor=factor, level=level).mean
                    yield [factor, level, *cell, measure, label(one, other), _rounded(mean), _significant(noise)]


def _of_noise(one: str, other: str) -> tuple[str, str | None]:
    """Whose noise a similarity has in it: that of both arms' updates, or of the one that is held against the anchor."""
    return (other, None) if one == ANCHOR.name else (one, other)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, DIGITS)


def _significant(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.{SIGNIFICANT}g}")
