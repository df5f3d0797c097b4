"""What a recipe says of a rule's params."""

import inspect
import json
import re
from collections.abc import Callable
from typing import Any

from snakemake.iocontainers import Wildcards

from workflow_scripts.lib.artifacts import provenance

FLAG = re.compile(r"\{wildcards\.(\w+)")


def said(params: dict[str, Any], wildcards: dict[str, str], command: str) -> dict[str, Any]:
    """Name -> value of the params of a job, settings key by key, and of the wildcards that its command says."""
    space = Wildcards(fromdict=wildcards)
    # A param that is worked out from the inputs says nothing that the inputs do not.
    worth = {k: v(space) if callable(v) else v for k, v in params.items() if not callable(v) or _of_wildcards_alone(v)}
    flags = {name: wildcards[name] for name in FLAG.findall(command)}
    written = {f"{name}, as written": provenance.digest(v) for name, v in worth.items() if _parsed(v) is not v}
    return _flat({name: _parsed(value) for name, value in {**flags, **worth}.items()} | written)


def _of_wildcards_alone(function: Callable[..., Any]) -> bool:
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
