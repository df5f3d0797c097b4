"""When is an artifact fresh? When its recipe is the one we would use now, and its bytes are those sealed with it.

A recipe is what made an artifact: code (the rule's command, and the syntax of every module of ours that it runs),
params, and the recipes of its inputs, recursively. It stands beside the artifact, is written last, and is versioned
with it by DVC. File times and .snakemake/ decide nothing, so `dvc pull`, `dvc checkout` and `dvc exp apply` need no
step after them.

A rule says `sealed(...)` around its command, and the Snakefile `follow(rules)` once: then Snakemake judges so too.
"""

import inspect
import json
import os
import re
import time
from collections.abc import Callable, Iterator
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

from snakemake.io import ancient, apply_wildcards
from snakemake.iocontainers import Wildcards

from rules import seal
from workflow_scripts.lib import provenance

CHANGED = Path(".snakemake/changed")
PLANNED = Path(".snakemake/recipes")
RESTORE = "python rules/seal.py restore {params.recipe:q} {output:q} || ( "
SEAL = " ) && python rules/seal.py seal {params.recipe:q} {output:q}"
COMMAND = re.compile(r"python -m (workflow_scripts\.\w+)")
WARM, COLD = "python rules/warm.py ", "python -m "


class Recipes:
    """The recipes of a workflow's artifacts, as the Snakefile, params.yaml and the code have them now."""

    def __init__(self, rules: list[Any]) -> None:
        self.rules = rules
        self.inputs = {rule.name: dict(rule.input.items()) for rule in rules}
        self.params = {rule.name: dict(rule.params.items()) for rule in rules}
        self.shell = {rule.name: _stage_command(rule.shellcmd) for rule in rules}
        self.recipe = cache(self._recipe)
        self.differences = cache(self._differences)

    def producer(self, path: str) -> Any:
        """The rule that makes a path, or None."""
        return next((rule for rule in self.rules if any(output.match(path) for output in rule.output)), None)

    def outputs(self, path: str) -> list[str]:
        """All outputs of the job that makes a path; the first names the job."""
        rule = self.producer(path)
        wildcards = rule.get_wildcards(path)
        return [str(apply_wildcards(output, wildcards)) for output in rule.output]

    def jobs(self, rule: Any, values: dict[str, list[str]]) -> list[str]:
        """First outputs of a rule's jobs, one for every combination of its wildcards' values."""
        names = [name for name in values if name in rule.wildcard_names]
        combinations = product(*(values[name] for name in names))
        return [str(apply_wildcards(rule.output[0], dict(zip(names, one, strict=True)))) for one in combinations]

    def inputs_of(self, rule: Any, wildcards: dict[str, str]) -> dict[str, list[str]]:
        """Name -> paths of a job's inputs."""
        space = Wildcards(fromdict=wildcards)
        return {
            name: [str(apply_wildcards(path, wildcards)) for path in _listed(item(space) if callable(item) else item)]
            for name, item in self.inputs[rule.name].items()
        }

    def _recipe(self, output: str) -> dict[str, Any]:
        """The recipe of a job, by its first output: what would be sealed with it if it were made now."""
        rule = self.producer(output)
        wildcards = dict(rule.get_wildcards(output))
        return {
            "output": output,
            "code": {"command": provenance.digest(self.shell[rule.name]), **self.code(rule.name)},
            "params": _flat({**wildcards, **self._values(rule, wildcards)}),
            "inputs": {
                path: self.ingredient(path) for paths in self.inputs_of(rule, wildcards).values() for path in paths
            },
        }

    def ingredient(self, path: str) -> str:
        """What a recipe says of an input: the name of its recipe, or the MD5 of a file that no rule makes."""
        if self.producer(path):
            return seal.name(self.recipe(self.outputs(path)[0]))
        return seal.contents([path]).get(path, "missing")

    def code(self, rule: str) -> dict[str, str]:
        """Module file -> digest of its syntax, for all that a rule's command runs."""
        command = COMMAND.search(self.shell[rule])
        return provenance.syntax_digests(command[1]) if command else {}

    def _values(self, rule: Any, wildcards: dict[str, str]) -> dict[str, Any]:
        space = Wildcards(fromdict=wildcards)
        items = self.params[rule.name].items()
        # A param that is worked out from the inputs says nothing that the inputs do not.
        values = {k: v(space) if callable(v) else v for k, v in items if not callable(v) or _takes_wildcards_alone(v)}
        return {name: _parsed(value) for name, value in values.items()}

    def _differences(self, output: str) -> list[str]:
        """What makes a job's artifacts stale, in words; nothing if they are fresh or not there at all."""
        outputs = self.outputs(output)
        there = [path for path in outputs if Path(path).exists()]
        if not there:
            return []
        sealed = seal.load(seal.recipe_path(outputs[0]))
        if sealed is None or "bytes" not in sealed:
            return [f"{outputs[0]} has no recipe"]
        return list(_compare(sealed, self.recipe(outputs[0]))) or self._altered(outputs, sealed)

    def _altered(self, outputs: list[str], sealed: dict[str, Any]) -> list[str]:
        now = seal.contents(outputs)
        paths = sorted(now.keys() | sealed["bytes"].keys())
        altered = [path for path in paths if now.get(path) != sealed["bytes"].get(path)]
        if not altered:
            seal.remember(sealed)
        return [f"{path} is not as it was made" for path in altered]

    def stale(self, output: str) -> bool:
        """Is a job's artifact to be made: absent, or with differences."""
        first = self.outputs(output)[0]
        return not all(Path(path).exists() for path in self.outputs(first)) or bool(self.differences(first))

    def awaited(self, outputs: list[str]) -> list[Any]:
        """Inputs of a rule that waits for artifacts, and that a fresh one does not wake however new its file is."""
        return [path if self.stale(path) else ancient(path) for path in outputs]


def sealed(command: str) -> str:
    """A stage's command, framed: what the recipe gave before comes from DVC's cache, and what is made is sealed."""
    return f"{RESTORE}{command}{SEAL}"


def _stage_command(shellcmd: str) -> str:
    """A stage's command without its frame, and whatever way its process is started: neither can change an artifact."""
    return shellcmd.removeprefix(RESTORE).removesuffix(SEAL).replace(WARM, COLD)


def follow(rules: list[Any]) -> Recipes:
    """Make Snakemake judge by recipes: frame each rule's inputs and params."""
    recipes = Recipes(rules)
    for rule in rules:
        _frame(recipes, rule)
    return recipes


def _frame(recipes: Recipes, rule: Any) -> None:
    names = list(recipes.inputs[rule.name])
    rule._input = type(rule.input)()
    rule.set_input(changed=_markers(recipes, rule), **{name: _inputs(recipes, rule, name) for name in names})
    rule.set_params(recipe=_plan(recipes))


def _first_output(rule: Any, wildcards: Any) -> str:
    return str(apply_wildcards(rule.output[0], dict(wildcards.items())))


def _inputs(recipes: Recipes, rule: Any, name: str) -> Callable[[Any], list[Any]]:
    """Input function: the paths as they are for a job that must run; for a fresh one ancient, and only what is there.

    Snakemake passes a rerun on through inputs that are not ancient, and does not ask the jobs below one that runs for
    reasons of their own (snakemake#4166). A missing input wakes a job even if it is ancient; a fresh one needs none.
    """

    def inputs(wildcards: Any) -> list[Any]:
        paths = recipes.inputs_of(rule, dict(wildcards.items()))[name]
        if recipes.stale(_first_output(rule, wildcards)):
            return paths
        return [ancient(path) for path in paths if Path(path).exists()]

    return inputs


def _markers(recipes: Recipes, rule: Any) -> Callable[[Any], list[str]]:
    """Input function: a file newer than the outputs for each difference: Snakemake reruns the job and says why."""

    def markers(wildcards: Any) -> list[str]:
        output = _first_output(rule, wildcards)
        return [marker(output, difference) for difference in recipes.differences(output)[:5]]

    return markers


def marker(output: str, difference: str) -> str:
    """A file newer than an output, named by what makes the output stale."""
    path = CHANGED / re.sub(r"[/\s{}\"'*?]+", " ", difference)[:120].strip()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(str(time.time_ns()))  # never the same twice: Snakemake compares checksums too
    newest = max((file.stat().st_mtime for file in seal.files_of([output]) if file.exists()), default=0)
    os.utime(path, (max(time.time(), newest + 1),) * 2)
    return str(path)


def _plan(recipes: Recipes) -> Callable[[Any, Any], str]:
    """Params function: a file with the recipe that the job is to follow."""

    def plan(wildcards: Any, output: Any) -> str:
        recipe = recipes.recipe(str(output[0]))
        path = PLANNED / f"{seal.name(recipe)}.json"
        seal.write(path, recipe)
        return str(path)

    return plan


def _compare(have: dict[str, Any], want: dict[str, Any]) -> Iterator[str]:
    for part in ("code", "params", "inputs"):
        before, now = have.get(part, {}), want[part]
        for key in sorted(before.keys() | now.keys()):
            if before.get(key) != now.get(key):
                yield f"{key} was {before.get(key)}, is {now.get(key)}" if part == "params" else f"{part} {key} changed"


def _listed(item: Any) -> list[Any]:
    return [item] if isinstance(item, str | Path) else list(item)


def _takes_wildcards_alone(function: Callable[..., Any]) -> bool:
    return len(inspect.signature(function).parameters) == 1


def _parsed(value: Any) -> Any:
    """A setting that was written as JSON for a flag, as what it says: so that a difference names its key."""
    try:
        return json.loads(value) if isinstance(value, str) and value.startswith("{") else value
    except ValueError:
        return value


def _flat(value: Any, prefix: str = "") -> dict[str, Any]:
    if isinstance(value, dict):
        return {
            k: v
            for name, inner in value.items()
            for k, v in _flat(inner, f"{prefix}.{name}" if prefix else name).items()
        }
    return {prefix: value if isinstance(value, str | int | float | bool | None) else str(value)}
