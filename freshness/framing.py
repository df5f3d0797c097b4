"""How Snakemake is told what plan.py decides: input functions around those of the rules, and marker files.

Nothing that goes wrong here may ever mean "fresh". Snakemake drops an error of an input function where the file is
there already; so whatever is raised ends the process.
"""

import os
import re
import sys
import time
import traceback
from collections.abc import Callable, Iterable
from functools import wraps
from inspect import signature
from pathlib import Path
from typing import Any

from snakemake.common import overwrite_function_params
from snakemake.io import _IOFile, unpack

from freshness import folders
from freshness.contents import digest
from freshness.recipes import path_of
from startup.warm import MODELS, TABLES
from workflow_scripts.lib.errors import StudyError

UNTOLD = "What is fresh cannot be told, so nothing is run"
CHANGED = Path(".snakemake/changed")
A_MONTH = 30 * 24 * 3600
_dated: dict[Path, int] = {}  # marker of this process -> its time in nanoseconds


def guarded(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function whose failure ends the process, also where Snakemake would rather go on without its answer."""

    @wraps(function)
    def guard(*arguments: Any, **named: Any) -> Any:
        try:
            return function(*arguments, **named)
        except (OSError, StudyError) as error:
            sys.exit(f"{UNTOLD}: {error}")
        except Exception:
            traceback.print_exc()
            sys.exit(UNTOLD)

    return _with_params(guard)


def _with_params(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function with its parameters beside it: Snakemake asks at every call, and would work them out each time."""
    overwrite_function_params(function, signature(function).parameters)
    return function


def marker(outputs: Iterable[str], reason: str) -> str:
    """A file newer than some outputs, named by what makes them stale: ASCII, short, and no pattern to Snakemake."""
    told = re.sub(r"[^A-Za-z0-9 .,_()\[\]-]+", " ", reason).strip()
    name = told if told == reason.replace("/", " ") and len(told) <= 120 else f"{told[:110]} {digest(reason)[:6]}"
    path = CHANGED / name.strip()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(str(time.time_ns()))  # never the same twice: Snakemake compares checksums too
    _dated[path] = max(folders.newest(outputs) + 10**6, _dated.get(path, 0))  # several jobs may share a reason
    os.utime(path, ns=(_dated[path],) * 2)
    return str(path)


def forget_old_markers() -> None:
    """Remove markers of runs that are over."""
    for path in CHANGED.glob("*"):
        if time.time() - path.stat().st_ctime > A_MONTH:
            path.unlink(missing_ok=True)


def follow(plan: Any) -> None:
    """Make Snakemake judge by recipes: frame each rule's inputs and params."""
    from snakemake.dag import DAG  # which cannot be imported before the rest of Snakemake is

    _IOFile.protected = _never
    DAG.check_output_mtime = _any_time
    plan.workflow.log_missing_metadata_info = _nothing
    for rule in plan.recipes.rules:
        rule._input = type(rule.input)()
        rule.set_input(unpack(_inputs(plan, rule)))
        rule._params = type(rule.params)()
        params = plan.recipes.rule_params[rule.name]
        framed = {"job": _job_file(plan, rule), "ready": _ready(plan, rule)}
        rule.set_params(**framed, **{name: _as_it_is(value) for name, value in params.items()})


async def _never(file: Any) -> bool:
    """No output is kept from being made anew: where one is read-only, it is a link into DVC's cache (links.py)."""
    return False


async def _any_time(dag: Any, job: Any, outputs: Any) -> None:
    """No job fails because the clock of its machine is behind that of one which made its inputs."""


def _nothing() -> None:
    """Snakemake has no notes on what DVC brought, and says that it could not judge by them: recipes do."""


def _job(rule: Any, wildcards: Any) -> str:
    return path_of(rule.output[0], dict(wildcards.items()))


def _inputs(plan: Any, rule: Any) -> Callable[[Any], dict[str, list[Any]]]:
    """All inputs of a job at once: Snakemake takes as long to ask for one as we to find them all."""

    def inputs(wildcards: Any) -> dict[str, list[Any]]:
        job = _job(rule, wildcards)
        return {"changed": plan.markers(job), **plan.inputs(job)}

    return guarded(inputs)


def _as_it_is(value: Any) -> Any:
    """A param: a setting may say {x}, which Snakemake takes for a wildcard in a string, but not from a function."""
    function = (lambda wildcards: value) if isinstance(value, str) else value
    return _with_params(function) if callable(function) else function


def _job_file(plan: Any, rule: Any) -> Callable[[Any], str]:
    return guarded(lambda wildcards: plan.planned.job_file(_job(rule, wildcards)))


def _ready(plan: Any, rule: Any) -> Callable[[Any], str]:
    """What the process that a rule's jobs are forked from has imported (startup/warm.py)."""
    return guarded(lambda wildcards: MODELS if "torch" in plan.recipes.versions(rule.name) else TABLES)
