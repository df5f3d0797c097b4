"""DVC's side of the artifacts: dvc.yaml as the rules have it, and whether dvc.lock says what is there."""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from rules import seal
from rules.recipes import PLANNED, Recipes
from workflow_scripts.lib import provenance

HEADER = """\
# The stages of the Snakefile, as DVC versions them. Written by `snakemake --cores 1 dvc.yaml`; a test keeps it current.
# `persist` leaves what is there to Snakemake, which makes only what is stale.
"""


class Stages:
    """The workflow's stages as DVC sees them: a stage is a folder of artifacts.

    `jobs`: stage -> first output of each job; `reads`: stage -> keys of params.yaml; `shown`: metrics and plots.
    """

    def __init__(
        self, recipes: Recipes, jobs: dict[str, list[str]], reads: dict[str, list[str]], shown: dict[str, Any]
    ) -> None:
        self.recipes, self.jobs, self.reads, self.shown = recipes, jobs, reads, shown

    def folder(self, stage: str) -> str:
        """Where a stage's artifacts are."""
        return f"artifacts/{stage}"

    def outputs(self, stage: str) -> list[str]:
        """Every artifact of a stage."""
        return [path for job in self.jobs[stage] for path in self.recipes.outputs(job)]

    def plan(self, stages: Iterable[str]) -> str:
        """A file that says what belongs in the folders of some stages: artifacts and their recipes."""
        kept = {
            self.folder(stage): [*self.outputs(stage), *(str(seal.recipe_path(job)) for job in self.jobs[stage])]
            for stage in stages
        }
        path = PLANNED / f"{provenance.digest(kept)}.json"
        seal.write(path, kept)
        return str(path)

    def unrecorded(self) -> list[str]:
        """Where dvc.lock is not what `dvc commit` would write now; nothing if it is, or if there is none."""
        if not Path("dvc.lock").exists():
            return []
        recorded = {stage: _entry(entry) for stage, entry in _read("dvc.lock").get("stages", {}).items()}
        wanted = self._entries()
        stages = dict.fromkeys([*wanted, *recorded])
        return [f"dvc.lock is behind in {stage}" for stage in stages if recorded.get(stage) != wanted.get(stage)]

    def _entries(self) -> dict[str, Any]:
        """What dvc.lock is to say of each stage."""
        params, folders = _read("params.yaml"), {self.folder(stage): self._folder_md5(stage) for stage in self.jobs}

        def md5(path: str) -> str | None:
            return folders[path] if path in folders else seal.md5(Path(path)) if Path(path).exists() else None

        return {
            stage: {
                "cmd": described["cmd"],
                "deps": {path: md5(path) for path in described["deps"]},
                "params": {key: params.get(key) for key in described["params"]},
                "outs": {self.folder(stage): folders[self.folder(stage)]},
            }
            for stage, described in self.described().items()
        }

    def _folder_md5(self, stage: str) -> str:
        """MD5 of a stage's folder as DVC has it: of the list of its files and theirs, sorted by path."""
        folder = Path(self.folder(stage))
        known: dict[str, str] = {}
        for job in self.jobs[stage]:
            known |= seal.contents(self.recipes.outputs(job))
        files = [path for path in seal.files_of([str(folder)]) if path.exists()]
        rows = [
            {"md5": known.get(str(path)) or seal.md5(path), "relpath": path.relative_to(folder).as_posix()}
            for path in files
        ]
        listed = json.dumps(sorted(rows, key=lambda row: row["relpath"]), sort_keys=True)
        return hashlib.md5(listed.encode()).hexdigest() + ".dir"

    def dvc_yaml(self) -> str:
        """The text of dvc.yaml."""
        return HEADER + yaml.safe_dump({"stages": self.described(), **self.shown}, sort_keys=False, width=120)

    def outdated(self) -> list[str]:
        """Whether dvc.yaml is not what the rules say."""
        path = Path("dvc.yaml")
        return ["dvc.yaml is behind the rules"] if path.exists() and path.read_text() != self.dvc_yaml() else []

    def described(self) -> dict[str, Any]:
        """Stage -> its entry in dvc.yaml."""
        return {stage: self._stage(stage) for stage in self.jobs}

    def _stage(self, stage: str) -> dict[str, Any]:
        return {
            "cmd": f"snakemake --cores all all_{stage}",
            "deps": self._deps(stage),
            "params": self.reads[stage],
            "outs": [{self.folder(stage): {"persist": True}}],
        }

    def _deps(self, stage: str) -> list[str]:
        job = self.jobs[stage][0]
        rule = self.recipes.producer(job)
        paths = [path for some in self.jobs[stage] for path in self.recipes.recipe(some)["inputs"]]
        folders = sorted({"/".join(path.split("/")[:2]) for path in paths if path.startswith("artifacts/")})
        code = sorted(self.recipes.code(rule.name))
        return [*folders, "rules/common.smk", f"rules/{stage}.smk", *code]


def _read(path: str) -> dict[str, Any]:
    """A YAML file's object; an empty one where the file is not whole, so that it counts as different."""
    try:
        content = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError):
        return {}
    return content if isinstance(content, dict) else {}


def _entry(locked: dict[str, Any]) -> dict[str, Any]:
    """A stage's entry in dvc.lock, in the form of Stages._entries."""
    return {
        "cmd": locked.get("cmd"),
        "deps": {dep["path"]: dep.get("md5") for dep in locked.get("deps", [])},
        "params": locked.get("params", {}).get("params.yaml", {}),
        "outs": {out["path"]: out.get("md5") for out in locked.get("outs", [])},
    }
