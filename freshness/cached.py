"""What recipes have given before: an index beside the objects in DVC's cache, and artifacts brought back through it.

`<cache>/recipes/ab/abcd...-<bytes it was made from>.json` is what was sealed; `files/md5/` beside it has the bytes,
under DVC's names. So clones that share a cache share this, too. `dvc gc` leaves it alone: an entry whose bytes are gone
brings nothing back.
"""

import os
import stat
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from freshness import links, remotes
from freshness.contents import PARTS, digest, files_of, load, load_sealed, md5, write

CONFIGS = (".dvc/config", ".dvc/config.local", "/etc/xdg/dvc/config", "~/Library/Application Support/dvc/config")
KNOWN = Path(".snakemake/cache.json")


class Cache(NamedTuple):
    """Where DVC keeps its cache, and what its configuration says.

    `links`: those of `cache.type`; nothing where it is DVC's own choice. `unverified`: remotes that are believed.
    """

    folder: Path
    links: list[str]
    unverified: Sequence[Sequence[str]] = ()


def cache_dir() -> Path:
    """Where DVC keeps its cache."""
    return cache().folder


def cache() -> Cache:
    """DVC's cache; DVC is asked again when its configuration has changed."""
    own = f"{os.environ.get('XDG_CONFIG_HOME') or '~/.config'}/dvc/config"
    paths = [Path(config).expanduser() for config in (*CONFIGS, own)]
    configured = {"here": str(Path.cwd())} | {str(path): md5(path) for path in paths if path.exists()}
    configured |= {key: value for key, value in os.environ.items() if key.startswith(("DVC_", "XDG_"))}
    known = load(KNOWN) or {}
    if known.get("configured") != configured or not {"cache", "links", "unverified"} <= known.keys():
        asked = _dvc("cache", "dir")
        if asked.returncode:
            sys.exit(f"DVC does not say where its cache is: {asked.stderr.strip()}")
        kinds = _dvc("config", "cache.type").stdout.strip()
        believed = remotes.unverified(_dvc("config", "--list", "--show-origin").stdout)
        known = {"configured": configured, "cache": asked.stdout.strip(), "links": kinds, "unverified": believed}
        write(KNOWN, known)
    links_said = [kind for part in known["links"].split(",") if (kind := part.strip("[]' "))]
    return Cache(Path(known["cache"]), links_said, known["unverified"])


def _dvc(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "dvc", *command], capture_output=True, text=True, check=False)


def object_path(cache: Path, md5: str) -> Path:
    """Where DVC's cache has the bytes of that MD5."""
    return cache / "files" / "md5" / md5[:2] / md5[2:]


def remember(cache: Path, name: str, sealed: dict[str, Any]) -> None:
    """Note what a recipe gave. Without a word where the cache cannot be written: it is a help, not a record."""
    entry = cache / "recipes" / name[:2] / f"{name}-{digest(sealed['made_from'])}.json"
    if load(entry) != sealed:
        with suppress(OSError):
            cache.mkdir(parents=True, exist_ok=True)
            for folder in (entry.parents[1], entry.parent):
                _make_as(cache, folder)
            write(entry, sealed)


def _make_as(cache: Path, folder: Path) -> None:
    """Make a folder that whoever may write to the cache may write to: the group of a shared one, whatever the umask."""
    with suppress(FileExistsError):
        folder.mkdir()
        folder.chmod(stat.S_IMODE(cache.stat().st_mode))


def recalled(cache: Path, name: str) -> Iterator[dict[str, Any]]:
    """What a recipe gave, from whatever bytes, if the cache still has all of it."""
    for entry in sorted((cache / "recipes" / name[:2]).glob(f"{name}-*.json")):
        sealed = load_sealed(entry)
        of_that_name = sealed and digest({part: sealed[part] for part in PARTS}) == name
        if of_that_name and all(object_path(cache, md5).is_file() for md5 in sealed["bytes"].values()):
            yield sealed


def bring_back(cache: Cache, sealed: dict[str, Any], paths: dict[str, str], outputs: Iterable[str]) -> bool:
    """Put what was sealed in place of `outputs`; whole and verified, or not at all. `paths`: name -> file."""
    copies: dict[Path, Path] = {}
    try:
        for key, digest_ in sealed["bytes"].items():
            target = Path(paths[key])
            copies[target], kept = links.temporary(target), object_path(cache.folder, digest_)
            target.parent.mkdir(parents=True, exist_ok=True)
            if md5(kept) != digest_:  # DVC would go on taking it for what its name says
                kept.unlink()
                return False
            links.put(kept, copies[target], hard=links.HARD in cache.links)
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


def forget(cache: Path, names: set[str]) -> set[str]:
    """Remove what is remembered of recipes and of all that was made from what they gave; all names that this took."""
    entries = {path: load(path) or {} for path in (cache / "recipes").glob("*/*.json")}
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
