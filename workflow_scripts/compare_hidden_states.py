"""Compare the states and answers of the three conditions, for each level and draw of a cell.

Reads the dumps of a (model, data set) and a factor; writes a row per (level, draw, layer, pair, measure), the mean
over the queries for which the measure is defined. Rows on answers have no layer.
"""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa

from workflow_scripts.lib import similarity as measure
from workflow_scripts.lib.cells import Cell, checked_cells, repeats
from workflow_scripts.lib.command import command
from workflow_scripts.lib.dumps import ANCHOR, Dump, Group, open_dump
from workflow_scripts.lib.lineage import lineage_of
from workflow_scripts.lib.provenance import origin
from workflow_scripts.lib.tables import ArtifactError, write_table

States = tuple[np.ndarray, np.ndarray, np.ndarray]  # of anchor, ICL and IT, each (queries, d)
Row = tuple[str, int, int | None, str, str, float | None, int, int]

INT, TEXT = pa.int32(), pa.string()
SCHEMA = pa.schema(
    {"level": TEXT, "draw": INT, "layer": INT, "pair": TEXT, "measure": TEXT}
    | {"value": pa.float64(), "queries": INT, "excluded": INT}
)


def compare_hidden_states(
    anchor: Path,
    states: Path,
    tuning: Path,
    *,
    model: str,
    dataset: str,
    factor: str,
    measures: list[Literal["cosine", "update_cosine", "partial_cosine", "movement"]],
    similarity: Path,
) -> None:
    """Write the measures of one (model, dataset, factor); ArtifactError where its parts do not belong together.

    Args:
        anchor: dump of the anchor condition
        states: dump of the ICL and IT conditions, of all levels and draws
        tuning: what the adapters were tuned on, and whether they moved
        model: name of the model, for the rows
        dataset: name of the data set, for the rows
        factor: name of the factor, for the rows
        measures: measures on states; those on answers and the noise are always made
        similarity: where to write
    """
    with ExitStack() as files:
        base, arms = (files.enter_context(open_dump(path)) for path in (anchor, states))
        cells = checked_cells(base, arms, tuning)
        rows = {cell: [_moved(cell), *_on_answers(cell, base, arms)] for cell in cells}
        for layer in range(base.layers):
            h_a = base.states(ANCHOR, layer).astype(np.float64)
            noise = measure.noise_norm(h_a, [dump.states(group, layer) for dump, group in repeats(base, arms)])
            for cell in cells:
                h_i, h_t = (arms.states(group, layer).astype(np.float64) for group in (cell.icl, cell.it))
                rows[cell] += _on_states(cell, layer, (h_a, h_i, h_t), list(measures))
                rows[cell] += _of_noise(cell, layer, (h_a, h_i, h_t), noise)
    names = {"model": model, "dataset": dataset, "factor": factor}
    made = origin("compare_hidden_states", ("numpy", "pyarrow"), measures=measures, **names)
    made["lineage"] = lineage_of([anchor, states, tuning])
    write_table(_table([row for cell in cells for row in rows[cell]], names), similarity, made)


def _on_states(cell: Cell, layer: int, states: States, measures: list[str]) -> Iterator[Row]:
    h_a, h_i, h_t = states
    if "cosine" in measures:
        yield _row(cell, layer, "anchor-icl", "cosine", measure.cosine(h_a, h_i))
        yield _row(cell, layer, "anchor-it", "cosine", measure.cosine(h_a, h_t))
        yield _row(cell, layer, "icl-it", "cosine", measure.cosine(h_i, h_t))
    if "update_cosine" in measures:
        yield _row(cell, layer, "icl-it", "update_cosine", measure.update_cosine(h_a, h_i, h_t))
    if "partial_cosine" in measures:
        yield _row(cell, layer, "icl-it", "partial_cosine", measure.partial_cosine(h_a, h_i, h_t))
    if "movement" in measures:
        yield _row(cell, layer, "anchor-icl", "movement", measure.movement(h_a, h_i))
        yield _row(cell, layer, "anchor-it", "movement", measure.movement(h_a, h_t))


def _of_noise(cell: Cell, layer: int, states: States, noise: np.ndarray) -> Iterator[Row]:
    h_a, h_i, h_t = states
    icl, it = measure.noise_share(noise, h_a, h_i), measure.noise_share(noise, h_a, h_t)
    yield _row(cell, layer, "anchor-icl", "noise", icl)
    yield _row(cell, layer, "anchor-it", "noise", it)
    yield _row(cell, layer, "icl-it", "noise", np.minimum(icl * it, 1))


def _on_answers(cell: Cell, base: Dump, arms: Dump) -> Iterator[Row]:
    groups = {"anchor": (base, ANCHOR), "icl": (arms, cell.icl), "it": (arms, cell.it)}
    scores = {name: _label_log_probs(*where) for name, where in groups.items()}
    for name, (dump, group) in groups.items():
        ids = dump.columns(group, ["label", "top_token_id", "label_token_id"])
        yield _row(cell, None, name, "accuracy", measure.accuracy(scores[name], ids["label"]))
        right = measure.open_accuracy(ids["top_token_id"], ids["label_token_id"])
        yield _row(cell, None, name, "open_accuracy", right)
    for one, other in (("anchor", "icl"), ("anchor", "it"), ("icl", "it")):
        yield _row(cell, None, f"{one}-{other}", "agreement", measure.agreement(scores[one], scores[other]))


def _label_log_probs(dump: Dump, group: Group) -> np.ndarray:
    scores = dump.matrix(group, "label_log_probs")
    if np.isnan(scores).any():
        query = dump.columns(group, ["query"])["query"][int(np.isnan(scores).any(axis=1).argmax())]
        raise ArtifactError(f"{dump.path}: a label's log-probability of query {query} is NaN ({group}); dump it again")
    return scores


def _moved(cell: Cell) -> Row:
    return cell.level, cell.draw, None, "it", "moved", float(cell.moved), 0, 0


def _row(cell: Cell, layer: int | None, pair: str, name: str, values: np.ndarray) -> Row:
    return cell.level, cell.draw, layer, pair, name, *measure.mean_and_counts(values)


def _table(rows: list[Row], names: dict[str, str]) -> pa.Table:
    table = pa.Table.from_pylist([dict(zip(SCHEMA.names, row, strict=True)) for row in rows], schema=SCHEMA)
    columns = {name: pa.array([value] * table.num_rows, TEXT) for name, value in names.items()}
    return pa.table(columns | {name: table[name] for name in SCHEMA.names})


if __name__ == "__main__":
    command(compare_hidden_states)
