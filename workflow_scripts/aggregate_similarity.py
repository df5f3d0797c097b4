"""Gather the cells of the study: estimates over draws with their intervals and tests, and the files that DVC shows.

A draw's value is its mean over queries, the mean is over draws, and so are intervals, bands and tests. Here names of
models and data sets become content: no artifact before says what they are called.
"""

import csv
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from workflow_scripts.lib.artifacts.provenance import origin
from workflow_scripts.lib.artifacts.tables import whole, write_table
from workflow_scripts.lib.command import command
from workflow_scripts.lib.results.cells import named_cells, read_draws
from workflow_scripts.lib.results.derived import with_differences
from workflow_scripts.lib.results.parts import parts_table
from workflow_scripts.lib.results.results import Results
from workflow_scripts.lib.results.settings import AggregateSimilarity
from workflow_scripts.lib.results.summaries import (
    LAYERS_HEADER,
    LEVELS_HEADER,
    headline_of,
    metrics_of,
    rows_over_layers,
    rows_over_levels,
)
from workflow_scripts.lib.results.tables import effects_table, similarity_table


def aggregate_similarity(
    cells: str,
    patched: str,
    *,
    models: list[str],
    datasets: list[str],
    factors: list[str],
    patched_factors: list[str],
    levels: dict[str, list[str]],
    reference: dict[str, str],
    settings: AggregateSimilarity,
    seed: int,
    similarity: Path,
    parts: Path,
    effects: Path,
    metrics: Path,
    headline: Path,
    over_layers: Path,
    over_levels: Path,
) -> None:
    """Write the study's estimates; ArtifactError where a cell is missing, named twice or not as it must be.

    Args:
        cells: path of a compared cell's folder, with {model}, {dataset} and {factor} for what it is called
        patched: the same of a patched cell's
        models: names of the models, in the order in which the report shows them
        datasets: names of the data sets, the same
        factors: names of the factors that have cells, that of the reference among them
        patched_factors: names of the factors that have patched cells
        levels: factor -> all its levels in their order, the reference's too
        reference: factor -> its level at the reference setting
        settings: confidence of intervals, such as 0.95, and resamples of the bootstrap
        seed: of resamples and of tests
        similarity: where to write every estimate
        parts: where to write the parts of the update similarity
        effects: where to write what levels change
        metrics: where to write the estimates at the reference setting and the last layer, as JSON
        headline: folder for the few that `dvc metrics show` prints, a file for each model and data set
        over_layers: where to write cosines over layers, as CSV
        over_levels: where to write cosines and accuracies over levels, as CSV
    """
    named = named_cells(cells, models, datasets, factors)
    every = [*named, *named_cells(patched, models, datasets, patched_factors)]
    draws = with_differences(read_draws(every, levels))
    tables = {
        similarity: similarity_table(draws, settings, seed),
        parts: parts_table(named, settings.confidence),
        effects: effects_table(draws, reference, settings, seed),
    }
    made = origin(levels=levels, reference=reference, settings=settings, seed=seed)
    for path, table in tables.items():
        write_table(table, path, made)
    results = Results(*tables.values(), levels=levels, reference=reference)
    with whole(metrics) as path:
        path.write_text(json.dumps(metrics_of(results), indent=2, sort_keys=True) + "\n", encoding="utf-8")
    with whole(headline) as folder:
        for (model, dataset), told in headline_of(results).items():
            file = folder / model / f"{dataset}.json"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")
    _write_csv(over_layers, LAYERS_HEADER, rows_over_layers(results))
    _write_csv(over_levels, LEVELS_HEADER, rows_over_levels(results))


def _write_csv(target: Path, header: list[str], rows: Iterable[list[Any]]) -> None:
    with whole(target) as path, path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerows([header, *rows])


if __name__ == "__main__":
    command(aggregate_similarity)
