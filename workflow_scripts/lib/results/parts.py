"""Parts of the update similarity with their intervals over draws, of every two arms, level and layer of the cells."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from workflow_scripts.lib.artifacts.tables import ArtifactError, read_table
from workflow_scripts.lib.measures.parts import Part, Products, parts_of
from workflow_scripts.lib.results.cells import NAMES, Named
from workflow_scripts.lib.results.jackknife import Floats, jackknife

KEYS = ["level", "layer", "one", "other"]
VALUES = [f"{name}{end}" for name in Part._fields for end in ("", "_low", "_high")]
SCHEMA = pa.schema(
    {name: pa.string() for name in (*NAMES, "level")}
    | {"layer": pa.int32(), "one": pa.string(), "other": pa.string(), "part": pa.string()}
    | dict.fromkeys(VALUES, pa.float64())
    | {"draws": pa.int32()}
)

AGAIN = "delete it and compare its cell again"

Row = dict[str, Any]


def parts_table(cells: Iterable[Named], confidence: float) -> pa.Table:
    """A row per part of every two arms: contribution, alignment and shares, and the ends of their intervals."""
    rows = (cell.names | row for cell in cells for row in _of_cell(cell.files[1], confidence))
    return pa.Table.from_pylist(list(rows), schema=SCHEMA)


def _of_cell(path: Path, confidence: float) -> Iterator[Row]:
    rows = read_table(path, [*KEYS, "draws", *Products._fields]).to_pandas().to_dict("records")
    found = {tuple(row[key] for key in KEYS): row for row in rows}
    if len(found) < len(rows):
        raise ArtifactError(f"{path} holds two rows of the same level, layer and arms; {AGAIN}")
    for (level, layer, one, other), row in found.items():
        if one != other:
            sides = [row, *(found.get((level, layer, arm, arm)) for arm in (one, other))]
            keys = {"level": level, "layer": layer, "one": one, "other": other}
            yield from (keys | values for values in _parts(_checked(sides, keys, path), confidence))


def _checked(sides: list[Row | None], keys: Row, path: Path) -> list[Products]:
    rows = [side for side in sides if side is not None]
    if len(rows) < len(sides) or any(not np.array_equal(row["draws"], rows[0]["draws"]) for row in rows):
        where = ", ".join(f"{name} {value}" for name, value in keys.items())
        raise ArtifactError(f"{path}: {where} lacks the products of each arm with itself, in the same draws; {AGAIN}")
    draws = len(rows[0]["draws"])
    return [Products(*(np.reshape(row[name], (draws, draws)) for name in Products._fields)) for row in rows]


def _parts(products: list[Products], confidence: float) -> Iterator[Row]:
    whole, draws = parts_of(*products), len(products[0].same_query)
    values = np.array([*whole.values()])
    ends = jackknife(values, _without_each(products, draws, values.shape), confidence=confidence)
    for name, numbers in zip(whole, np.stack([values, *ends], axis=-1), strict=True):
        columns = zip(VALUES, numbers.ravel().tolist(), strict=True)
        known = {column: None if np.isnan(number) else number for column, number in columns}
        yield {"part": name, "draws": draws} | known


def _without_each(products: list[Products], draws: int, shape: tuple[int, ...]) -> Floats:
    """The parts without each draw: (parts, fields, draws); NaN where there is none to leave."""
    if draws == 1:
        return np.full((*shape, 1), np.nan)
    return np.array([*parts_of(*(one.without_each_draw() for one in products)).values()])
