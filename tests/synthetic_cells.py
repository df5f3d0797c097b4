"""Made-up compared cells in the columns of compare_hidden_states: all that a task with labels has."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, combinations_with_replacement
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from workflow_scripts.aggregate_similarity import aggregate_similarity
from workflow_scripts.lib.arms import ANCHOR, CHOOSABLE, named
from workflow_scripts.lib.artifacts.compared import PRODUCTS, SIMILARITY
from workflow_scripts.lib.artifacts.provenance import origin
from workflow_scripts.lib.artifacts.tables import write_table
from workflow_scripts.lib.measures import ACCORDS, ACCURACY, BEHAVIOURS, CHANGES, MOVED, NOISE, SIMILARITIES
from workflow_scripts.lib.measures.contrasts import CONTRASTS, OTHER_DRAW, OWN, RANDOM
from workflow_scripts.lib.measures.on_answers import Answers
from workflow_scripts.lib.results.estimates import REFERENCE
from workflow_scripts.lib.results.results import Results, read_results
from workflow_scripts.lib.results.settings import AggregateSimilarity

LEVELS = {"shots": ["1", "8", "16"], "labels": ["gold", "flipped"]}
SETTING = {"shots": "8", "labels": "gold"}
SETTINGS = AggregateSimilarity(confidence=0.95, resamples=200)
FILES = {
    "similarity": "similarity.parquet",
    "parts": "parts.parquet",
    "effects": "effects.parquet",
    "metrics": "metrics.json",
    "headline": "headline",
    "over_layers": "layers.csv",
    "over_levels": "levels.csv",
}
CELLS = "{model}/{dataset}/{factor}"
PATCHED = f"patched/{CELLS}"

Row = dict[str, Any]
Cell = tuple[str, str, str]  # model, data set, factor


def of_labels(measures):
    """Those of answers of a label set."""
    return [measure for measure in measures if measure.kind is Answers]


@dataclass(frozen=True)
class Made:
    """What cells come out as: over layers and levels, similarities go from 1 to these."""

    own: float = 0.85  # similarity of two arms with the same set
    anchor: float = 0.4  # of an arm with the anchor
    effect: float = 0.1  # own set less another draw's
    query: float = 0.2  # own query less another
    shared: float = 0.5  # how alike two arms' set parts are
    accuracies: tuple[float, ...] = (0.5, 0.85, 0.82, 0.86)  # anchor, ICL, IT, both; the last for further arms
    still: int = 0  # adapters that did not move
    noise: float = 2e-6
    draws: int = 10
    layers: int = 4
    queries: int = 100
    levels: Mapping[str, Sequence[str]] | None = None  # None: LEVELS
    arms: tuple[str, ...] = tuple(arm.name for arm in CHOOSABLE)

    def with_(self, **changes: Any) -> "Made":
        return replace(self, **changes)


def cells_of(model: str, dataset: str, made: Made | None = None, *, seed: int = 0) -> dict[Cell, tuple[list, list]]:
    """Cell -> rows of its two tables, for the reference and every factor of a (model, data set)."""
    made = made or Made()
    rng = np.random.default_rng([seed, sum(map(ord, f"{model}{dataset}"))])
    cells: dict[Cell, tuple[list, list]] = {}
    for factor, levels in {REFERENCE: [REFERENCE], **(LEVELS if made.levels is None else made.levels)}.items():
        others = [level for level in levels if level != SETTING.get(factor)]
        arms = [arm.name for arm in CHOOSABLE if arm.name in made.arms and (arm.everywhere or factor == REFERENCE)]
        similarity, products = [], []
        for level in others:
            strength = (levels.index(level) + 1) / len(levels) if factor != REFERENCE else 0.9
            similarity += _level(made, arms, level, strength, rng)
            products += _products(made, arms, level, strength, rng)
        cells[model, dataset, factor] = similarity, products
    return cells


def _level(made: Made, arms: Sequence[str], level: str, strength: float, rng: np.random.Generator) -> Iterator[Row]:
    for draw in range(made.draws):
        of_draw = {"level": level, "draw": draw}
        yield from (of_draw | row for row in _answers(made, arms, draw, strength, rng.normal(0, 0.04)))
        for layer in range(made.layers + 1):
            share, at = strength * layer / made.layers, of_draw | {"layer": layer}
            yield from (row | at for row in _states(made, arms, share, layer == 0, rng))


def _answers(made: Made, arms: Sequence[str], draw: int, strength: float, spread: float) -> Iterator[Row]:
    right = dict(zip(arms, [*made.accuracies, *[made.accuracies[-1]] * len(arms)], strict=False))
    for arm in arms:
        gained = right[ANCHOR.name]
        if arm != ANCHOR.name:
            gained += strength * (right[arm] - right[ANCHOR.name]) + spread
        for measure in of_labels(BEHAVIOURS):
            if arm != ANCHOR.name or not measure.of_updates:
                value = gained - 0.05 * (measure != ACCURACY)
                yield _row(None, arm, None, measure.name, value, made.queries)
    for one, other in combinations(arms, 2):
        for measure in of_labels(ACCORDS):
            if one != ANCHOR.name or not measure.of_updates:
                yield _row(None, one, other, measure.name, 0.7 + spread, made.queries)
    for arm in named(arms):
        if arm.weights:
            yield _row(None, arm.name, None, MOVED.name, float(draw >= made.still), 0)


def _states(made: Made, arms: Sequence[str], share: float, nothing: bool, rng: np.random.Generator) -> Iterator[Row]:
    def row(one: str, other: str | None, measure: str, value: float | None, **more: str) -> Row:
        queries = made.queries if value is not None else 0
        return _row(0, one, other, measure, value, queries, made.queries - queries) | more

    movers = [arm for arm in arms if arm != ANCHOR.name]
    for arm in movers:
        for change in CHANGES:
            yield row(arm, None, change.name, share * (1.1 + rng.normal(0, 0.04)))
        yield row(arm, None, NOISE.name, None if nothing else made.noise)
    for one, other in combinations(movers, 2):
        yield row(one, other, NOISE.name, None if nothing else min(made.noise**2, 1.0))
    for measure in SIMILARITIES:
        for one, other in combinations(movers if measure.of_updates else arms, 2):
            reached, spread = made.own if one != ANCHOR.name else made.anchor, rng.normal(0, 0.04)
            own = min(1 - share * (1 - reached) + spread * share, 1.0)
            if measure.of_updates:
                own = None if nothing else made.own * 0.8 + spread
            for contrast in CONTRASTS:
                if (contrast.by_query and not measure.by_query) or (contrast.of_updates and one == ANCHOR.name):
                    continue
                less = {OWN: 0.0, OTHER_DRAW: made.effect + rng.normal(0, 0.005), RANDOM: 0.6}.get(contrast, made.query)
                value = None if own is None else own - share * less
                yield row(one, other, measure.name, value, match=contrast.name)
            if measure.by_query:
                yield row(one, other, measure.name, own, answers="same")
                yield row(one, other, measure.name, None if own is None else own - 0.1, answers="different")


def _row(
    layer: int | None, one: str, other: str | None, measure: str, value: float | None, queries: int, excluded: int = 0
) -> Row:
    match = None if other is None else OWN.name
    keys = {"layer": layer, "one": one, "other": other, "match": match, "measure": measure, "answers": "all"}
    return keys | {"value": value, "queries": queries, "excluded": excluded}


def updates(made: Made, arms: int, strength: float, rng: np.random.Generator) -> list[np.ndarray]:
    """Updates of every arm (draws, queries, d): general and query parts in common, set parts as `shared` says."""
    queries, width = 6, 8
    general, query = rng.normal(size=(2, 1, queries, width))
    general, query = general.mean(axis=1, keepdims=True) * 4, query - query.mean(axis=1, keepdims=True)
    sets = rng.normal(size=(made.draws, 1, width))
    return [
        strength
        * (
            general
            + query
            + np.sqrt(made.shared) * sets
            + np.sqrt(1 - made.shared) * rng.normal(size=sets.shape)
            + 0.3 * rng.normal(size=(made.draws, queries, width))
        )
        for _ in range(arms)
    ]


def _products(made: Made, arms: Sequence[str], level: str, strength: float, rng: np.random.Generator) -> Iterator[Row]:
    movers = [arm for arm in arms if arm != ANCHOR.name]
    for layer in range(made.layers + 1):
        states = dict(zip(movers, updates(made, len(movers), strength * layer / made.layers, rng), strict=True))
        for one, other in combinations_with_replacement(movers, 2):
            yield {"level": level, "layer": layer, "one": one, "other": other} | products_row(
                states[one], states[other]
            )


def products_row(one: np.ndarray, other: np.ndarray) -> Row:
    """What products.parquet holds of two arms' updates (draws, queries, d)."""
    draws, queries, _ = one.shape
    same = np.einsum("sqd,tqd->st", one, other) / queries
    every = one.mean(axis=1) @ other.mean(axis=1).T
    matrices = {"same_query": same.ravel().tolist(), "all_queries": every.ravel().tolist()}
    return {"draws": [*range(draws)], **matrices, "queries": queries}


def write_cells(
    folder: Path, cells: Mapping[Cell, tuple[list, list]], patched: Mapping[Cell, list] | None = None
) -> None:
    """Both files of every cell, as compare_hidden_states writes them: what a cell is called is its path's to say.

    `patched` are rows as patch_hidden_states writes them.
    """
    for (model, dataset, factor), rows in (patched or {}).items():
        where = folder / PATCHED.format(model=model, dataset=dataset, factor=factor)
        write_table(pa.Table.from_pylist(rows, schema=SIMILARITY), where / "similarity.parquet", origin())
    for (model, dataset, factor), tables in cells.items():
        where = folder / CELLS.format(model=model, dataset=dataset, factor=factor)
        for name, rows, schema in zip(("similarity", "products"), tables, (SIMILARITY, PRODUCTS), strict=True):
            write_table(pa.Table.from_pylist(rows, schema=schema), where / f"{name}.parquet", origin())


def flags_of(folder: Path, cells: Mapping[Cell, tuple[list, list]], /, **changes: Any) -> dict[str, Any]:
    """What aggregate_similarity is called with to read these cells of a folder, and to write beside them."""
    models, datasets, factors = (list(dict.fromkeys(key[i] for key in cells)) for i in range(3))
    names = {"models": models, "datasets": datasets, "factors": factors}
    settings = {"levels": LEVELS, "reference": SETTING, "settings": SETTINGS, "seed": 0}
    outputs = {name: folder / file for name, file in FILES.items()}
    patterns = {"cells": f"{folder}/{CELLS}", "patched": f"{folder}/{PATCHED}", "patched_factors": []}
    return {**patterns, **names, **settings, **outputs, **changes}


def aggregated(
    folder: Path,
    cells: Mapping[Cell, tuple[list, list]],
    /,
    patched_cells: Mapping[Cell, list] | None = None,
    **changes: Any,
) -> Results:
    """The results of cells: written, aggregated and read back. `changes` are flags of aggregate_similarity."""
    write_cells(folder, cells, patched_cells)
    flags = flags_of(folder, cells, **{"patched_factors": list({key[2] for key in patched_cells or {}}), **changes})
    aggregate_similarity(**flags)
    files = (flags[name] for name in ("similarity", "parts", "effects"))
    return read_results(*files, levels=flags["levels"], reference=flags["reference"])
