"""What a result was made by, stage by stage, gathered from the origins of the artifacts on the way to it."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from workflow_scripts.lib.provenance import digest
from workflow_scripts.lib.tables import read_origin

Lineage = dict[str, dict[str, Any]]


def lineage_of(artifacts: Iterable[Path]) -> Lineage:
    """Stage -> digests of its code and settings and its libraries' versions, of artifacts and what they came from."""
    lineage: Lineage = {}
    for origin in map(read_origin, artifacts):
        for stage, seen in origin.get("lineage", {}).items():
            _merge(lineage, stage, seen)
        add(lineage, origin)
    return lineage


def add(lineage: Lineage, origin: dict[str, Any]) -> None:
    """Add what an origin says of its own stage."""
    _merge(lineage, origin["stage"], _summary(origin))


def _summary(origin: dict[str, Any]) -> dict[str, Any]:
    versions = {library: [version] for library, version in origin["versions"].items()}
    return {"code": [origin["code"]], "settings": [digest(origin["settings"])], "versions": versions}


def _merge(lineage: Lineage, stage: str, seen: dict[str, Any]) -> None:
    known = lineage.setdefault(stage, {"code": [], "settings": [], "versions": {}})
    for key in ("code", "settings"):
        known[key] = sorted({*known[key], *seen[key]})
    for library, versions in seen["versions"].items():
        known["versions"][library] = sorted({*known["versions"].get(library, []), *versions})
