"""What tuning did to each adapter: tuning.parquet, a row per set, beside the folders {set}/ of the adapters."""

from pathlib import Path
from typing import Any

import pyarrow as pa

from workflow_scripts.lib.artifacts.tables import read_table, write_table

TABLE = "tuning.parquet"
COLUMNS = pa.schema(
    {
        "weights": pa.string(),
        "set": pa.string(),
        "demonstration_tokens": pa.string(),
        "shots_used": pa.int32(),
        "supervised_tokens": pa.int32(),
        "seed": pa.int64(),
        "losses": pa.list_(pa.float64()),
        "norm_a": pa.float64(),
        "norm_b": pa.float64(),
        "moved": pa.bool_(),
    }
)


def write_tuning(rows: list[dict[str, Any]], folder: Path, origin: dict[str, Any]) -> None:
    """Write the table into a folder of adapters."""
    write_table(pa.Table.from_pylist(rows, schema=COLUMNS), folder / TABLE, origin)


def read_tuning(folder: Path) -> list[dict[str, Any]]:
    """The rows of a folder of adapters; ArtifactError where the table is missing or damaged."""
    return list(read_table(folder / TABLE).to_pylist())
