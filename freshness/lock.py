"""dvc.lock: what it says of each stage, and written as DVC would where DVC is not installed."""

import os
import subprocess
from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from freshness import sources
from freshness.cached import object_path
from freshness.contents import folder_digest, list_in

LOCK = Path("dvc.lock")
DESCRIBED = Path("dvc.yaml")
PARAMS = "params.yaml"


def read(path: Path) -> dict[str, Any]:
    """A YAML file's object, as DVC reads it; an empty one where it is not whole, so that it counts as different."""
    try:
        return _parsed(path.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeError):
        return {}


def _parsed(text: str) -> dict[str, Any]:
    try:
        content = YAML(typ="safe", pure=True).load(text)
    except YAMLError:
        return {}
    return content if isinstance(content, dict) else {}


def said() -> dict[str, Any]:
    """Stage -> what dvc.lock says of it: its command, MD5 of each file or folder that it needs or makes, settings."""
    return _said(read(LOCK))


def committed() -> dict[str, Any]:
    """The same of the commit that is checked out; nothing where there is none."""
    try:
        done = subprocess.run(["git", "show", f"HEAD:./{LOCK}"], capture_output=True, check=False)
    except FileNotFoundError:  # no git: without DVC a run needs none
        return {}
    return _said(_parsed(done.stdout.decode(errors="replace")))


def _said(content: dict[str, Any]) -> dict[str, Any]:
    """What is not of dvc.lock's form is left out, and so counts as different."""
    stages = content.get("stages")
    return {
        stage: {
            "cmd": entry.get("cmd"),
            "deps": _md5s(entry.get("deps")),
            "params": params.get(PARAMS, {}) if isinstance(params := entry.get("params", {}), dict) else {},
            "outs": _md5s(entry.get("outs")),
        }
        for stage, entry in (stages.items() if isinstance(stages, dict) else ())
        if isinstance(entry, dict)
    }


def _md5s(rows: Any) -> dict[str, Any]:
    some = rows if isinstance(rows, list) else []
    return {row["path"]: row.get("md5") for row in some if isinstance(row, dict) and "path" in row}


def files_named(stages: dict[str, Any], cache: Path) -> set[str]:
    """MD5 of every file in the folders that stages name (`said`), of those whose list the cache has whole."""
    folders = {str(md5) for entry in stages.values() for md5 in entry["outs"].values()}
    lists = (list_in(object_path(cache, md5), md5) for md5 in folders)
    return {md5 for listed in lists if listed for md5 in listed.values()}


def write(folders: Mapping[str, Mapping[str, str]]) -> None:
    """Write dvc.lock from dvc.yaml, params.yaml and the files that are there.

    Args:
        folders: folder of a stage -> path in it -> MD5, of every file there
    """
    params = read(Path(PARAMS))
    outs = {folder: _folder(folder, files) for folder, files in folders.items()}
    stages = {stage: _entry(described, params, outs) for stage, described in read(DESCRIBED)["stages"].items()}
    draft = LOCK.with_name(f".{LOCK.name}.{os.getpid()}.tmp")
    try:
        with draft.open("w", encoding="utf-8") as file:
            YAML().dump({"schema": "2.0", "stages": stages}, file)
        draft.replace(LOCK)
    finally:
        draft.unlink(missing_ok=True)


def _entry(described: dict[str, Any], params: dict[str, Any], outs: dict[str, dict[str, Any]]) -> dict[str, Any]:
    entry = {
        "cmd": described["cmd"],
        "deps": [outs.get(path) or _file(path) for path in sorted(described["deps"])],
        "params": {PARAMS: {key: params.get(key) for key in sorted(described["params"])}},
        "outs": [outs[path] for out in described["outs"] for path in out],
    }
    return deepcopy(entry)  # or YAML would say what several stages have in common once, and refer to it


def _file(path: str) -> dict[str, Any]:
    return {"path": path, "hash": "md5", **(sources.digest_of(path) or {})}


def _folder(folder: str, files: Mapping[str, str]) -> dict[str, Any]:
    size = sum(Path(folder, inside).stat().st_size for inside in files)
    return {"path": folder, "hash": "md5", "md5": folder_digest(files), "size": size, "nfiles": len(files)}
