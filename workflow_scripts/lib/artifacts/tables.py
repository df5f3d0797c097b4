"""Artifacts on disk: written under a temporary name and renamed when whole, with their origin in the metadata."""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from workflow_scripts.lib.errors import StudyError

ORIGIN = b"origin"


class ArtifactError(StudyError):
    """An artifact is missing, cut short or not what its reader expects."""


@contextmanager
def whole(target: Path) -> Iterator[Path]:
    """Give a temporary path beside `target`, for a file or a folder; it becomes `target` if the block ends well.

    A job that dies leaves `target` as it was. Raises OSError as the file system does.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        _remove(target)
        temporary.replace(target)
    finally:
        _remove(temporary)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def write_table(table: pa.Table, target: Path, origin: dict[str, Any]) -> None:
    """Write a Parquet file (zstd) with `origin` in its key-value metadata."""
    with whole(target) as temporary:
        pq.write_table(with_origin(table, origin), temporary, compression="zstd")


def with_origin(table: pa.Table, origin: dict[str, Any]) -> pa.Table:
    """`table` with `origin` as its schema's only key-value metadata."""
    return table.replace_schema_metadata(origin_metadata(origin))


def origin_metadata(origin: dict[str, Any]) -> dict[bytes, bytes]:
    """Key-value metadata of a Parquet schema that holds `origin`."""
    return {ORIGIN: json.dumps(origin, sort_keys=True).encode()}


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Turn what goes wrong in reading an artifact into an ArtifactError that says what to do."""
    try:
        yield
    except FileNotFoundError:
        raise ArtifactError(f"{path} is missing; `snakemake --cores all {path}` makes it") from None
    except (pa.ArrowInvalid, OSError) as error:
        raise ArtifactError(
            f"{path} cannot be read ({error}); delete it and run `snakemake --cores all {path}` again"
        ) from None


def read_table(path: Path, columns: list[str] | None = None) -> pa.Table:
    """Read a Parquet artifact, or some of its columns; ArtifactError where it is missing or damaged, or lacks one."""
    with readable(path), open_parquet(path) as file:
        if lacking := set(columns or ()) - set(file.schema_arrow.names):
            raise pa.ArrowInvalid(f"it has no column {min(lacking)}")
        return file.read(columns, use_threads=False)


def open_parquet(source: Any) -> pq.ParquetFile:
    """A Parquet file that nobody reads ahead in; read it with `use_threads=False`, too.

    Handing local files to Arrow's threads takes longer than reading them, and a thread that waited for one was once
    never woken (glibc 2.36): its job hung.
    """
    return pq.ParquetFile(source, pre_buffer=False)


def read_origin(path: Path) -> dict[str, Any]:
    """What a Parquet artifact says of its making; ArtifactError as in read_table."""
    with readable(path):
        metadata = pq.read_schema(path).metadata or {}
    if ORIGIN not in metadata:
        raise ArtifactError(f"{path} does not say how it was made; delete it and make it again")
    return dict(json.loads(metadata[ORIGIN]))
