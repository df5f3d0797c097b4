"""Say of an artifact what it was made from, and why it is fresh or not: `make explain TARGET=artifacts/...`."""

import json
import os
import sys
from pathlib import Path

from rules import seal
from rules.recipes import Recipes


def explain_if_asked(recipes: Recipes) -> None:
    """Explain the artifact that the environment's EXPLAIN names and end there; do nothing where it names none."""
    target = os.getenv("EXPLAIN")
    if target is None:
        return
    target = target.rstrip("/").removesuffix(".recipe")
    if recipes.producer(target) is None:
        sys.exit(f"{target} is made by no rule of this study")
    sys.stdout.write("\n".join(explain(recipes, recipes.outputs(target)[0])) + "\n")
    sys.exit(0)


def explain(recipes: Recipes, output: str) -> list[str]:
    """Lines on the artifact that a job names by its first output."""
    recipe, rule = recipes.recipe(output), recipes.producer(output)
    made = seal.load(seal.recipe_path(output)) or {}
    return [
        f"{output}: {verdict(recipes, output)}",
        f"  made by rule {rule.name}; recipe {seal.name(recipe)}, {len(made.get('bytes', {}))} files sealed with it",
        "  code",
        *(f"    {path} {digest}" for path, digest in recipe["code"].items()),
        "  params",
        *(f"    {key}: {json.dumps(value)}" for key, value in recipe["params"].items()),
        "  inputs",
        *(f"    {path}: {ingredient_verdict(recipes, path)}" for path in recipe["inputs"]),
    ]


def verdict(recipes: Recipes, output: str) -> str:
    """Whether a job's artifact is fresh, and what speaks against it."""
    if not Path(output).exists():
        return "not made yet"
    return "; ".join(recipes.differences(output)) or "fresh"


def ingredient_verdict(recipes: Recipes, path: str) -> str:
    """The same of an input; a file that no rule makes is what it is."""
    return verdict(recipes, recipes.outputs(path)[0]) if recipes.producer(path) else recipes.ingredient(path)
