"""Gather the cells of the study: mean over draws and interval of every measure, and the files that DVC shows.

A draw's value is its mean over queries, the mean is over draws, and the interval is a bootstrap over draws.
"""

import csv
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from workflow_scripts.lib.command import command
from workflow_scripts.lib.lineage import lineage_of
from workflow_scripts.lib.provenance import origin
from workflow_scripts.lib.results import PAIRS, Results
from workflow_scripts.lib.statistics import cluster_bootstrap
from workflow_scripts.lib.summaries import LAYERS_HEADER, LEVELS_HEADER, metrics_of, over_layers, over_levels
from workflow_scripts.lib.tables import ArtifactError, read_table, whole, write_table

KEYS = ["model", "dataset", "factor", "level", "layer", "pair", "measure"]

SCHEMA = pa.schema(
    [(name, pa.int32() if name == "layer" else pa.string()) for name in KEYS]
    + [(name, pa.float64()) for name in ("mean", "low", "high")]
    + [(name, pa.int32()) for name in ("draws", "queries", "excluded")]
)


def aggregate_similarity(
    cells: list[Path],
    *,
    reference: dict[str, str],
    confidence: float,
    resamples: int,
    seed: int,
    similarity: Path,
    metrics: Path,
    layers: Path,
    levels: Path,
) -> None:
    """Write the study's estimates; ArtifactError where cells hold the same thing twice.

    Args:
        cells: the compared cells, in the order in which the report shows models, data sets and factors
        reference: factor -> its reference level
        confidence: of the intervals, such as 0.95
        resamples: of the bootstrap
        seed: of the bootstrap
        similarity: where to write every estimate
        metrics: where to write those at the reference setting and the last layer, as JSON
        layers: where to write cosine over layers, as CSV
        levels: where to write cosine and accuracy over levels, as CSV
    """
    rows = pd.concat([read_table(path).to_pandas() for path in cells], ignore_index=True)
    _check_once(rows)
    estimates = _estimates(pd.concat([rows, _margins(rows)]), confidence, resamples, seed)
    table = pa.Table.from_pandas(estimates, schema=SCHEMA, preserve_index=False)
    settings = {"reference": reference, "confidence": confidence, "resamples": resamples, "seed": seed}
    made = origin("aggregate_similarity", ("numpy", "pandas", "pyarrow", "scipy"), **settings)
    made["lineage"] = lineage_of(cells)
    write_table(table, similarity, made)
    results = Results(table, reference)
    with whole(metrics) as path:
        path.write_text(json.dumps(metrics_of(results), indent=2, sort_keys=True) + "\n", encoding="utf-8")
    _write_csv(layers, LAYERS_HEADER, over_layers(results))
    _write_csv(levels, LEVELS_HEADER, over_levels(results))


def _check_once(rows: pd.DataFrame) -> None:
    twice = rows[rows.duplicated([*KEYS, "draw"])]
    if len(twice):
        where = ", ".join(f"{name} {twice.iloc[0][name]}" for name in ("model", "dataset", "factor", "level", "draw"))
        raise ArtifactError(f"two cells hold {where}; name each (model, dataset, factor) once")


def _margins(rows: pd.DataFrame) -> pd.DataFrame:
    """Per draw, by how much the ICL-IT cosine is above the larger anchor cosine: paired, unlike two intervals."""
    by_pair = {pair: rows[(rows["measure"] == "cosine") & (rows["pair"] == pair)] for pair in PAIRS}
    on = [*(key for key in KEYS if key != "pair"), "draw"]
    merged = by_pair["icl-it"]
    for pair in ("anchor-icl", "anchor-it"):
        merged = merged.merge(by_pair[pair][[*on, "value"]].rename(columns={"value": pair}), on=on)
    larger = np.maximum(merged["anchor-icl"], merged["anchor-it"])
    return merged[rows.columns].assign(value=merged["value"] - larger, measure="margin")


def _estimates(rows: pd.DataFrame, confidence: float, resamples: int, seed: int) -> pd.DataFrame:
    groups = rows.groupby(KEYS, sort=False, dropna=False)
    values = np.full((groups.ngroups, int(rows["draw"].max()) + 1), np.nan)
    values[groups.ngroup(), rows["draw"]] = rows["value"]
    interval = cluster_bootstrap(values, confidence=confidence, resamples=resamples, seed=seed)
    estimates = groups[["queries", "excluded"]].sum().reset_index().assign(**interval._asdict())
    # The anchor has no demonstrations: equal values in every draw are no evidence of a narrow interval.
    estimates.loc[estimates["pair"] == "anchor", ["low", "high"]] = np.nan
    return estimates[SCHEMA.names]


def _write_csv(target: Path, header: list[str], rows: Iterable[list[Any]]) -> None:
    with whole(target) as path, path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerows([header, *rows])


if __name__ == "__main__":
    command(aggregate_similarity)
