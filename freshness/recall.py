"""Before a run has jobs: bring back from DVC's cache what the recipes of stale ones have given before."""

import hashlib
from typing import Any

from freshness import cached, seal
from freshness.contents import text_of, write


def bring_back(plan: Any) -> list[str]:
    """Provide the artifacts that are asked for; first outputs of the jobs whose came back, or would in a real run."""
    came_back: list[str] = []
    visited: set[str] = set()
    waiting = list(reversed(_asked_for(plan)))
    while waiting:
        job = waiting.pop()
        if job in visited:
            continue
        visited.add(job)
        if plan.stale(job) and not plan.forced(job) and _recall(plan, job):
            came_back.append(job)
        else:  # also of a fresh one: what is stale above it would run
            waiting += plan.recipes.upstream(job)
    if came_back and plan.real:
        plan.judge_again()
    return came_back


def _asked_for(plan: Any) -> list[str]:
    """Jobs of the targets on the command line, or all; inputs come before what needs them."""
    targets, recipes = set(plan.workflow.dag_settings.targets), plan.recipes
    jobs = [job for job in recipes.every_job if not targets.isdisjoint(recipes.outputs(job).values())]
    jobs += [job for stage in recipes.jobs if f"all_{stage}" in targets for job in recipes.jobs[stage]]
    return jobs or recipes.every_job


def _recall(plan: Any, job: str) -> bool:
    """Put in place what the job's recipe gave, from the very bytes of the inputs that are there."""
    outputs = plan.recipes.outputs(job)
    for sealed in _given(plan, job):
        if not plan.real:
            return True
        seal.recipe_path(job).unlink(missing_ok=True)
        paths = {key: seal.path_of(key, outputs) for key in sealed["bytes"]}
        if cached.bring_back(plan.dvc, sealed, paths, outputs.values()):
            write(seal.recipe_path(job), sealed)
            plan.judge_again()
            return True
    return False


def _given(plan: Any, job: str) -> list[dict[str, Any]]:
    """What may be put in place: first what dvc.lock names, so that a commit comes back to the byte, then the newest."""
    outputs = plan.recipes.outputs(job)
    noted = cached.recalled(plan.dvc.folder, plan.recipes.name(job), plan.remembered)
    given = [
        one
        for one in noted
        if {key.partition("/")[0] for key in one["bytes"]} == outputs.keys()
        and not plan.judge.other_bytes(job, one)
        and not plan.judge.not_accepted(one)
    ]
    return sorted(given, key=lambda one: _rank(plan.named_by_dvc, one)) if len(given) > 1 else given


def _rank(named: list[set[str]], sealed: dict[str, Any]) -> int:
    """The first of some sets of MD5s that has the very file of the recipe, whatever the artifact is called there."""
    of_recipe = hashlib.md5(text_of(sealed).encode()).hexdigest()
    return next((number for number, some in enumerate(named) if of_recipe in some), len(named))
