"""Which bytes files hold. The standard library only, so that no job waits for it."""

import hashlib
import json
import os
import re
import sys
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

SEEN = Path(".snakemake/seen")
PLANNED = Path(".snakemake/plan")  # what each job of the study is to make (planned.py)
PARTS = ("code", "libraries", "params", "inputs")  # of a recipe; what is sealed holds more
# What is sealed of a job holds texts by name, or lists of such.
TEXTS, LISTS = ("bytes", "code", "libraries", "accepted"), ("inputs", "made_from")
COARSE = 5  # CLOCK_REALTIME_COARSE of linux/time.h
MD5 = re.compile(r"[0-9a-f]{32}")
IGNORED = {".git", ".hg", ".dvc"}  # what DVC leaves out of a folder
OURS = {".snakemake_timestamp"}  # Snakemake's mark in a folder that a rule makes

Identity = list[int]


def files_of(paths: Iterable[str]) -> list[Path]:
    """Every file among some paths, and inside those that are folders, sorted."""
    files = []
    for path in map(Path, paths):
        inside = (Path(folder, name) for folder, _, names in os.walk(path) for name in names)
        files += [file for file in inside if file.name not in OURS] if path.is_dir() else [path]
    return sorted(files)


def files_in(path: str) -> list[Path]:
    """Files of a folder, or the file that a path is, as DVC would list them."""
    return [file for file in files_of([path]) if not IGNORED & set(file.relative_to(path).parts)]


def md5(path: Path) -> str:
    """MD5 of a file's bytes: DVC's name for it."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "md5").hexdigest()


def contents(paths: Iterable[str]) -> dict[str, str]:
    """File -> MD5 of its bytes. Files that are as they were last seen here (size, times, inode) are not read again."""
    paths = list(paths)
    memory = SEEN / f"{digest(paths)}.json"
    seen = load(memory) or {}
    now = {str(path): identity(path) for path in files_of(paths) if path.exists()}
    known = {path: _seen(path, now[path], seen.get(path)) for path in now}
    if known != seen:
        with suppress(OSError):  # of a job on another machine, whose process has the same number
            write(memory, known)
    return {path: entry["md5"] for path, entry in known.items()}


def listed(files: Mapping[str, str]) -> bytes:
    """The list of a folder's files, path inside -> MD5, which DVC keeps as an object of its own."""
    rows = [{"md5": found, "relpath": inside} for inside, found in sorted(files.items())]
    return json.dumps(rows, sort_keys=True).encode()


def files_listed(content: bytes) -> dict[str, str]:
    """Path inside a folder -> MD5, of the bytes of such a list."""
    return {row["relpath"]: row["md5"] for row in json.loads(content)}


def list_in(kept: Path, name: str) -> dict[str, str] | None:
    """The same of a list that is an object of that name; None where it is not whole."""
    try:
        content = kept.read_bytes()
        whole = hashlib.md5(content).hexdigest() == name.partition(".")[0]
        return files_listed(content) if whole else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def folder_digest(files: Mapping[str, str]) -> str:
    """What DVC calls a folder: the MD5 of that list, and a mark."""
    return hashlib.md5(listed(files)).hexdigest() + ".dir"


def _seen(path: str, now: Identity, before: Any) -> dict:
    before = before if isinstance(before, dict) and before.keys() == {"identity", "md5"} else None
    if before and before["identity"] == now:
        return before
    outlast_tick(now)
    entry = {"identity": now, "md5": md5(Path(path))}
    if before and same_to_dvc(before["identity"], now) and before["md5"] != entry["md5"]:
        # DVC would take it for the file it was, and record the old MD5 for the new bytes.
        with suppress(OSError):
            os.utime(path)
            entry["identity"] = identity(Path(path))
    return entry


def outlast_tick(now: Identity) -> None:
    """Wait until whoever writes to a file from here on gives it another time; to be called before it is read.

    Before Linux 6.13 file systems take their times from a clock that moves every few milliseconds.
    """
    if sys.platform == "linux" and now[-1] >= time.clock_gettime_ns(COARSE):
        time.sleep(time.clock_getres(COARSE))


def identity(path: Path) -> Identity:
    """Size, inode and times of a file: equal while nobody has written to it. Nothing can set the last, its ctime."""
    status = path.stat()
    return [status.st_size, status.st_ino, status.st_mtime_ns, status.st_ctime_ns]


def same_to_dvc(one: Identity, other: Identity) -> bool:
    """Whether two identities are equal but for the time that a new hard link changes, too."""
    return one[:3] == other[:3]


def load(path: Path) -> dict | None:
    """A JSON file's object, or None where there is none that is whole."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None


def load_sealed(path: Path) -> dict | None:
    """What is sealed in a file, or None where it is not whole or of another form: anybody may have written it."""
    sealed = load(path) or {}
    parts = {"accepted": {}, **sealed}
    if not all(isinstance(parts.get(part), dict) for part in (*PARTS, *TEXTS, *LISTS)):
        return None
    texts = all(_are_texts(parts[part].values()) for part in TEXTS)
    lists = all(isinstance(one, list) and _are_texts(one) for part in LISTS for one in parts[part].values())
    if not (texts and lists):
        return None
    return sealed if all(MD5.fullmatch(md5) and _stays_inside(key) for key, md5 in sealed["bytes"].items()) else None


def _are_texts(values: Iterable[Any]) -> bool:
    return all(isinstance(one, str) for one in values)


def _stays_inside(key: str) -> bool:
    return "\0" not in key and not {"", ".", ".."} & {*key.split("/")}


def text_of(value: dict, *, in_order: bool = False) -> str:
    """A value as `write` writes it; keys sorted, or in the order that they have."""
    return json.dumps(value, indent=1, sort_keys=not in_order) + "\n"


def write(path: Path, value: dict, *, in_order: bool = False, mode: int | None = None) -> None:
    """Write JSON beside its target and rename it when whole; with `mode` whatever the umask."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name[:100]}.{os.getpid()}.tmp")
    try:
        temporary.write_text(text_of(value, in_order=in_order), encoding="utf-8")
        if mode is not None:
            temporary.chmod(mode)
        temporary.replace(path)
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def digest(value: object) -> str:
    """16 hex digits of the SHA-256 of a JSON value."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]
