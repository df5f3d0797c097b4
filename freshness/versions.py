"""DVC's side of the artifacts: dvc.yaml as the rules have it, and whether dvc.lock and the cache have what is there."""

import hashlib
import json
import os
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from freshness import cached, seal, sources
from freshness.contents import contents, md5
from freshness.recipes import Recipes

HEADER = """\
# The stages of the Snakefile, as DVC versions them. Written by every run of Snakemake; a test keeps it current.
# `persist` leaves what is there to Snakemake, which makes only what is stale.
"""
LIBRARIES = "requirements.lock"  # what DVC can see of them


class Folder(NamedTuple):
    """A stage's folder: its MD5 as DVC has it, of the list of its files and theirs; and all that the list names."""

    md5: str
    files: set[str]


class Stages:
    """The workflow's stages as DVC sees them: a stage is a folder of artifacts.

    `reads`: stage -> keys of params.yaml; `shown`: metrics and plots; `files`: data files and model folders of the
    study; `params`: the file of the settings.
    """

    def __init__(
        self, recipes: Recipes, reads: dict[str, list[str]], shown: dict[str, Any], files: sources.Paths, params: Path
    ) -> None:
        self.recipes, self.reads, self.shown, self.files, self.params = recipes, reads, shown, files, params

    def folder(self, stage: str) -> str:
        """Where a stage's artifacts are."""
        return f"artifacts/{stage}"

    def outputs(self, stage: str) -> list[str]:
        """Every artifact of a stage."""
        return [path for job in self.recipes.jobs[stage] for path in self.recipes.outputs(job).values()]

    def unrecorded(self) -> list[str]:
        """Where DVC has not what `dvc commit` would record now; nothing where it has, or where nothing is recorded."""
        if not Path("dvc.lock").exists():
            return []
        folders = {stage: self._folder(stage) for stage in self.recipes.jobs}
        have, want = _locked(), self._wanted(folders)
        behind = [*self.outdated(), *(f"{path} is behind params.yaml" for path in sources.behind(self.files))]
        behind += [f"dvc.lock is behind in {one}" for one in want if have.get(one) != want[one]]
        return behind + [
            f"the cache of DVC lacks {stage}" for stage in self.recipes.jobs if not _cached(folders[stage])
        ]

    def recorded(self, stage: str) -> bool:
        """Whether DVC has a stage just as it is."""
        folders = {stage: self._folder(stage) for stage in self.recipes.jobs}
        return _locked().get(stage) == self._wanted(folders)[stage] and _cached(folders[stage])

    def _wanted(self, listed: dict[str, Folder]) -> dict[str, Any]:
        """What dvc.lock is to say of each stage, whose folders hold what is listed."""
        params, folders = _read(self.params), {self.folder(stage): listed[stage].md5 for stage in listed}

        def digest(path: str) -> str | None:
            return folders[path] if path in folders else md5(Path(path)) if Path(path).exists() else None

        return {
            stage: {
                "cmd": described["cmd"],
                "deps": {path: digest(path) for path in described["deps"]},
                "params": {key: params.get(key) for key in described["params"]},
                "outs": {self.folder(stage): folders[self.folder(stage)]},
            }
            for stage, described in self.described().items()
        }

    def _folder(self, stage: str) -> Folder:
        files: dict[str, str] = {}
        for job in self.recipes.jobs[stage]:
            files |= contents([*self.recipes.outputs(job).values(), str(seal.recipe_path(job))])
        rows = [{"md5": found, "relpath": os.path.relpath(path, self.folder(stage))} for path, found in files.items()]
        listed = json.dumps(sorted(rows, key=lambda row: row["relpath"]), sort_keys=True)
        return Folder(hashlib.md5(listed.encode()).hexdigest() + ".dir", set(files.values()))

    def dvc_yaml(self) -> str:
        """The text of dvc.yaml."""
        return HEADER + yaml.safe_dump({"stages": self.described(), **self.shown}, sort_keys=False, width=120)

    def outdated(self) -> list[str]:
        """Whether dvc.yaml is not what the rules say."""
        path = Path("dvc.yaml")
        return ["dvc.yaml is behind the rules"] if path.exists() and path.read_text() != self.dvc_yaml() else []

    def write(self) -> None:
        """Bring dvc.yaml and what DVC is to know of local files up to date."""
        sources.write(self.files)
        if self.outdated():
            Path("dvc.yaml").write_text(self.dvc_yaml())

    def described(self) -> dict[str, Any]:
        """Stage -> its entry in dvc.yaml."""
        return {stage: self._stage(stage) for stage in self.recipes.jobs}

    def _stage(self, stage: str) -> dict[str, Any]:
        return {
            "cmd": f"snakemake --cores all all_{stage}",
            "deps": self._deps(stage),
            "params": list(dict.fromkeys([*self.reads[stage], "counts_as"])),
            "outs": [{self.folder(stage): {"persist": True}}],
        }

    def _deps(self, stage: str) -> list[str]:
        jobs = self.recipes.jobs[stage]
        rules = {self.recipes.producer(job).name for job in jobs}
        paths = [path for job in jobs for found in self.recipes.inputs_of(job).values() for path in found]
        folders = sorted({"/".join(path.split("/")[:2]) for path in paths if path.startswith("artifacts/")})
        named = {name for rule in rules for name in self.recipes.rule_inputs[rule]}
        local = [str(sources.digests(kind)) for name, kind in sources.KINDS.items() if name in named]
        code = sorted({module for rule in rules for module in self.recipes.code(rule)})
        return [*folders, *local, LIBRARIES, "rules/common.smk", f"rules/{stage}.smk", *code]


def _cached(folder: Folder) -> bool:
    """Whether DVC's cache has a folder's list and its files."""
    cache = cached.cache_dir()
    return all(cached.object_path(cache, found).exists() for found in {folder.md5, *folder.files})


def _read(path: str | Path) -> dict[str, Any]:
    """A YAML file's object, as DVC reads it; an empty one where it is not whole, so that it counts as different."""
    try:
        content = YAML(typ="safe", pure=True).load(Path(path).read_text(encoding="utf-8-sig"))
    except (OSError, YAMLError):
        return {}
    return content if isinstance(content, dict) else {}


def _locked() -> dict[str, Any]:
    """What dvc.lock says of each stage, in the form of Stages._wanted."""
    return {
        stage: {
            "cmd": entry.get("cmd"),
            "deps": {dep["path"]: dep.get("md5") for dep in entry.get("deps", [])},
            "params": entry.get("params", {}).get("params.yaml", {}),
            "outs": {out["path"]: out.get("md5") for out in entry.get("outs", [])},
        }
        for stage, entry in _read("dvc.lock").get("stages", {}).items()
    }
