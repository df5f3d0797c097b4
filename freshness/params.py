"""What a recipe says of a rule's params."""

import inspect
import json
import re
from collections.abc import Callable
from functools import cache
from typing import Any

from snakemake.iocontainers import Wildcards

from workflow_scripts.lib.artifacts import provenance

FLAG = re.compile(r"\{wildcards\.(\w+)")


def said(params: dict[str, Any], wildcards: dict[str, str], command: str, places: dict[str, str]) -> dict[str, Any]:
    """Name -> value of the params of a job, settings key by key, and of the wildcards that its command says.

    `places`: path -> what is said in its stead. Paths have names of models and data sets in them, which are no content.
    """
    space = Wildcards(fromdict=wildcards)
    # A param that is worked out from the inputs says nothing that the inputs do not.
    worth = {k: v(space) if callable(v) else v for k, v in params.items() if not callable(v) or _of_wildcards_alone(v)}
    flags = {name: wildcards[name] for name in FLAG.findall(command)}
    values = {name: _placed(_parsed(value), places) for name, value in {**flags, **worth}.items()}
    # The order of keys is content too: it is that of labels.
    written = {
        f"{name}, as written": provenance.digest(json.dumps(v)) for name, v in values.items() if isinstance(v, dict)
    }
    return _flat(values | written)


@cache
def _of_wildcards_alone(function: Callable[..., Any]) -> bool:
    return len(inspect.signature(function).parameters) == 1


def _parsed(value: Any) -> Any:
    """A setting that was written as JSON for a flag, as what it says: so that a difference names its key."""
    try:
        return json.loads(value) if isinstance(value, str) and value.startswith("{") else value
    except ValueError:
        return value


def _placed(value: Any, places: dict[str, str]) -> Any:
    """A value with every path of an artifact, or of what is in its folder, said by its place."""
    if isinstance(value, dict):
        return {key: _placed(inner, places) for key, inner in value.items()}
    if isinstance(value, list):
        return [_placed(inner, places) for inner in value]
    if not isinstance(value, str):
        return value
    above, _, name = value.rpartition("/")
    return places.get(value) or (f"{places[above]}/{name}" if above in places else value)


def _flat(value: Any, prefix: str = "") -> dict[str, Any]:
    if isinstance(value, dict):
        return {
            k: v
            for name, inner in value.items()
            for k, v in _flat(inner, f"{prefix}.{name}" if prefix else name).items()
        }
    return {prefix: value if isinstance(value, str | int | float | bool | None) else str(value)}
