"""Dumped states on disk: a row per (condition, level, draw, query), a row group per (condition, level, draw)."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from workflow_scripts.lib.hidden_states import LastToken
from workflow_scripts.lib.prompts import ids_digest
from workflow_scripts.lib.tables import origin_metadata, whole


@dataclass(frozen=True)
class Arm:
    """What one row group holds: a condition (lib/dumps.py lists them), and for ICL and IT the draw it was made with."""

    condition: str
    level: str | None = None
    draw: int | None = None
    demo_set: str | None = None
    demonstration_tokens: str | None = None


@dataclass(frozen=True)
class Asked:
    """The queries of a row group: their ids, prompts as token ids, gold labels, and how the last token reads."""

    queries: Sequence[str]
    prompts: Sequence[Sequence[int]]
    labels: Sequence[int]
    label_tokens: Sequence[int]
    tokens: Sequence[str]


class StateWriter:
    """Appends row groups to a Parquet file; the schema is that of the first one."""

    def __init__(self, path: Path, origin: dict[str, Any]) -> None:
        self.path, self.origin = path, origin
        self.writer: pq.ParquetWriter | None = None

    def write(self, arm: Arm, asked: Asked, read: LastToken) -> None:
        """Append the row group of one arm, its rows in the order of the queries."""
        table = _table(arm, asked, read)
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
            schema.with_metadata(origin_metadata(self.origin)),
            compression="zstd",
            # Dictionaries make floats larger than raw and slow to write; splitting their bytes lets zstd find order.
            use_dictionary=[name for name in schema.names if name not in floats],
            use_byte_stream_split=[f"{name}.list.element" for name in floats],
        )


@contextmanager
def state_writer(target: Path, origin: dict[str, Any]) -> Iterator[StateWriter]:
    """A StateWriter whose file becomes `target` when the block ends well."""
    with whole(target) as temporary:
        writer = StateWriter(temporary, origin)
        try:
            yield writer
        finally:
            writer.close()


def _table(arm: Arm, asked: Asked, read: LastToken) -> pa.Table:
    count = len(asked.queries)
    columns = {
        "condition": pa.array([arm.condition] * count, pa.string()),
        "level": pa.array([arm.level] * count, pa.string()),
        "draw": pa.array([arm.draw] * count, pa.int32()),
        "demo_set": pa.array([arm.demo_set] * count, pa.string()),
        "demonstration_tokens": pa.array([arm.demonstration_tokens] * count, pa.string()),
        "query": pa.array(asked.queries, pa.string()),
        "label": pa.array(asked.labels, pa.int32()),
        "label_token_id": pa.array(asked.label_tokens, pa.int32()),
        "prompt_tokens": pa.array([ids_digest(ids) for ids in asked.prompts], pa.string()),
        "token_id": pa.array([ids[-1] for ids in asked.prompts], pa.int32()),
        "token": pa.array(asked.tokens, pa.string()),
        "top_token_id": pa.array(read.top_token.numpy(), pa.int32()),
        "label_log_probs": _vectors(read.label_log_probs.numpy()),
    }
    states = {f"layer_{i}": _vectors(read.states[:, i].numpy()) for i in range(read.states.shape[1])}
    return pa.table({**columns, **states})


def _vectors(rows: np.ndarray) -> pa.FixedSizeListArray:
    flat = np.ascontiguousarray(rows, dtype=np.float32).reshape(-1)
    return pa.FixedSizeListArray.from_arrays(pa.array(flat), rows.shape[1])
