"""Bytes into DVC's cache without DVC, under its names, with its modes and links."""

import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from freshness import links
from freshness.cached import Cache, make_folder, object_path
from freshness.contents import folder_digest, list_in, listed, md5
from workflow_scripts.lib.errors import StudyError

UNFINISHED = "unfinished"  # folder of a cache, for objects that are being written


class KeepError(StudyError):
    """Bytes that changed while they were put into the cache."""


def keep(cache: Cache, file: Path, name: str, *, hard: bool = False, believed: bool = True) -> None:
    """Put a file's bytes into the cache, if it has no object of that MD5.

    Args:
        cache: DVC's cache
        file: what has the bytes
        name: their MD5; KeepError where they have another by now
        hard: whether the object may be a hard link, which makes the file read-only
        believed: whether an object that is read-only is taken for what its name says, as DVC does; else it is read
    """
    kept = object_path(cache.folder, name)
    read_only = kept.is_file() and stat.S_IMODE(kept.stat().st_mode) == links.READ_ONLY
    if kept.is_file() and ((believed and read_only) or md5(kept) == name):
        return
    with _draft(cache, kept) as draft:
        links.put(file, draft, hard=hard)
        if md5(draft) != name:
            raise KeepError(f"{file} was written to while it was put into DVC's cache; run again")


def keep_folder(
    cache: Cache, folder: Path, files: Mapping[str, str], *, hard: bool = False, believed: bool = True
) -> None:
    """Put a folder into the cache: path in it -> MD5 of each of its files, and last their list."""
    for inside, name in files.items():
        keep(cache, folder / inside, name, hard=hard, believed=believed)
    name = folder_digest(files)
    kept = object_path(cache.folder, name)
    if list_in(kept, name) is None:
        with _draft(cache, kept) as draft:
            draft.write_bytes(listed(files))


@contextmanager
def _draft(cache: Cache, kept: Path) -> Iterator[Path]:
    """Where an object is written before it gets its name."""
    draft = links.temporary(cache.folder / UNFINISHED / kept.name)
    for folder in (draft.parent, kept.parent):
        make_folder(cache.folder, folder)
    try:
        yield draft
        draft.chmod(links.READ_ONLY)
        draft.replace(kept)
    finally:
        draft.unlink(missing_ok=True)
