"""How artifacts share their bytes with DVC's cache: by reflinks, by hard links that are read-only, or not at all.

DVC itself takes reflinks, or copies where the file system has none. A hard link takes no second place on any file
system and is safe where nobody writes to a read-only file: who edits the artifact is refused, and who replaces it, as
all of ours do, leaves the cache alone. Nobody refuses root, so that root has copies.
"""

import fcntl
import os
import shutil
import stat
import sys
from contextlib import suppress
from pathlib import Path

from freshness import configured

READ_ONLY = 0o444
GROUP = 0o2070  # of a cache that a group writes to: its own, and that of whatever is made in it
FICLONE = 0x40049409  # of linux/fs.h
HARD = "hardlink"
CHOSEN = f"{HARD},copy"


def settle(cache: Path, said: list[str], *, shared: bool) -> None:
    """Have DVC link to its cache where that is safe and saves space, unless `cache.type` is said already.

    A cache that cannot be written to is refused: what a run makes could not be recorded at its end.
    """
    kept = temporary(cache / "links")
    try:
        make_cache(cache, shared=shared)
        kept.write_text("probe", encoding="utf-8")
        safe = not said and _safe(kept)
    except OSError as error:
        sys.exit(
            f"DVC's cache cannot be written to, so nothing is started: {cache}: {error.strerror}. "
            "Mend that, or name another folder: dvc config --local cache.dir FOLDER"
        )
    finally:
        with suppress(OSError):
            kept.unlink(missing_ok=True)
    if safe:
        sys.stderr.write(f"artifacts are read-only links into DVC's cache from here (cache.type {CHOSEN})\n")
        configured.say(configured.OF_CLONE, "cache", "type", f'"{CHOSEN}"')


def make_cache(cache: Path, *, shared: bool) -> None:
    """Make the cache's folder if it is not there; a shared one is opened to its group, and so is what is made in it."""
    cache.mkdir(parents=True, exist_ok=True)
    if shared:
        with suppress(PermissionError):  # another user's, who has to do it
            cache.chmod(stat.S_IMODE(cache.stat().st_mode) | GROUP)


def _safe(kept: Path) -> bool:
    """Whether a file of the cache can be linked to from here, cannot be cloned, and can be kept from being edited."""
    here = temporary(Path(".snakemake/links"))
    here.parent.mkdir(exist_ok=True)
    try:
        put(kept, here, hard=True)
        return here.samefile(kept) and not _writable(here)
    finally:
        here.unlink(missing_ok=True)


def _writable(file: Path) -> bool:
    with suppress(PermissionError), file.open("r+b"):
        return True
    return False


def put(source: Path, target: Path, *, hard: bool) -> None:
    """Make `target` of an object in the cache: a reflink, a hard link if such may be, or a copy."""
    for link in (_reflink, *([_hard] if hard else [])):
        with suppress(OSError):
            link(source, target)
            return
    shutil.copyfile(source, target)


def _reflink(source: Path, target: Path) -> None:
    try:
        with source.open("rb") as one, target.open("wb") as other:
            fcntl.ioctl(other, FICLONE, one.fileno())
    except OSError:
        target.unlink(missing_ok=True)
        raise


def _hard(source: Path, target: Path) -> None:
    if source.stat().st_mode & ~READ_ONLY & 0o777:  # of a colleague's object nobody else may say it, nor has to
        source.chmod(READ_ONLY)
    os.link(source, target)


def temporary(target: Path) -> Path:
    """Where a file is made before it becomes `target`."""
    return target.with_name(f".{target.name[:100]}.{os.getpid()}.tmp")
