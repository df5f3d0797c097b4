"""A version of the study as git and DVC's cache have it, read without a checkout: dvc.lock names all bytes."""

import subprocess
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from freshness import cached
from freshness.contents import files_listed, md5
from workflow_scripts.lib.errors import StudyError

LOCK = Path("dvc.lock")
HERE = "the working tree"
WHERE = f"`git log --oneline -- {LOCK}` lists those that have results"


class Revision:
    """What DVC recorded at a commit of git, or last in the working tree where `commit` is empty."""

    def __init__(self, commit: str = "") -> None:
        self.name = commit or HERE
        text = _committed(commit) if commit else _here()
        self.stages = _stages(text, self.name)

    @cached_property
    def settings(self) -> dict[str, Any]:
        """Keys of params.yaml -> what they were when the artifacts were recorded; all that a stage reads."""
        return {
            key: value
            for stage in self.stages.values()
            for key, value in stage.get("params", {}).get("params.yaml", {}).items()
        }

    @cached_property
    def ingredients(self) -> dict[str, str]:
        """Code, data, models and libraries: path -> MD5 of what the artifacts were made from."""
        return {
            dep["path"]: dep.get("md5", "")
            for stage in self.stages.values()
            for dep in stage.get("deps", [])
            if not dep["path"].startswith("artifacts/")
        }

    def file(self, path: str) -> Path:
        """An artifact's bytes in DVC's cache; StudyError where the version or the cache has it not."""
        outs = [out for stage in self.stages.values() for out in stage.get("outs", [])]
        for out in outs:
            if path.startswith(f"{out['path']}/"):
                listed = files_listed(self._kept(out["md5"], out["path"]).read_bytes())
                if found := listed.get(path.removeprefix(f"{out['path']}/")):
                    return self._kept(found, path)
        raise StudyError(f"{self.name} has no {path}: dvc.lock does not record it there")

    def _kept(self, digest: str, path: str) -> Path:
        kept = cached.object_path(cached.cache_dir(), digest)
        if not kept.is_file() or md5(kept) != digest.removesuffix(".dir"):
            lacking = f"{path} of {self.name} is not in DVC's cache, or not whole"
            raise StudyError(f"{lacking}: `dvc fetch --all-commits` gets it from a remote")
        return kept


def _stages(text: str, where: str) -> dict[str, Any]:
    """What dvc.lock has of each stage."""
    try:
        stages: dict[str, Any] = yaml.safe_load(text)["stages"]
        return {name: dict(stage) for name, stage in stages.items()}
    except (yaml.YAMLError, KeyError, TypeError, ValueError, AttributeError):
        raise StudyError(f"{LOCK} of {where} is not whole: check out one that is, or make the study again") from None


def _here() -> str:
    if not LOCK.exists():
        raise StudyError(f"{LOCK} is not there: nothing is recorded here yet; `make reproduce` makes the study")
    return LOCK.read_text(encoding="utf-8")


def _committed(commit: str) -> str:
    """The text of dvc.lock at a commit."""
    if _git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{commit}^{{commit}}").returncode:
        raise StudyError(f"{commit}: git knows no such revision here; {WHERE}")
    found = _git("show", "--end-of-options", f"{commit}:./{LOCK}")
    if found.returncode:
        raise StudyError(f"{commit} has no {LOCK}: no results were committed there; {WHERE}")
    return found.stdout


def _git(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["git", *command], capture_output=True, text=True, check=False)
