"""What an artifact would be made from now, worked out from the Snakefile, params.yaml, code and libraries alone.

A recipe is what makes an artifact: code (the rule's command, and the syntax of every module of ours that it runs), the
versions of libraries that count, params, and the recipes of its inputs, recursively. It stands beside the artifact, is
written last, and is versioned with it by DVC. File times and .snakemake/ decide nothing, so `dvc pull`, `dvc checkout`
and `dvc exp apply` need no step after them. What models and data sets are called is in no recipe.

A rule says `sealed(...)` around its command; judge.py compares what was made with what is worked out here.
"""

import re
from collections.abc import Callable, Iterator
from functools import cache, cached_property
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

from snakemake.iocontainers import Wildcards

from freshness import libraries, seal
from freshness.contents import contents
from freshness.params import said
from freshness.syntax import syntax_digests
from workflow_scripts.lib.artifacts import provenance
from workflow_scripts.lib.errors import StudyError

PLAIN = "python -m "
SEALED = "python startup/warm.py {params.ready} freshness.job {params.job:q} "
FILLED_IN = re.compile(r"python startup/warm\.py \S+ freshness\.job \S+ ")  # SEALED in a job
WILDCARD = re.compile(r"\{(\w+)(?:,[^{}]*)?\}")  # Snakemake's {name} or {name,constraint}
COMMAND = re.compile(r"python -m (workflow_scripts\.\w+)")

Artifact = dict[str, Any]  # of an input: the outputs of its job, which of them it is, and the name of the recipe


class Made(NamedTuple):
    """A job: its rule, its wildcards, and name -> path of its outputs, the first of which names it."""

    rule: Any
    wildcards: dict[str, str]
    outputs: dict[str, str]


class RecipeError(StudyError):
    """Rules that do not fit together."""


def sealed(command: str) -> str:
    """`python -m STAGE FLAGS...` as a job: begun only on what its recipe says, and what it makes is sealed."""
    return command.replace(PLAIN, SEALED, 1)


def by_hand(shellcmd: str) -> str:
    """The command of a job of Snakemake's as a person would give it."""
    return FILLED_IN.sub(PLAIN, shellcmd, count=1)


def _stage_command(shellcmd: str) -> str:
    """A stage's command as its rule has it: what `sealed` adds cannot change an artifact."""
    return shellcmd.replace(SEALED, PLAIN, 1)


def path_of(pattern: str, wildcards: dict[str, str]) -> str:
    """The path that a pattern of Snakemake's is for some wildcards."""
    return WILDCARD.sub(lambda found: wildcards[found[1]], str(pattern))


class Recipes:
    """The recipes of a workflow's artifacts, as the Snakefile, params.yaml, the code and the libraries have them now.

    `values`: wildcard -> its values in this study; `counts_as`: library -> the version that it is taken for; `exists`:
    whether the study has the job of two wildcards or more. Everything is worked out once and kept.
    """

    def __init__(
        self,
        rules: list[Any],
        values: dict[str, list[str]],
        counts_as: dict[str, str],
        exists: Callable[[dict[str, str]], bool] = lambda wildcards: True,
    ) -> None:
        self.rules, self.values, self.counts_as, self.exists = rules, values, counts_as, exists
        self.rule_inputs = {rule.name: dict(rule.input.items()) for rule in rules}
        self.rule_params = {rule.name: dict(rule.params.items()) for rule in rules}
        self.commands = {rule.name: _stage_command(rule.shellcmd) for rule in rules}
        for method in ("inputs_of", "code", "versions", "recipe", "name"):
            setattr(self, method, cache(getattr(self, method)))

    @cached_property
    def made(self) -> dict[str, Made]:
        """Path -> the job that makes it, of all outputs of the study; inputs come before what needs them."""
        jobs = [
            Made(rule, wildcards, {name: path_of(output, wildcards) for name, output in rule.output.items()})
            for rule in self.rules
            for wildcards in self._combinations(rule)
        ]
        return {path: job for job in jobs for path in job.outputs.values()}

    @cached_property
    def jobs(self) -> dict[str, list[str]]:
        """Stage -> first output of each of its jobs, in the order of the rules."""
        jobs: dict[str, list[str]] = {}
        for path, job in self.made.items():
            if path == seal.first(job.outputs):
                jobs.setdefault(path.split("/")[1], []).append(path)
        return jobs

    def _combinations(self, rule: Any) -> Iterator[dict[str, str]]:
        """The wildcards of each of a rule's jobs."""
        used = set(WILDCARD.findall(str(rule.output[0])))
        names = [name for name in self.values if name in used]
        for values in product(*(self.values[name] for name in names)):
            if self._has(one := dict(zip(names, values, strict=True))):
                yield one

    def _has(self, wildcards: dict[str, str]) -> bool:
        # One wildcard alone is no combination: its values are what `values` says. reads.py counts on that.
        return len(wildcards) < 2 or self.exists(wildcards)

    @property
    def every_job(self) -> list[str]:
        """First output of every job."""
        return [job for jobs in self.jobs.values() for job in jobs]

    def producer(self, path: str) -> Any:
        """The rule that makes a path, or None where the study has no such job."""
        return self.made[path].rule if path in self.made else None

    def outputs(self, path: str) -> dict[str, str]:
        """Name -> path of all outputs of the job that makes a path; the first names the job."""
        return self.made[path].outputs

    def job_of(self, path: str) -> str:
        """First output of the job that makes a path."""
        return seal.first(self.outputs(path))

    def inputs_of(self, job: str) -> dict[str, list[str]]:
        """Name -> paths of a job's inputs."""
        rule, wildcards, _ = self.made[job]
        space = Wildcards(fromdict=wildcards)
        return {
            # What a function gives is a path as it is, whatever braces it has.
            name: [str(path) for path in _listed(item(space))]
            if callable(item)
            else [path_of(path, wildcards) for path in _listed(item)]
            for name, item in self.rule_inputs[rule.name].items()
        }

    def upstream(self, job: str) -> list[str]:
        """First outputs of the jobs that make a job's inputs."""
        paths = [path for some in self.inputs_of(job).values() for path in some if self.producer(path)]
        return list(dict.fromkeys(map(self.job_of, paths)))

    def recipe(self, job: str) -> dict[str, Any]:
        """What would be sealed with a job's artifact if it were made now."""
        rule, wildcards, _ = self.made[job]
        return {
            "code": {"command": provenance.digest(self.commands[rule.name]), **self.code(rule.name)},
            "libraries": self.versions(rule.name),
            "params": said(self.rule_params[rule.name], wildcards, self.commands[rule.name], self.places(job)),
            "inputs": {
                name: [self.ingredient(path) for path in paths] for name, paths in self.inputs_of(job).items() if paths
            },
        }

    def places(self, job: str) -> dict[str, str]:
        """Path -> input name and number, of the artifacts that a job reads."""
        inputs = self.inputs_of(job).items()
        return {p: f"{name} {place}" for name, paths in inputs for place, p in enumerate(paths) if self.producer(p)}

    def name(self, job: str) -> str:
        """The name of a job's recipe."""
        return seal.name(self.recipe(job))

    def ingredient(self, path: str) -> str:
        """What a recipe says of an input: the name of its recipe; name and MD5 of a file that no rule makes.

        RecipeError where it is an artifact that the study does not have.
        """
        if self.producer(path):
            return self.name(self.job_of(path))
        if path.startswith("artifacts/"):
            raise RecipeError(f"{path} is an input, and made by no job of this study: `exists` and the rules disagree")
        return f"{path} {self.source(path)}"

    def source(self, path: str) -> str:
        """MD5 of a file that no rule makes."""
        return contents([path]).get(path, "missing")

    def code(self, rule: str) -> dict[str, str]:
        """Module file -> digest of its syntax, for all that a rule's command runs."""
        command = COMMAND.search(self.commands[rule])
        return syntax_digests(command[1]) if command else {}

    def versions(self, rule: str) -> dict[str, str]:
        """Library -> minor release, of those that count for a rule's command."""
        return libraries.versions(list(self.code(rule)), self.counts_as)

    def provenance(self) -> dict[str, dict[str, str]]:
        """Stage -> digests of its code and of the settings of all its jobs, and its libraries with their releases."""
        return {stage: _summary([self.recipe(job) for job in jobs]) for stage, jobs in self.jobs.items()}

    def artifacts_of(self, job: str) -> dict[str, list[Artifact]]:
        """Input name -> the artifacts that it is; inputs that no rule makes are left out."""
        return {
            name: [
                {"outputs": outputs, "output": _output_of(path, outputs), "recipe": self.ingredient(path)}
                for path in paths
                for outputs in [self.outputs(path)]
            ]
            for name, paths in self.inputs_of(job).items()
            if paths and self.producer(paths[0])
        }

    def sources_of(self, job: str) -> dict[str, str]:
        """File -> MD5 of a job's inputs that no rule makes."""
        paths = [path for some in self.inputs_of(job).values() for path in some if not self.producer(path)]
        return {path: self.source(path) for path in paths}


def _output_of(path: str, outputs: dict[str, str]) -> str:
    return next(name for name, output in outputs.items() if output == path)


def _listed(item: Any) -> list[Any]:
    return [item] if isinstance(item, str | Path) else list(item)


def _summary(recipes: list[dict[str, Any]]) -> dict[str, str]:
    libraries = {f"{name} {release}" for one in recipes for name, release in one["libraries"].items()}
    parts = {part: sorted({provenance.digest(one[part]) for one in recipes}) for part in ("code", "params")}
    digests = {part: some[0] if len(some) == 1 else provenance.digest(some) for part, some in parts.items()}
    return {"code": digests["code"], "settings": digests["params"], "libraries": ", ".join(sorted(libraries))}
