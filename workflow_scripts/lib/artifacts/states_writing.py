"""Writing states as states_format.py has them."""

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from workflow_scripts.lib.artifacts.states_format import (
    BEFORE_NORM,
    COLUMNS,
    LAYER,
    OF_LABELS,
    OF_TEXTS,
    UNEMBEDDING,
    VECTORS,
    Given,
    Unembedding,
)
from workflow_scripts.lib.artifacts.tables import origin_metadata, whole


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

    def __init__(self, path: Path, metadata: dict[bytes, bytes], *, beside: bool = False) -> None:
        """`beside`: in a thread of its own, one row group while the next one is computed."""
        self.path, self.metadata = path, metadata
        self.writer: pq.ParquetWriter | None = None
        self.thread = ThreadPoolExecutor(1, "states") if beside else None
        self.writing: Future[None] | None = None

    def write(self, given: Given, asked: Asked, answered: Answered) -> None:
        """Append a row group, its rows in the order of the queries; the arrays are the writer's from here on.

        What fails beside the caller is raised by the next call, or when the file is closed.
        """
        if self.thread is None:
            self._append(given, asked, answered)
            return
        self._settle()
        self.writing = self.thread.submit(self._append, given, asked, answered)

    def close(self) -> None:
        """Write the file's footer."""
        try:
            self._settle()
        finally:
            if self.thread is not None:
                self.thread.shutdown()
            if self.writer is not None:
                self.writer.close()

    def _settle(self) -> None:
        waiting, self.writing = self.writing, None
        if waiting is not None:
            waiting.result()

    def _append(self, given: Given, asked: Asked, answered: Answered) -> None:
        table = _table(given, asked, answered)
        if self.writer is None:
            self.writer = self._open(table.schema)
        self.writer.write_table(table, row_group_size=max(len(table), 1))

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
def state_writer(
    target: Path, origin: dict[str, Any], unembedding: Unembedding | None, *, beside: bool = False
) -> Iterator[StateWriter]:
    """A StateWriter whose file becomes `target` when the block ends well; `beside` the caller, if asked for.

    `unembedding`: of the labels; None where there are none.
    """
    held = dict(zip((UNEMBEDDING, BEFORE_NORM), unembedding or (), strict=False))
    vectors = {key: rows.astype("<f4").tobytes() for key, rows in held.items() if rows is not None}
    with whole(target) as temporary:
        writer = StateWriter(temporary, origin_metadata(origin) | vectors, beside=beside)
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
