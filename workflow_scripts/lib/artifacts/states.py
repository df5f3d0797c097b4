"""States on disk: a Parquet file for each arm of a setting, a row group for each set, a row for each query.

Arms that no set changes (the anchor) have one row group, whose set is null. All that is known of the format is here:
schema, writer, reader, and what a reader checks before anything is measured.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from workflow_scripts.lib.artifacts.tables import ArtifactError, origin_metadata, readable, whole

COLUMNS = {
    "arm": pa.string(),
    "set": pa.string(),
    "demonstration_tokens": pa.string(),
    "query": pa.string(),
    "label": pa.int32(),
    "label_token_id": pa.int32(),
    "prompt_tokens": pa.string(),
    "token_id": pa.int32(),
    "token": pa.string(),
    "top_token_id": pa.int32(),
}
VECTORS, LAYER = "label_log_probs", "layer_"
OF_LABELS = {"open_label": pa.int32()}
OF_TEXTS = {
    "answer": pa.string(),
    "answer_tokens": pa.int32(),
    "answer_log_prob": pa.float32(),
    "written": pa.string(),
}
UNEMBEDDING = b"label_unembedding"


class Given(NamedTuple):
    """What the rows of a row group share: the arm, the set that it was given, a digest of the set's token ids."""

    arm: str
    set: str | None = None
    demonstration_tokens: str | None = None

    def __str__(self) -> str:
        """The row group as errors name it."""
        return self.arm if self.set is None else f"{self.arm}, set {self.set}"


@dataclass(frozen=True)
class Asked:
    """The queries of a row group: ids, gold labels and their first tokens, digests of prompts, the states' tokens.

    Labels of a generation task are numbers of the answers.
    """

    queries: Sequence[str]
    labels: Sequence[int]
    label_tokens: Sequence[int]
    prompts: Sequence[str]
    last_ids: Sequence[int]
    last_tokens: Sequence[str]


@dataclass(frozen=True)
class OfLabels:
    """Answers of a label set: log-probabilities (queries, labels), the label that would be written, -1 for none."""

    log_probs: np.ndarray
    written: np.ndarray

    def columns(self) -> dict[str, pa.Array]:
        """As files have them."""
        log_probs = self.log_probs.astype(np.float32)
        return {**_typed(OF_LABELS, {"open_label": self.written}), VECTORS: _vectors(log_probs)}


@dataclass(frozen=True)
class OfTexts:
    """Answers of a generation task (queries): the data set's, its tokens, their log-probability; the greedy answer.

    That is null where none was written.
    """

    answers: Sequence[str]
    tokens: Sequence[int]
    log_probs: np.ndarray
    written: Sequence[str | None]

    def columns(self) -> dict[str, pa.Array]:
        """As files have them."""
        values = (self.answers, self.tokens, self.log_probs, self.written)
        return _typed(OF_TEXTS, dict(zip(OF_TEXTS, values, strict=True)))


@dataclass(frozen=True)
class Answered:
    """What was read: states (queries, layers, d), the likeliest token (queries), and what the model answers.

    States are written in the precision that they are given in; `layers` are their numbers, None for all from 0 on.
    """

    states: np.ndarray
    top_tokens: np.ndarray
    answers: OfLabels | OfTexts
    layers: Sequence[int] | None = None


class StateWriter:
    """Appends row groups to a Parquet file; how wide vectors are is said by the first one."""

    def __init__(self, path: Path, metadata: dict[bytes, bytes]) -> None:
        self.path, self.metadata = path, metadata
        self.writer: pq.ParquetWriter | None = None

    def write(self, given: Given, asked: Asked, answered: Answered) -> None:
        """Append a row group, its rows in the order of the queries."""
        table = _table(given, asked, answered)
        if self.writer is None:
            self.writer = self._open(table.schema)
        self.writer.write_table(table, row_group_size=max(len(table), 1))

    def close(self) -> None:
        """Write the file's footer."""
        if self.writer is not None:
            self.writer.close()

    def _open(self, schema: pa.Schema) -> pq.ParquetWriter:
        floats = [field.name for field in schema if pa.types.is_fixed_size_list(field.type)]
        return pq.ParquetWriter(
            self.path,
            schema.with_metadata(self.metadata),
            compression="zstd",
            # Dictionaries make floats larger than raw and slow to write; splitting their bytes lets zstd find order.
            use_dictionary=[
                field.name for field in schema if not pa.types.is_floating(field.type) and field.name not in floats
            ],
            use_byte_stream_split=[f"{name}.list.element" for name in floats],
        )


@contextmanager
def state_writer(target: Path, origin: dict[str, Any], unembedding: np.ndarray | None) -> Iterator[StateWriter]:
    """A StateWriter whose file becomes `target` when the block ends well.

    `unembedding` (labels, d): what the model multiplies the last state with for the first token of each label; None
    where there are no labels.
    """
    vectors = {} if unembedding is None else {UNEMBEDDING: unembedding.astype("<f4").tobytes()}
    with whole(target) as temporary:
        writer = StateWriter(temporary, origin_metadata(origin) | vectors)
        try:
            yield writer
        finally:
            writer.close()


def _table(given: Given, asked: Asked, answered: Answered) -> pa.Table:
    count = len(asked.queries)
    values: dict[str, Any] = {name: [value] * count for name, value in given._asdict().items()}
    values |= {
        "query": asked.queries,
        "label": asked.labels,
        "label_token_id": asked.label_tokens,
        "prompt_tokens": asked.prompts,
        "token_id": asked.last_ids,
        "token": asked.last_tokens,
        "top_token_id": answered.top_tokens,
    }
    numbers = range(answered.states.shape[1]) if answered.layers is None else answered.layers
    states = {f"{LAYER}{number}": _vectors(answered.states[:, i]) for i, number in enumerate(numbers)}
    return pa.table({**_typed(COLUMNS, values), **answered.answers.columns(), **states})


def _typed(types: dict[str, pa.DataType], values: dict[str, Any]) -> dict[str, pa.Array]:
    return {name: pa.array(values[name], kind) for name, kind in types.items()}


def _vectors(rows: np.ndarray) -> pa.FixedSizeListArray:
    flat = np.ascontiguousarray(rows, dtype=np.float16 if rows.dtype == np.float16 else np.float32).reshape(-1)
    return pa.FixedSizeListArray.from_arrays(pa.array(flat), rows.shape[1])


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
            return self._file.read_row_group(row_group, columns=names)

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

    def label_unembedding(self) -> np.ndarray | None:
        """What the model multiplies the last state with for the first token of each label, (labels, d) float32.

        None where there are no labels.
        """
        if not self.of_labels:
            return None
        labels = self._file.schema_arrow.field(VECTORS).type.list_size
        return np.frombuffer(self._file.schema_arrow.metadata[UNEMBEDDING], "<f4").reshape(labels, -1)


@contextmanager
def open_states(path: Path) -> Iterator[StateFile]:
    """Open a file of states; ArtifactError where it is missing or damaged."""
    with readable(path):
        file = pq.ParquetFile(path)
    with file:
        yield StateFile(file, path)
