"""Reading dumps of hidden states: row group by row group and layer by layer, checked before anything is measured.

A dump is a Parquet file with a row group for each (condition, level, draw); its rows are queries, in the anchor
dump's order. The anchor has neither level nor draw. Beside it stand runs of it that should give the same states:
each query alone in its batch (in every cell's dump), and in float32 (in the anchor's dump, where its model is of lower
precision).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from workflow_scripts.lib.tables import ArtifactError, readable

Condition = Literal["anchor", "anchor_alone", "anchor_float32", "icl", "it"]


class Group(NamedTuple):
    """What the rows of a row group share; the anchor has neither level nor draw."""

    condition: Condition
    level: str | None
    draw: int | None

    def __str__(self) -> str:
        """The group as errors name it."""
        return self.condition if self.level is None else f"{self.condition}, level {self.level}, draw {self.draw}"


ANCHOR = Group("anchor", None, None)
ALONE = Group("anchor_alone", None, None)
FLOAT32 = Group("anchor_float32", None, None)


class Dump:
    """An open dump: which groups it holds, their columns, their states."""

    def __init__(self, file: pq.ParquetFile, path: Path) -> None:
        self.path = path
        self._file = file
        self.layers = sum(name.startswith("layer_") for name in file.schema_arrow.names)
        self.row_groups = self._index()

    def _index(self) -> dict[Group, int]:
        index: dict[Group, int] = {}
        for number in range(self._file.num_row_groups):
            rows = self._read(number, list(Group._fields)).group_by(list(Group._fields)).aggregate([])
            groups = [Group(**row) for row in rows.to_pylist()]
            if len(groups) != 1 or groups[0] in index:
                held = "; ".join(map(str, groups))
                raise ArtifactError(
                    f"{self.path}: row group {number} holds {held}, and a row group must be all of one condition, "
                    "level and draw; delete the file and dump it again"
                )
            index[groups[0]] = number
        return index

    def columns(self, group: Group, names: list[str]) -> pa.Table:
        """Some columns of a group, a row per query."""
        return self._read(self.row_groups[group], names)

    def _read(self, row_group: int, names: list[str]) -> pa.Table:
        with readable(self.path):
            return self._file.read_row_group(row_group, columns=names)

    def matrix(self, group: Group, name: str) -> np.ndarray:
        """A FixedSizeList column of a group as (queries, size) float32."""
        column = self.columns(group, [name])[name].combine_chunks()
        if column.null_count:
            raise ArtifactError(f"{self.path}: {name} has rows without a value ({group}); dump it again")
        return column.flatten().to_numpy(zero_copy_only=False).reshape(len(column), column.type.list_size)

    def states(self, group: Group, layer: int) -> np.ndarray:
        """States of a group at a layer, (queries, d) float32; ArtifactError names the first that is no state."""
        states = self.matrix(group, f"layer_{layer}")
        finite = np.isfinite(states).all(axis=1)
        bad = np.flatnonzero(~finite | ~states.any(axis=1))
        if bad.size:
            query = self.columns(group, ["query"])["query"][int(bad[0])]
            what = "is all zeros" if finite[bad[0]] else "holds NaN or Inf"
            raise ArtifactError(
                f"{self.path}: the state of query {query} at layer {layer} {what} ({group}; {bad.size} such queries); "
                "dump it again with `dtype: float32` for the model in params.yaml"
            )
        return states


@contextmanager
def open_dump(path: Path) -> Iterator[Dump]:
    """Open a dump; ArtifactError where it is missing or damaged."""
    with readable(path):
        file = pq.ParquetFile(path)
    with file:
        yield Dump(file, path)
