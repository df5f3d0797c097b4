"""What a run is to do, decided once, as Snakemake asks for the inputs of the first job.

Snakemake judges by file times and by notes in .snakemake/; both are made to say what recipes say (framing.py). A stale
job gets one more input, a file newer than its outputs and named by what differs, which Snakemake prints as the reason.
A fresh one gets `ancient()` inputs, which wake nothing, and only those that lead to a job that runs (shown.py). Files
that no rule makes are not shown to Snakemake at all.

What recipes have given before comes back from DVC's cache here, before there are jobs (recall.py). What each job is to
make, and from what, is written where its own process reads it (planned.py).
"""

import os
import sys
from collections.abc import Iterable
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from freshness import cached, configured, folders, links, lock, remotes
from freshness.framing import forget_old_markers, marker
from freshness.judge import Judge
from freshness.planned import Planned
from freshness.recall import bring_back
from freshness.recipes import Recipes
from freshness.shown import Shown
from freshness.versions import Stages
from startup.checks import be_alone, mend

WITHOUT_DVC = (
    "DVC is not installed: what is made is kept in its cache and recorded in dvc.lock all the same; "
    "only remotes and commands of `dvc` itself need it (docs/sharing.md)"
)
SHOWN = 20  # lines on what a run would do beside its jobs


class Plan:
    """Which jobs run, and why."""

    def __init__(self, workflow: Any, recipes: Recipes, stages: Stages) -> None:
        self.workflow, self.recipes, self.stages, self.judge = workflow, recipes, stages, Judge(recipes)
        self.shown, self.planned = Shown(self), Planned(recipes, stages)
        self.littered: list[str] = []  # folders with files that the recording of this run removes
        for method in ("decide", "forced", "recorded", "stale", "shaken"):
            setattr(self, method, cache(getattr(self, method)))

    @property
    def real(self) -> bool:
        """Whether this process is to run jobs: no dry run, no --summary, no job of its own on another machine."""
        workflow = self.workflow
        return bool(
            workflow.is_main_process and workflow.executor_plugin and not workflow.dryrun and not workflow.touch
        )

    @cached_property
    def dvc(self) -> cached.Cache:
        """DVC's cache, as it is configured once a run has begun."""
        return cached.cache()

    @cached_property
    def remembered(self) -> dict[str, list[Path]]:
        """What DVC's cache has of recipes, as this run began."""
        return cached.remembered(self.dvc.folder)

    @cached_property
    def named_by_dvc(self) -> list[set[str]]:
        """MD5 of every artifact's file that dvc.lock names: as it is here when this run began, then the commit's."""
        return [lock.files_named(said, self.dvc.folder) for said in (lock.said(), lock.committed())]

    # What is to be done

    def decide(self) -> None:
        """All of it, in the order that it must be."""
        if not self.workflow.is_main_process:
            return  # a job on another machine: its run has decided
        self._refuse()
        if self.real:
            be_alone()
            mend()
            now = cached.cache()
            links.settle(now.folder, now.links, shared=now.shared)
            remotes.settle()
            if not configured.dvc_installed():
                sys.stderr.write(f"{WITHOUT_DVC}\n")
            self.stages.write()
        forget_old_markers()
        paths = [path for job in self.recipes.every_job for path in self.recipes.outputs(job).values()]
        folders.date_back([*paths, "dvc.lock"])
        self._sort_out()
        came_back = bring_back(self)
        _say("from DVC's cache" if self.real else "would come from DVC's cache", came_back)
        for job in self.recipes.every_job:
            self.woken(job)
        if self.real:
            self.planned.write(self.dvc.folder)
            self._note()

    def _refuse(self) -> None:
        """Flags under which Snakemake would judge by notes of its own."""
        if {str(trigger.item_to_choice()) for trigger in self.workflow.rerun_triggers} != {"mtime"}:
            sys.exit(
                "Recipes judge what is fresh, so Snakemake's own triggers must be off: leave the profile in force "
                "(profiles/default), or say --rerun-triggers mtime."
            )

    def _sort_out(self) -> None:
        found = {
            stage: folders.sort_out(self.stages.folder(stage), [self.recipes.outputs(job) for job in jobs])
            for stage, jobs in self.recipes.jobs.items()
        }
        foreign = [file for one in found.values() for file in one.foreign]
        self.littered = [self.stages.folder(stage) for stage, one in found.items() if one.orphans]
        if self.real:
            folders.move_aside(foreign)
        else:
            _say("none of the study's artifacts, would be moved to aside/", foreign)
            _say("of no study any more, would be removed", [file for one in found.values() for file in one.orphans])

    # Which jobs run

    def judge_again(self) -> None:
        """Forget what was found of artifacts: some are there now that were not."""
        self.judge.again()
        self.stale.cache_clear()  # type: ignore[attr-defined]

    def forced(self, job: str) -> bool:
        """Whether the command line, or a `dvc repro --force` of a stage that DVC has as it is, asks for a job."""
        settings, rule = self.workflow.dag_settings, self.recipes.producer(job).name
        asked = {*settings.forcerun, *(settings.targets if settings.forcetargets else ())}
        named = not asked.isdisjoint([rule, *self.recipes.outputs(job).values()])
        return settings.forceall or named or self.forced_by_dvc(job)

    def forced_by_dvc(self, job: str) -> bool:
        """Whether DVC started a stage that it has just as it is, which it does only if it is told to."""
        stage = os.environ.get("DVC_STAGE")
        return stage in self.recipes.jobs and job in self.recipes.jobs[stage] and self.recorded(stage)

    def recorded(self, stage: str) -> bool:
        """Whether DVC has a stage just as it was when this run began."""
        return self.stages.recorded(stage)

    def stale(self, job: str) -> bool:
        """Whether a job is to run for a reason of its own."""
        return self.judge.missing(job) or bool(self.judge.differences(job)) or self.forced(job)

    def shaken(self, job: str) -> bool:
        """Whether anything that a job is made from is made again without need, and may come out different."""
        return any(self.forced(one) or self.shaken(one) for one in self.recipes.upstream(job))

    def woken(self, job: str) -> bool:
        """Whether a job runs."""
        return self.stale(job) or self.shaken(job)

    def reasons(self, job: str) -> list[str]:
        """Why a job whose artifact is there runs; what the command line asks for is Snakemake's to say."""
        if self.judge.missing(job):
            return []
        return self.judge.differences(job) or (["dvc repro --force asks for it"] if self.forced_by_dvc(job) else [])

    # For Snakemake

    def awaited(self, outputs: Iterable[str]) -> list[Any]:
        """Artifacts as inputs: those whose job runs as they are; of the others, as shown.py has them."""
        self.decide()
        if not self.workflow.is_main_process:
            return list(outputs)
        plain = {path: self.woken(self.recipes.job_of(path)) for path in outputs}
        return [one for path, woken in plain.items() for one in ([path] if woken else self.shown.fresh([path]))]

    def inputs(self, job: str) -> dict[str, list[Any]]:
        """Name -> inputs of a job, as Snakemake is to see them.

        Plain for a job that runs: Snakemake asks no job below one that runs for reasons of its own (snakemake#4166).
        """
        self.decide()
        made = {
            name: [path for path in paths if self.recipes.producer(path)]
            for name, paths in self.recipes.inputs_of(job).items()
        }
        if not self.workflow.is_main_process or self.woken(job):
            return made
        return {name: self.shown.fresh(paths) for name, paths in made.items()}

    def markers(self, job: str) -> list[str]:
        """A file newer than a stale job's outputs for each difference."""
        self.decide()
        if not self.workflow.is_main_process:
            return []
        return [marker(self.recipes.outputs(job).values(), reason) for reason in self.reasons(job)[:5]]

    def unrecorded(self) -> list[str]:
        """Where DVC has not what is there, as Stages.unrecorded has it, or there is more than is to be recorded."""
        self.decide()
        if not self.workflow.is_main_process:
            return []
        return self.stages.unrecorded() + [f"{folder} has files of no study any more" for folder in self.littered]

    def _note(self) -> None:
        """What is there as it should be is remembered, also if another clone made it, or an older cache had it."""
        for job in self.recipes.every_job:
            if not self.woken(job) and (sealed := self.judge.intact(job)):
                cached.remember(self.dvc.folder, self.recipes.name(job), sealed, again=False)


def _say(what: str, files: list[Any]) -> None:
    for file in files[:SHOWN]:
        sys.stderr.write(f"{file}: {what}\n")
    if len(files) > SHOWN:
        sys.stderr.write(f"and {len(files) - SHOWN} more: {what}\n")
