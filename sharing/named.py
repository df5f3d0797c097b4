"""What a commit names: the outputs that its `dvc.lock` and `.dvc` files say DVC holds, by the MD5 of their bytes.

`dvc.api` tells nothing of it, and DVC's own walk over commits checks each out; the files are documented and small.
"""

import re
import subprocess
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import yaml

from freshness.contents import files_listed
from workflow_scripts.lib.errors import StudyError

HERE = None  # the working tree, in place of a commit
LOCK = "dvc.lock"
INDEX = ""  # what is staged, as git says it: `git show :dvc.lock`
FOLDER = ".dir"  # ends the MD5 of a folder, which is that of the list of its files
OBJECT = re.compile(r"[0-9a-f]{32}(\.dir)?")


class NamedError(StudyError):
    """What a commit names cannot be read."""


class Output(NamedTuple):
    """A file or folder that DVC holds: its path from the project's root, and the MD5 that names its object."""

    path: str
    md5: str

    @property
    def is_folder(self) -> bool:
        """Whether the object is a list of files."""
        return self.md5.endswith(FOLDER)


def outputs(commit: str | None = HERE) -> list[Output]:
    """Every output that a commit names, or the working tree, or the index."""
    paths = _listed(commit)
    found: list[Output] = []
    for path in paths:
        name = PurePosixPath(path)
        if name.name == LOCK:
            described = str(name.with_name("dvc.yaml"))
            own = _uncached(_parsed(described, commit)) if described in paths else {}
            for stage, entry in _parsed(path, commit).get("stages", {}).items():
                rows = [out for out in entry.get("outs", []) if out["path"] not in own.get(stage, ())]
                found += _held(rows, name.parent)
        elif name.suffix == ".dvc" and name.stem:
            found += _held(_parsed(path, commit).get("outs", []), name.parent)
    return list(dict.fromkeys(found))


def _held(rows: list[dict[str, Any]], folder: PurePosixPath) -> Iterator[Output]:
    """Outputs of a lock or `.dvc` file that is in a folder; those that DVC keeps in no cache left out."""
    for row in rows:
        if row.get("cache", True) and OBJECT.fullmatch(row.get("md5") or ""):
            yield Output(str(folder / row["path"]), row["md5"])


def _uncached(described: dict[str, Any]) -> dict[str, set[str]]:
    """Stage -> its outputs of a dvc.yaml that say `cache: false`."""
    return {
        stage: {
            path
            for kind in ("outs", "metrics", "plots")
            for out in entry.get(kind, [])
            if isinstance(out, dict)
            for path, said in out.items()
            if not (said or {}).get("cache", True)
        }
        for stage, entry in described.get("stages", {}).items()
    }


def _listed(commit: str | None) -> list[str]:
    listed = ["ls-files", "-z", "--cached"] if not commit else ["ls-tree", "-r", "-z", "--name-only", commit]
    untracked = ["--others", "--exclude-standard"] if commit is HERE else []
    return [path for path in git(*listed, *untracked).split("\0") if path.endswith((".dvc", "dvc.lock", "dvc.yaml"))]


def _parsed(path: str, commit: str | None) -> dict[str, Any]:
    try:
        text = Path(path).read_text(encoding="utf-8") if commit is HERE else git("show", f"{commit}:{path}")
        content = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        if path.endswith(LOCK) and not isinstance(content["stages"], dict):
            raise TypeError(content)
    except FileNotFoundError:  # deleted, and still in the index
        return {}
    except (yaml.YAMLError, UnicodeError, KeyError, TypeError):
        where = f" of commit {commit[:12]}" if commit else ""
        raise NamedError(f"{path}{where} is not whole: `git checkout {path}`, or `snakemake` makes it anew") from None
    return content if isinstance(content, dict) else {}


def git(*command: str) -> str:
    """What git says; NamedError with its own words where it fails."""
    done = subprocess.run(["git", *command], capture_output=True, text=True, check=False)
    if done.returncode:
        raise NamedError(f"git {command[0]} failed: {done.stderr.strip()}")
    return done.stdout


def listed(names: Iterable[str], most: int = 12) -> str:
    """Names in a row, sorted, and how many more there are."""
    ordered = sorted(names)
    return ", ".join(ordered[:most]) + (f" and {len(ordered) - most} more" if len(ordered) > most else "")


def objects(named: list[Output], read: Callable[[str], bytes]) -> dict[str, str]:
    """MD5 -> a path that has these bytes, of every object behind some outputs: files, lists of folders, their files.

    `read`: MD5 -> bytes of a folder's list.
    """
    found: dict[str, str] = {}
    for output in named:
        found.setdefault(output.md5, output.path)
        if output.is_folder:
            for inside, md5 in files_listed(read(output.md5)).items():
                found.setdefault(md5, f"{output.path}/{inside}")
    return found
