"""What recipes have given before: an index beside the objects in DVC's cache, and artifacts brought back through it.

`<cache>/recipes/ab/abcd...-<digest>.json` is what was sealed, by the name of the recipe; `files/md5/` beside it has the
bytes, under DVC's names. So clones that share a cache share this, too, and what each of them made by one recipe stands
beside what others made. `dvc gc` leaves it alone: an entry whose bytes are gone brings nothing back.
"""

import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from freshness import configured, links
from freshness.contents import PARTS, digest, files_of, load, load_sealed, md5, write


class Cache(NamedTuple):
    """Where DVC keeps its cache, and what its configuration says.

    `links`: those of `cache.type`; nothing where it is DVC's own choice. `shared`: whether a group writes to it.
    """

    folder: Path
    links: list[str]
    shared: bool = False

    @property
    def hard(self) -> bool:
        """Whether an artifact and its object may be one file."""
        return links.HARD in self.links


def cache_dir() -> Path:
    """Where DVC keeps its cache."""
    return cache().folder


def cache() -> Cache:
    """DVC's cache, as its configuration has it now."""
    said = configured.settings()
    folder = configured.path_of(said["cache.dir"]) if "cache.dir" in said else Path(".dvc/cache").absolute()
    kinds = said["cache.type"].value.split(",") if "cache.type" in said else []
    shared = "cache.shared" in said and said["cache.shared"].value == "group"
    return Cache(folder, [kind for one in kinds if (kind := one.strip("[]'\" "))], shared)


def object_path(cache: Path, md5: str) -> Path:
    """Where DVC's cache has the bytes of that MD5."""
    return cache / "files" / "md5" / md5[:2] / md5[2:]


def remember(cache: Path, name: str, sealed: dict[str, Any], *, again: bool = True) -> None:
    """Note what a recipe gave. Without a word where the cache cannot be written: it is a help, not a record.

    `again`: as the newest, also if it is noted already.
    """
    entry = cache / "recipes" / name[:2] / f"{name}-{digest(sealed)}.json"
    with suppress(OSError):
        if load(entry) != sealed or (again and not _renewed(entry)):
            make_folder(cache, entry.parent)
            write(entry, sealed, mode=stat.S_IMODE(cache.stat().st_mode) & 0o666)


def _renewed(entry: Path) -> bool:
    """Date a note now; another user's has to be written anew."""
    with suppress(OSError):
        os.utime(entry)
        return True
    return False


def make_folder(cache: Path, folder: Path) -> None:
    """Make a folder in the cache that whoever may write to the cache may write to, whatever the umask: its group."""
    if folder == cache:
        cache.mkdir(parents=True, exist_ok=True)
    elif not folder.is_dir():
        make_folder(cache, folder.parent)
        with suppress(FileExistsError):  # of another job
            folder.mkdir()
            folder.chmod(stat.S_IMODE(cache.stat().st_mode))


def remembered(cache: Path) -> dict[str, list[Path]]:
    """Name of a recipe -> entries of what it gave: one look at an index that others may have filled, too."""
    entries: dict[str, list[Path]] = {}
    for entry in sorted((cache / "recipes").glob("*/*-*.json")):
        entries.setdefault(entry.name.partition("-")[0], []).append(entry)
    return entries


def recalled(cache: Path, name: str, entries: dict[str, list[Path]]) -> Iterator[dict[str, Any]]:
    """What a recipe gave, if the cache still has all of it, what was noted last first; `entries` as of `remembered`."""
    for entry in sorted(entries.get(name, []), key=_noted_at, reverse=True):
        sealed = load_sealed(entry)
        if not sealed or not sealed["bytes"] or digest({part: sealed[part] for part in PARTS}) != name:
            continue
        if all(object_path(cache, md5).is_file() for md5 in sealed["bytes"].values()):
            yield sealed


def _noted_at(entry: Path) -> int:
    try:
        return entry.stat().st_mtime_ns
    except OSError:  # another clone forgot it
        return 0


def bring_back(cache: Cache, sealed: dict[str, Any], paths: dict[str, str], outputs: Iterable[str]) -> bool:
    """Put what was sealed in place of `outputs`; whole and verified, or not at all. `paths`: name -> file."""
    copies: dict[Path, Path] = {}
    try:
        for key, digest_ in sealed["bytes"].items():
            target = Path(paths[key])
            copies[target], kept = links.temporary(target), object_path(cache.folder, digest_)
            target.parent.mkdir(parents=True, exist_ok=True)
            if not _whole(kept, digest_):
                return False
            links.put(kept, copies[target], hard=cache.hard)
        wanted = set(map(str, copies))
        for old in files_of(outputs):
            if str(old) not in wanted and old not in copies.values():
                old.unlink(missing_ok=True)
        for target, copy in copies.items():
            copy.replace(target)
    finally:
        for copy in copies.values():
            copy.unlink(missing_ok=True)
    return True


def _whole(kept: Path, name: str) -> bool:
    """Whether an object has the bytes of its name; one that has others goes, as DVC would take it for what it says."""
    try:
        if md5(kept) == name:
            return True
    except OSError:  # another user's, who lets nobody read it
        return False
    with suppress(OSError):
        kept.unlink()
    return False


def forget(cache: Path, names: set[str]) -> set[str]:
    """Remove what is remembered of recipes and of all that was made from what they gave; all names that this took."""
    entries = {path: load_sealed(path) or {} for path in (cache / "recipes").glob("*/*.json")}
    taken = set(names)
    while (
        grown := {
            path.name.partition("-")[0]
            for path, sealed in entries.items()
            if any(one in taken for some in sealed.get("inputs", {}).values() for one in some)
        }
        - taken
    ):
        taken |= grown
    for path in entries:
        if path.name.partition("-")[0] in taken:
            path.unlink(missing_ok=True)
    return taken
