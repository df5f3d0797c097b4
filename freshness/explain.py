"""Say of an artifact what it was made from and why it is fresh or not, or forget it.

`make explain TARGET=artifacts/...` and `make forget TARGET=artifacts/...`.
"""

import json
import os
import shutil
import sys
from pathlib import Path

from freshness import cached, folders, seal
from freshness.contents import load_sealed
from freshness.judge import Judge
from freshness.recipes import Recipes
from startup.checks import be_alone


def answer_if_asked(recipes: Recipes) -> None:
    """Explain or forget the artifact that the environment's EXPLAIN or FORGET names and end there."""
    for asked, answer in (("EXPLAIN", explain), ("FORGET", forget)):
        if target := os.getenv(asked):
            target = os.path.normpath(target).removesuffix(".recipe")
            if recipes.producer(target) is None:
                sys.exit(f"{target} is made by no rule of this study")
            sys.stdout.write("\n".join(answer(recipes, recipes.job_of(target))) + "\n")
            sys.exit(0)


def explain(recipes: Recipes, job: str) -> list[str]:
    """Lines on the artifact that a job names by its first output."""
    recipe, rule = recipes.recipe(job), recipes.producer(job)
    made = load_sealed(seal.recipe_path(job)) or {}
    accepted = made.get("accepted", {})
    return [
        f"{job}: {verdict(recipes, job)}",
        f"  made by rule {rule.name}; recipe {seal.name(recipe)}, {len(made.get('bytes', {}))} files sealed with it",
        "  code",
        *(f"    {path} {digest}" for path, digest in recipe["code"].items()),
        "  libraries",
        *(f"    {name} {version}{_made_with(accepted.get(name))}" for name, version in recipe["libraries"].items()),
        "  params",
        *(f"    {key}: {json.dumps(value)}" for key, value in recipe["params"].items()),
        "  inputs",
        *(
            f"    {path}: {ingredient_verdict(recipes, path)}"
            for paths in recipes.inputs_of(job).values()
            for path in paths
        ),
    ]


def _made_with(release: str | None) -> str:
    return f" (made with {release}, accepted by counts_as)" if release else ""


def verdict(recipes: Recipes, job: str) -> str:
    """Whether a job's artifact is fresh, and what speaks against it."""
    judge = Judge(recipes)
    if judge.missing(job):
        return "not made yet"
    return "; ".join(judge.differences(job)) or "fresh"


def ingredient_verdict(recipes: Recipes, path: str) -> str:
    """The same of an input; a file that no rule makes is what it is."""
    return verdict(recipes, recipes.job_of(path)) if recipes.producer(path) else recipes.ingredient(path)


def forget(recipes: Recipes, job: str) -> list[str]:
    """Remove an artifact, all that was made from it, and what is remembered of them; lines on what went."""
    be_alone()
    gone = [one for one in recipes.every_job if one == job or job in _all_upstream(recipes, one)]
    names = {recipes.name(one) for one in gone}
    names |= {seal.name(sealed) for one in gone if (sealed := load_sealed(seal.recipe_path(one)))}
    try:
        cached.forget(cached.cache_dir(), names)
    except OSError as error:
        sys.exit(f"{error.filename}: {error.strerror}: what is remembered cannot be removed, so nothing was forgotten")
    folder_jobs: dict[str, list[dict[str, str]]] = {"/".join(one.split("/")[:2]): [] for one in gone}
    for one in recipes.every_job:
        folder_jobs.get("/".join(one.split("/")[:2]), []).append(recipes.outputs(one))
    for folder, jobs in folder_jobs.items():
        folders.move_aside(folders.sort_out(folder, jobs).foreign)
    for path in (path for one in gone for path in [str(seal.recipe_path(one)), *recipes.outputs(one).values()]):
        shutil.rmtree(path) if Path(path).is_dir() else Path(path).unlink(missing_ok=True)
    return [f"{one}: forgotten" for one in gone]


def _all_upstream(recipes: Recipes, job: str) -> set[str]:
    found: set[str] = set()
    waiting = [job]
    while waiting:
        for one in recipes.upstream(waiting.pop()):
            if one not in found:
                found.add(one)
                waiting.append(one)
    return found
