"""What a run is to make, on disk: a file for each job, by which recipe and from what, and one for what is recorded.

A job's own process reads its file (seal.py), and the end of a run all of them (record.py).
"""

from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

from freshness import libraries
from freshness.contents import PLANNED, digest, md5, write
from freshness.recipes import Recipes
from freshness.versions import Stages


class Planned:
    """The files under .snakemake/plan; params.yaml counts as it is when this is made."""

    def __init__(self, recipes: Recipes, stages: Stages) -> None:
        self.recipes, self.stages = recipes, stages
        self.params_md5 = md5(stages.params)

    def job_file(self, job: str) -> str:
        """Where it is written what a job makes, and from what; another recipe has another file."""
        return str(PLANNED / f"{digest(job)}-{self.recipes.name(job)}.json")

    def record_file(self, stages: Iterable[str]) -> str:
        """Where it is written what is to be recorded of some stages (freshness/record.py)."""
        name = "-".join(stages)
        return str(PLANNED / (f"{name}.json" if name in self.recipes.jobs else "all.json"))

    def write(self, kept: Path) -> None:
        """Write all of them, and remove those of other recipes; `kept`: folder of DVC's cache."""
        wanted = {self.job_file(job): self.job_content(job, kept) for job in self.recipes.every_job}
        for stages in ([*self.recipes.jobs], *([stage] for stage in self.recipes.jobs)):
            wanted[self.record_file(stages)] = self._record(stages)
        for old in PLANNED.glob("*"):
            if str(old) not in wanted:
                old.unlink()
        for path, content in wanted.items():
            write(Path(path), content, in_order=True)  # the first output names the job

    def job_content(self, job: str, kept: Path) -> dict[str, Any]:
        """What is written of a job."""
        recipe = self.recipes.recipe(job)
        modules = [path for path in recipe["code"] if path != "command"]
        accepted = libraries.accepted(modules, self.recipes.counts_as)
        return {
            "outputs": self.recipes.outputs(job),
            "recipe": recipe,
            "accepted": {"accepted": accepted} if accepted else {},
            "installed": {library: libraries.here(library) for library in recipe["libraries"]},
            "files": {path: _bytes_of(path) for path in modules} | (read := self.recipes.sources_of(job)),
            "folders": self.stages.folders_of(read),
            "inputs": self.recipes.artifacts_of(job),
            "cache": str(kept),
        }

    def _record(self, stages: list[str]) -> dict[str, Any]:
        return {
            "params": {str(self.stages.params): self.params_md5},
            "stages": {
                self.stages.folder(stage): [self.job_file(job) for job in self.recipes.jobs[stage]] for stage in stages
            },
        }


@cache
def _bytes_of(module: str) -> str:
    return md5(Path(module))
