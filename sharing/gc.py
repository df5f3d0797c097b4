"""What DVC's cache holds that nobody needs: `make gc` shows it and what that frees, `make gc YES=1` deletes it.

`dvc gc` knows branches, tags and experiments, and neither stashes nor what a run made and did not record. Needed is
what the newest commit of every branch, tag, stash and experiment names, what is staged, and what the working tree has.
Nor does it delete what DVC had begun to put there when it was killed or the disk was full.
"""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, NamedTuple

from tqdm import tqdm

from freshness import configured, keep
from freshness.contents import contents, files_listed, load_sealed
from sharing import named
from sharing.store import Cache, NoRemoteError, lists
from startup.checks import be_alone
from workflow_scripts.lib.command import command
from workflow_scripts.lib.errors import StudyError

LOGGED = re.compile(r"refs/(.*/)?stash")  # older entries stand in the reflog alone
UNDERWAY = ("HEAD", "MERGE_HEAD", "CHERRY_PICK_HEAD", "REBASE_HEAD")
BEGUN = "*.tmp"  # as dvc_objects.fs.utils.tmp_fname calls what is not yet an object
SHOWN = 20
BLOCK = 512  # bytes of a file's st_blocks


class SharedCacheError(StudyError):
    """A cache that others may need as well."""


class Waste(NamedTuple):
    """An object that nobody needs: its file, its size, and what deleting it frees."""

    md5: str
    path: Path
    size: int
    freed: int


def gc(yes: bool = False) -> None:
    """Say what of DVC's cache nobody needs, or delete it.

    Args:
        yes: delete it
    """
    cache = Cache()
    if not cache.folder.resolve().is_relative_to(Path.cwd().resolve()):
        raise SharedCacheError(
            f"the cache {cache.folder} is not of this clone alone, and what another needs is not known here: "
            "`dvc gc --workspace --all-branches --all-tags --projects OTHER...` asks all that you name"
        )
    be_alone()
    needed = _needed(cache)
    wasted = [waste for waste in _objects(cache) if waste.md5 not in needed]
    told = _told(wasted, cache, yes)
    if yes and wasted:
        _delete(wasted, cache)
    sys.stdout.write("\n".join(told) + "\n")


def _needed(cache: Cache) -> set[str]:
    """MD5 of every object that a reference, the index or the working tree needs."""
    of_commits = {output for commit in references() for output in named.outputs(commit)}
    recorded = [*of_commits, *named.outputs(named.INDEX), *named.outputs()]
    listed = _lists(recorded, cache)
    lost = {output for output in recorded if output.is_folder and listed[output.md5] is None}
    for path in sorted({output.path for output in lost}):
        sys.stderr.write(
            f"{path}: a list of its files that some commit names is lost, so that DVC cannot bring it back\n"
        )
    known = [output for output in recorded if output not in lost]
    made = set(contents(["artifacts"]).values())  # recorded or not
    return {*named.objects(known, lambda md5: listed[md5] or b"[]"), *made}


def _lists(recorded: list[named.Output], cache: Cache) -> dict[str, bytes | None]:
    """Lists of folders' files. A remote that is there and does not answer is an error: what it knows may be needed."""
    try:
        return lists(recorded, cache)
    except NoRemoteError:
        return {output.md5: cache.read(output.md5) for output in recorded if output.is_folder}


def references() -> list[str]:
    """The commits that branches, tags, stashes, experiments and work that is under way stand at; all of a stash's."""
    rows = [line.split() for line in named.git("for-each-ref", "--format=%(objectname) %(refname)").splitlines()]
    asked = [*(commit for commit, _ in rows), *UNDERWAY]
    for _, ref in rows:
        if LOGGED.fullmatch(ref):
            for line in named.git("log", "--walk-reflogs", "--format=%H %P", ref).splitlines():
                stash, *parents = line.split()
                asked += [stash, *parents[1:]]  # the second has what was staged, the third what git did not know
    heads = named.git("worktree", "list", "--porcelain").splitlines()
    asked += [line.removeprefix("HEAD ") for line in heads if line.startswith("HEAD ")]
    return list(dict.fromkeys(commit for one in dict.fromkeys(asked) if (commit := _commit(one))))


def _commit(name: str) -> str | None:
    """The commit of a reference or tag; None for what is none, a tag of a file or a branch without commits."""
    asked = ["git", "rev-parse", "--verify", "--quiet", f"{name}^{{commit}}"]
    done = subprocess.run(asked, capture_output=True, text=True, check=False)
    return done.stdout.strip() or None


def _objects(cache: Cache) -> Iterator[Waste]:
    for path in sorted((cache.folder / "files" / "md5").glob("??/*")):
        md5 = f"{path.parent.name}{path.name}"
        if named.OBJECT.fullmatch(md5) or path.match(BEGUN):
            status = path.stat()
            # Other links to the bytes are artifacts, or files that somebody keeps: deleting one frees nothing.
            yield Waste(md5, path, status.st_size, status.st_blocks * BLOCK if status.st_nlink == 1 else 0)


def _told(wasted: list[Waste], cache: Cache, yes: bool) -> list[str]:
    if not wasted:
        return ["nothing to delete: branches, tags, stashes or the working tree need all that the cache holds"]
    owners = _owners(cache)
    sums: dict[str, list[int]] = {}
    for waste in wasted:
        unowned = "begun by DVC and never ended" if waste.path.match(BEGUN) else "recorded by no commit"
        owner = owners.get(waste.md5, unowned)
        count, size = sums.get(owner, [0, 0])
        sums[owner] = [count + 1, size + waste.size]
    lines = [f"{owner}: {count} objects, {_sized(size)}" for owner, (count, size) in sums.items()]
    more = [f"and {len(lines) - SHOWN} more of older commits"] if len(lines) > SHOWN else []
    freed = _sized(sum(waste.freed for waste in wasted))
    last = (
        f"deleted: {len(wasted)} objects, {freed} freed" if yes else f"`make gc YES=1` deletes them and frees {freed}"
    )
    return [*lines[:SHOWN], *more, last]


def _sized(size: int) -> str:
    return tqdm.format_sizeof(size, "B")


def _owners(cache: Cache) -> dict[str, str]:
    """MD5 -> the newest commit that names it, and the folder there, of all that is still known of history."""
    owners: dict[str, str] = {}
    log = named.git("log", "--all", "--date=short", "--format=%H %cd", "--", "*dvc.lock", "*.dvc").splitlines()
    for commit, date in (line.split() for line in log):
        for output in named.outputs(commit):
            owner = f"{output.path} of commit {commit[:8]} ({date})"
            listed = cache.read(output.md5) if output.is_folder else None
            inside = files_listed(listed).values() if listed is not None else ()
            for md5 in (output.md5, *inside):
                owners.setdefault(md5, owner)
    return owners


def _delete(wasted: list[Waste], cache: Cache) -> None:
    with _dvc_waiting():
        for waste in wasted:
            waste.path.unlink(missing_ok=True)
    shutil.rmtree(cache.folder / keep.UNFINISHED, ignore_errors=True)  # of a run that was killed
    notes = cache.folder / "recipes"  # what is remembered of recipes (cached.py)
    for entry in notes.glob("*/*.json"):
        sealed = load_sealed(entry)
        if sealed is None or not all(cache.path(md5).is_file() for md5 in sealed["bytes"].values()):
            entry.unlink(missing_ok=True)
    for begun in notes.glob("*/.*.tmp"):
        begun.unlink(missing_ok=True)


def _dvc_waiting() -> AbstractContextManager[Any]:
    """No DVC command is at work while this is held."""
    if not configured.dvc_installed():
        return nullcontext()
    from dvc.repo import Repo

    return Repo().lock


if __name__ == "__main__":
    command(gc)
