"""Reading states as states_format.py has them, checked before anything is measured."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from workflow_scripts.lib.artifacts.states_format import (
    BEFORE_NORM,
    LAYER,
    UNEMBEDDING,
    VECTORS,
    Given,
    Unembedding,
)
from workflow_scripts.lib.artifacts.tables import ArtifactError, open_parquet, readable


class StateFile:
    """An open file of states: its arm, the layers and the sets it holds, their columns, their states.

    `of_labels`: answers are those of a label set, and not of a generation task.
    """

    def __init__(self, file: pq.ParquetFile, path: Path) -> None:
        self.path = path
        self._file = file
        names = (name for name in file.schema_arrow.names if name.startswith(LAYER))
        self.layers = tuple(int(name.removeprefix(LAYER)) for name in names)
        self.of_labels = VECTORS in file.schema_arrow.names
        self._groups = self._index()
        self.arm = next(iter(self._groups)).arm
        self.sets = {given.set: given for given in self._groups}
        self._rows: dict[str | None, dict[str, int]] = {}

    def _index(self) -> dict[Given, int]:
        index: dict[Given, int] = {}
        for number in range(self._file.num_row_groups):
            rows = self._read(number, list(Given._fields)).group_by(list(Given._fields)).aggregate([])
            held = [Given(**row) for row in rows.to_pylist()]
            if len(held) != 1 or held[0].arm != next(iter(index), held[0]).arm or held[0].set in {g.set for g in index}:
                raise ArtifactError(
                    f"{self.path}: row group {number} holds {'; '.join(map(str, held))}, and a file must be all of one "
                    "arm, each row group of one set; delete the file and dump it again"
                )
            index[held[0]] = number
        if not index:
            raise ArtifactError(f"{self.path} holds no states; delete it and dump it again")
        return index

    def rows(self, set_id: str | None) -> dict[str, int]:
        """Query -> its row, of the queries asked with a set, in their order."""
        if set_id not in self._rows:
            asked = self.columns(set_id, ["query"])["query"].to_pylist()
            self._rows[set_id] = {query: row for row, query in enumerate(asked)}
        return self._rows[set_id]

    def columns(self, set_id: str | None, names: list[str]) -> pa.Table:
        """Some columns of a set, a row per query."""
        return self._read(self._number(set_id), names)

    def _number(self, set_id: str | None) -> int:
        # An arm that no set changes answers for every set.
        if None in self.sets:
            return self._groups[self.sets[None]]
        if set_id not in self.sets:
            raise ArtifactError(f"{self.path} lacks set {set_id}; delete it and dump it again")
        return self._groups[self.sets[set_id]]

    def _read(self, row_group: int, names: list[str]) -> pa.Table:
        with readable(self.path):
            return self._file.read_row_group(row_group, columns=names, use_threads=False)

    def matrix(self, set_id: str | None, name: str) -> np.ndarray:
        """A column of vectors of a set as (queries, size) float32."""
        column = self.columns(set_id, [name])[name].combine_chunks()
        if column.null_count:
            raise ArtifactError(f"{self.path}: {name} has rows without a value (set {set_id}); dump it again")
        flat = column.flatten().to_numpy(zero_copy_only=False).astype(np.float32, copy=False)
        return flat.reshape(len(column), column.type.list_size)

    def states(self, set_id: str | None, layer: int) -> np.ndarray:
        """States of a set at a layer, (queries, d) float32; ArtifactError names the first that is no state."""
        states = self.matrix(set_id, f"{LAYER}{layer}")
        finite = np.isfinite(states).all(axis=1)
        bad = np.flatnonzero(~finite | ~states.any(axis=1))
        if bad.size:
            query = self.columns(set_id, ["query"])["query"][int(bad[0])]
            what = "is all zeros" if finite[bad[0]] else "holds NaN or Inf"
            raise ArtifactError(
                f"{self.path}: the state of query {query} at layer {layer} {what} (set {set_id}; {bad.size} such "
                "queries); dump it again with `dtype: float32` for the model in params.yaml"
            )
        return states

    def label_log_probs(self, set_id: str | None) -> np.ndarray:
        """Log-probabilities of a set, (queries, labels) float32; ArtifactError where one is NaN."""
        scores = self.matrix(set_id, VECTORS)
        bad = np.isnan(scores).any(axis=1)
        if bad.any():
            query = self.columns(set_id, ["query"])["query"][int(bad.argmax())]
            raise ArtifactError(
                f"{self.path}: a label's log-probability of query {query} is NaN (set {set_id}); dump it again"
            )
        return scores

    def label_unembedding(self) -> Unembedding | None:
        """By what the model tells the first tokens of the labels; None where there are no labels."""
        if not self.of_labels:
            return None
        labels = self._file.schema_arrow.field(VECTORS).type.list_size
        held = [self._file.schema_arrow.metadata.get(key) for key in (UNEMBEDDING, BEFORE_NORM)]
        last, before = (None if rows is None else np.frombuffer(rows, "<f4").reshape(labels, -1) for rows in held)
        assert last is not None
        return Unembedding(last, before)


@contextmanager
def open_states(path: Path) -> Iterator[StateFile]:
    """Open a file of states; ArtifactError where it is missing or damaged."""
    with readable(path):
        file = open_parquet(path)
    with file:
        yield StateFile(file, path)
