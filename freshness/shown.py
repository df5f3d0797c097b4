"""What Snakemake is shown of artifacts that are fresh: what leads to a job that runs, and no more.

It takes Snakemake two seconds to find the jobs of a thousand artifacts and that none of them is to run, which is known
by then. All is shown where it lists jobs or touches them, or where a part of them is chosen by name.
"""

import sys
from collections.abc import Iterable
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from snakemake.io import ancient

REPORTED = "--report-after-run"  # Snakemake keeps it to itself until the run is over


class Shown:
    """`plan` says which jobs run."""

    def __init__(self, plan: Any) -> None:
        self.plan = plan
        self.leads = cache(self.leads)  # type: ignore[method-assign]

    @cached_property
    def in_full(self) -> bool:
        """Whether all is shown: no run or dry run, or one of a part of the study, or one with a report after it."""
        workflow = self.plan.workflow
        parts = workflow.dag_settings.until, workflow.dag_settings.omit_from, workflow.dag_settings.batch
        return not workflow.executor_plugin or workflow.touch or any(parts) or REPORTED in sys.argv

    def fresh(self, paths: Iterable[str]) -> list[Any]:
        """Artifacts that are fresh, as inputs: ancient, and only if they are there."""
        return [
            ancient(path)
            for path in paths
            if self._there(path) and (self.in_full or self.leads(self.plan.recipes.job_of(path)))
        ]

    def leads(self, job: str) -> bool:
        """Whether a job runs, or one that it can be followed to by inputs that are there."""
        recipes = self.plan.recipes
        made = (path for some in recipes.inputs_of(job).values() for path in some if recipes.producer(path))
        return self.plan.woken(job) or any(self._there(path) and self.leads(recipes.job_of(path)) for path in made)

    def _there(self, path: str) -> bool:
        return not self.plan.judge.missing(self.plan.recipes.job_of(path)) or Path(path).exists()
