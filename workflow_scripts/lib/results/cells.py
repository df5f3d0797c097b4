"""The compared cells of a study: each row with its values of all draws."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa

from workflow_scripts.lib.artifacts.tables import ArtifactError, read_table
from workflow_scripts.lib.results.estimates import REFERENCE
from workflow_scripts.lib.results.statistics import Floats

SIMILARITY, PRODUCTS = "similarity.parquet", "products.parquet"
NAMES = ["model", "dataset", "factor"]
WITHIN = ["level", "layer", "one", "other", "match", "measure", "answers"]
KEYS = [*NAMES, *WITHIN]
NO_LAYER, NOTHING = -1, ""
STAND_INS = {"layer": NO_LAYER, "other": NOTHING, "match": NOTHING}  # for null, which is not equal to itself


class Named(NamedTuple):
    """A compared cell: its folder, and what its model, data set and factor are called."""

    folder: Path
    names: dict[str, str]

    @property
    def files(self) -> tuple[Path, Path]:
        """Values of measures, and products of updates."""
        return self.folder / SIMILARITY, self.folder / PRODUCTS


class Draws(NamedTuple):
    """Rows: their keys (a frame with `KEYS`), values (rows, draws) with NaN for none, and counts over draws (rows,)."""

    keys: pd.DataFrame
    by_draw: Floats
    queries: np.ndarray
    excluded: np.ndarray

    def where(self, rows: np.ndarray) -> "Draws":
        """Some of the rows, by a mask or their places."""
        return Draws(self.keys[rows] if rows.dtype == bool else self.keys.iloc[rows], *(x[rows] for x in self[1:]))


def named_cells(pattern: str, models: Sequence[str], datasets: Sequence[str], factors: Sequence[str]) -> list[Named]:
    """Folder and names of every cell, models first; a pattern and three lists, as thousands of paths are no argument.

    ArtifactError where the pattern would give several cells one folder, or a name stands twice.
    """
    lacking = [f"{{{name}}}" for name in NAMES if f"{{{name}}}" not in pattern]
    if lacking:
        raise ArtifactError(f"cells: {pattern} lacks {', '.join(lacking)}, and must give each cell a folder of its own")
    for kind, some in zip(NAMES, (models, datasets, factors), strict=True):
        if len(set(some)) < len(some):
            raise ArtifactError(f"{kind}s: {', '.join(some)} names a {kind} twice; name each once")
    grid = [dict(zip(NAMES, names, strict=True)) for names in product(models, datasets, factors)]
    return [Named(Path(_filled(pattern, names)), names) for names in grid]


def _filled(pattern: str, names: dict[str, str]) -> str:
    for name, value in names.items():
        pattern = pattern.replace(f"{{{name}}}", value)
    return pattern


def read_draws(cells: Iterable[Named], levels: Mapping[str, Sequence[str]]) -> Draws:
    """All cells' rows, in their order; ArtifactError for a level that is not one of its factor's in `levels`."""
    return joined([_read_cell(cell, levels.get(cell.names["factor"], [REFERENCE])) for cell in cells])


def joined(some: Sequence[Draws]) -> Draws:
    """Rows of several, one after the other; where one has fewer draws, the others' are missing."""
    width = max(one.by_draw.shape[1] for one in some)
    padded = [np.pad(one.by_draw, ((0, 0), (0, width - one.by_draw.shape[1])), constant_values=np.nan) for one in some]
    counts = (np.concatenate([one[i] for one in some]) for i in (2, 3))
    return Draws(pd.concat([one.keys for one in some], ignore_index=True), np.concatenate(padded), *counts)


def _read_cell(cell: Named, levels: Sequence[str]) -> Draws:
    path, _ = cell.files
    table = read_table(path, [*WITHIN, "draw", "value", "queries", "excluded"])
    rows = _without_nulls(table).to_pandas(strings_to_categorical=True)
    groups = rows.groupby(WITHIN, sort=False, observed=True)
    place, draw = groups.ngroup().to_numpy(), rows["draw"].to_numpy()
    _check_once(rows, place, draw, path)
    _check_levels(set(rows["level"]), levels, path)
    values = np.full((groups.ngroups, int(draw.max(initial=-1)) + 1), np.nan)
    values[place, draw] = rows["value"]
    _, first = np.unique(place, return_index=True)
    keys = rows[WITHIN].iloc[first].astype({name: str for name in WITHIN if name != "layer"})
    counts = (np.bincount(place, rows[name], groups.ngroups).astype(int) for name in ("queries", "excluded"))
    return Draws(keys.assign(**cell.names)[KEYS].reset_index(drop=True), values, *counts)


def _without_nulls(table: pa.Table) -> pa.Table:
    for name, stand_in in STAND_INS.items():
        filled = table[name].fill_null(pa.scalar(stand_in, table.schema.field(name).type))
        table = table.set_column(table.schema.get_field_index(name), name, filled)
    return table


def _check_once(rows: pd.DataFrame, place: np.ndarray, draw: np.ndarray, path: Path) -> None:
    twice = pd.DataFrame({"place": place, "draw": draw}).duplicated().to_numpy()
    if twice.any():
        row = rows.iloc[int(twice.argmax())]
        said = {name: row[name] for name in ("draw", *WITHIN)}
        where = ", ".join(f"{name} {value}" for name, value in said.items() if value not in (NO_LAYER, NOTHING))
        raise ArtifactError(f"{path} holds two rows for {where}; delete it and compare its cell again")


def _check_levels(found: set[str], levels: Sequence[str], path: Path) -> None:
    if found - set(levels):
        unknown = ", ".join(sorted(found - set(levels)))
        raise ArtifactError(
            f"{path} holds level {unknown} of {', '.join(levels)}; delete it and compare its cell again"
        )
