"""DVC's side of the artifacts: dvc.yaml as the rules have it, and whether dvc.lock and the cache have what is there."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from freshness import cached, folders, lock, sources
from freshness.contents import folder_digest, list_in, md5
from freshness.recipes import Recipes

HEADER = """\
# The stages of the Snakefile, as DVC versions them. Written by every run of Snakemake; a test keeps it current.
# `persist` leaves what is there to Snakemake, which makes only what is stale.
"""
LIBRARIES = "requirements.lock"  # what DVC can see of them
Files = dict[str, str]  # path in a stage's folder -> MD5, as DVC is to have it


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

    def folders_of(self, files: Iterable[str]) -> list[str]:
        """Folders of models that files are in."""
        folders = [path for path in self.files["models"] if Path(path).is_dir()]
        return [path for path in folders if any(Path(file).is_relative_to(path) for file in files)]

    def unrecorded(self) -> list[str]:
        """Where DVC has not what `dvc commit` would record now; nothing where it has, or where nothing is recorded."""
        if not lock.LOCK.exists():
            return []
        listed = {stage: self._files(stage) for stage in self.recipes.jobs}
        have, want = lock.said(), self._wanted(listed)
        behind = [*self.outdated(), *(f"{path} is behind params.yaml" for path in sources.behind(self.files))]
        behind += [f"dvc.lock is behind in {one}" for one in want if have.get(one) != want[one]]
        return behind + [f"the cache of DVC lacks {stage}" for stage in listed if not _cached(listed[stage])]

    def recorded(self, stage: str) -> bool:
        """Whether DVC has a stage just as it is."""
        listed = {stage: self._files(stage) for stage in self.recipes.jobs}
        return lock.said().get(stage) == self._wanted(listed)[stage] and _cached(listed[stage])

    def _wanted(self, listed: dict[str, Files]) -> dict[str, Any]:
        """What dvc.lock is to say of each stage, whose folders hold what is listed."""
        params = lock.read(self.params)
        made = {self.folder(stage): folder_digest(files) for stage, files in listed.items()}

        def digest(path: str) -> str | None:
            return made[path] if path in made else md5(Path(path)) if Path(path).exists() else None

        return {
            stage: {
                "cmd": described["cmd"],
                "deps": {path: digest(path) for path in described["deps"]},
                "params": {key: params.get(key) for key in described["params"]},
                "outs": {self.folder(stage): made[self.folder(stage)]},
            }
            for stage, described in self.described().items()
        }

    def _files(self, stage: str) -> Files:
        return folders.recorded(self.folder(stage), [self.recipes.outputs(job) for job in self.recipes.jobs[stage]])

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


def _cached(files: Files) -> bool:
    """Whether DVC's cache has a folder's list, whole, and its files."""
    cache, name = cached.cache_dir(), folder_digest(files)
    return list_in(cached.object_path(cache, name), name) is not None and all(
        cached.object_path(cache, found).exists() for found in set(files.values())
    )
