"""The local data and model files of a study, as DVC sees them: `sources/`, a pipeline of its own.

dvc.yaml is the same for every study. What differs, the paths, stands in `sources/dvc.yaml`: one stage depends on those
of data sets, one on those of models, and the stages of dvc.yaml depend on their outputs, `sources/datasets.json` and
`sources/models.json`. All are written at the start of every run, with the dvc.lock that DVC would write. So one
`dvc repro` is enough, whatever was edited: where a path changed, the first stage to depend on it starts for its params.
"""

import hashlib
import json
import stat
from pathlib import Path
from typing import Any

import yaml

from freshness.contents import contents, files_in, folder_digest

FOLDER = Path("sources")
KINDS = {"data_files": "datasets", "model_files": "models"}  # input of a rule -> what its files are of
HEADER = "# The local files that params.yaml names. Written by every run of Snakemake, like the files beside it.\n"
COMMAND = "snakemake --cores all all_sources"


Paths = dict[str, list[str]]  # datasets, models -> files and folders that a study names


def digests(kind: str) -> Path:
    """The output that stands for all files of data sets, or of models."""
    return FOLDER / f"{kind}.json"


def write(paths: Paths) -> None:
    """Bring `sources/` up to date with what a study names."""
    wanted = texts(paths)
    for path in behind(paths):
        if (text := wanted[path]) is None:
            path.unlink()
        else:
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")


def behind(paths: Paths) -> list[Path]:
    """Files of `sources/` that do not say what they should, in whatever layout: DVC has its own."""
    return [path for path, text in texts(paths).items() if _said(path) != (None if text is None else _parsed(text))]


def _said(path: Path) -> Any:
    return _parsed(path.read_text(encoding="utf-8")) if path.exists() else None


def _parsed(text: str) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        return text


def texts(paths: Paths) -> dict[Path, str | None]:
    """What `sources/` is to hold; None for a file that is not to be."""
    seen = {kind: {path: digest_of(path) for path in with_targets(some)} for kind, some in paths.items()}
    outs = {
        kind: _json({path: (found or {}).get("md5", "missing") for path, found in seen[kind].items()}) for kind in seen
    }
    stages = {kind: _stage(kind, list(found)) for kind, found in seen.items() if found}
    locked = {kind: _locked(kind, found, outs[kind]) for kind, found in seen.items() if found and all(found.values())}
    return {
        **{digests(kind): text for kind, text in outs.items()},
        FOLDER / "dvc.yaml": HEADER + _yaml({"stages": stages}),
        FOLDER / "dvc.lock": _yaml({"schema": "2.0", "stages": locked}) if locked else None,
    }


def _stage(kind: str, paths: list[str]) -> dict[str, Any]:
    outs: list[Any] = [{str(digests(kind)): {"cache": False}}]
    return {"cmd": COMMAND, "wdir": "..", "deps": paths, "outs": outs}


def _locked(kind: str, seen: dict[str, dict[str, Any] | None], written: str) -> dict[str, Any]:
    content = written.encode()
    out = {"path": str(digests(kind)), "hash": "md5", "md5": hashlib.md5(content).hexdigest(), "size": len(content)}
    deps = [{"path": path, "hash": "md5", **(digest or {})} for path, digest in seen.items()]
    return {"cmd": COMMAND, "deps": deps, "outs": [out]}


def _json(value: dict[str, str]) -> str:
    return json.dumps(value, indent=1, ensure_ascii=False) + "\n"


def _yaml(value: dict[str, Any]) -> str:
    return yaml.safe_dump(value, sort_keys=False, width=120, allow_unicode=True)


def with_targets(paths: list[str]) -> list[str]:
    """Paths, and where symbolic links among them or in them lead: DVC judges a link by its own time."""
    links = [file.resolve() for path in paths for file in files_in(path) if file.is_symlink()]
    here = Path.cwd()
    return sorted({*paths, *(str(file.relative_to(here) if file.is_relative_to(here) else file) for file in links)})


def digest_of(path: str) -> dict[str, Any] | None:
    """MD5, size and mode as DVC has them, of a folder that of the list of its files; None for what is not there."""
    if Path(path).is_file():
        status = Path(path).stat()
        executable = {"isexec": True} if status.st_mode & stat.S_IXUSR else {}
        return {"md5": contents([path])[path], "size": status.st_size, **executable}
    files = [file for file in files_in(path) if file.is_file()]
    if not files:
        return None
    # One by one, as recipes ask for them: what is remembered of a file is by what was asked.
    md5s = {file: contents([str(file)])[str(file)] for file in files}
    digest = folder_digest({file.relative_to(path).as_posix(): found for file, found in md5s.items()})
    return {"md5": digest, "size": sum(file.stat().st_size for file in files), "nfiles": len(files)}
