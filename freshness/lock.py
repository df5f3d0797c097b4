"""dvc.lock: what it says of each stage, and written as DVC would where DVC is not installed."""

import json
import os
from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from freshness import sources
from freshness.cached import object_path
from freshness.contents import folder_digest

LOCK = Path("dvc.lock")
DESCRIBED = Path("dvc.yaml")
PARAMS = "params.yaml"


def read(path: Path) -> dict[str, Any]:
    """A YAML file's object, as DVC reads it; an empty one where it is not whole, so that it counts as different."""
    try:
        content = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8-sig"))
    except (OSError, YAMLError):
        return {}
    return content if isinstance(content, dict) else {}


def said() -> dict[str, Any]:
    """Stage -> what dvc.lock says of it: its command, MD5 of each file or folder that it needs or makes, settings."""
    return {
        stage: {
            "cmd": entry.get("cmd"),
            "deps": {dep["path"]: dep.get("md5") for dep in entry.get("deps", [])},
            "params": entry.get("params", {}).get(PARAMS, {}),
            "outs": {out["path"]: out.get("md5") for out in entry.get("outs", [])},
        }
        for stage, entry in read(LOCK).get("stages", {}).items()
    }


def files_named(cache: Path) -> dict[str, str]:
    """Path -> MD5, of every file in the folders that dvc.lock names, of those whose list the cache has."""
    folders = {path: object_path(cache, str(md5)) for entry in said().values() for path, md5 in entry["outs"].items()}
    lists = {path: json.loads(listed.read_bytes()) for path, listed in folders.items() if listed.is_file()}
    return {f"{path}/{row['relpath']}": row["md5"] for path, rows in lists.items() for row in rows}


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
