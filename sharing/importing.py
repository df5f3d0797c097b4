"""Take an exported study into DVC's cache, with and without DVC: `make import FOLDER=...`, the reverse of export.py.

The folder is checked first as `make verify` does it; nothing of it is run. The cache gets the bytes of all artifacts
and the notes of their recipes (freshness/cached.py). The working tree is left as it is: `snakemake` brings back what
the study that is here asks for, and what differs between the two is said.
"""

import json
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import Any

from freshness import cached, keep, libraries, links, lock, seal, sources
from freshness.contents import load, load_sealed
from freshness.syntax import says
from sharing import check, crate, layout, named
from workflow_scripts.lib.command import command
from workflow_scripts.lib.errors import StudyError

ARTIFACTS = "artifacts/"
SHOWN = 5  # names in a line
Sealed = dict[str, dict[str, Any]]  # path of a recipe -> what it sealed


class ImportStudyError(StudyError):
    """A folder that is no export as it was written, or a cache that cannot be written to."""


def import_study(folder: Path) -> None:
    """Put the artifacts of an exported study and the notes of their recipes into DVC's cache, and say what differs.

    Args:
        folder: what `make export` wrote
    """
    if folder == Path():
        raise ImportStudyError("FOLDER says which: a folder that `make export` wrote")
    files = _checked(folder)
    recipes = {path: sealed for path in files if path.endswith(".recipe") and (sealed := load_sealed(folder / path))}
    cache = cached.cache()
    try:
        links.make_cache(cache.folder, shared=cache.shared)
        for stage, inside in _by_stage(files).items():
            keep.keep_folder(cache, folder / stage, inside, believed=False)
    except OSError as error:
        raise ImportStudyError(f"DVC's cache {cache.folder} cannot be written to: {error.strerror}") from None
    for sealed in recipes.values():
        cached.remember(cache.folder, seal.name(sealed), sealed)
    noted = _noted(cache.folder, recipes)
    if lost := [path for path, sealed in recipes.items() if sealed not in noted[path]]:
        raise ImportStudyError(f"DVC's cache {cache.folder} did not take {lost[0]}: it cannot be written to")
    other = {path.removesuffix(".recipe") for path, sealed in recipes.items() if _otherwise(sealed, noted[path])}
    sys.stdout.write("\n".join([_told(folder, recipes, other), *_differences(folder, recipes)]) + "\n")


def _noted(cache: Path, recipes: Sealed) -> dict[str, list[dict[str, Any]]]:
    """All that the cache has of the same recipes, and whole."""
    kept = cached.remembered(cache)
    return {path: list(cached.recalled(cache, seal.name(sealed), kept)) for path, sealed in recipes.items()}


def _otherwise(sealed: dict[str, Any], noted: list[dict[str, Any]]) -> bool:
    """Whether the same was made here from the same bytes, and came out with others."""
    return any(one["made_from"] == sealed["made_from"] and one["bytes"] != sealed["bytes"] for one in noted)


def _checked(folder: Path) -> dict[str, str]:
    """File -> MD5, of all artifacts of an export that is as it was written; ImportStudyError where it is not."""
    if not (folder / check.SUMS).is_file():
        raise ImportStudyError(f"{folder} is no exported study: it has no {check.SUMS}")
    found = check.digests(folder)
    faults = list(check.faults(folder, found))
    kept = [path for path in found if path.startswith(ARTIFACTS)]
    faults += [f"{path}: in no stage's folder" for path in kept if path.count("/") < 2]
    faults += [f"{path}: no recipe" for path in kept if path.endswith(".recipe") and not load_sealed(folder / path)]
    if faults:
        raise ImportStudyError(
            f"{faults[0]}: {folder} is not as it was exported ({len(faults)} faults, `make verify` names them), "
            "so nothing was taken"
        )
    return {path: found[path][1] for path in kept}


def _by_stage(files: dict[str, str]) -> dict[str, dict[str, str]]:
    """Folder of a stage -> path in it -> MD5."""
    stages: dict[str, dict[str, str]] = {}
    for path, md5 in files.items():
        _, stage, inside = path.split("/", 2)
        stages.setdefault(f"{ARTIFACTS}{stage}", {})[inside] = md5
    return stages


def _told(folder: Path, recipes: Sealed, other: set[str]) -> str:
    stays = (
        f"; {len(other)} gave other bytes here, too ({named.listed(other, SHOWN)}): "
        "what dvc.lock names comes back, or else the import's"
        if other
        else ""
    )
    return (
        f"{folder}: what {len(recipes)} recipes gave is in DVC's cache{stays}; "
        "`snakemake -n` says what of it comes back here, `snakemake --cores all` brings it back"
    )


def _differences(folder: Path, recipes: Sealed) -> Iterator[str]:
    """What differs between an export and what is here, in lines: where recipes differ, nothing comes back."""
    if keys := _keys(folder):
        theirs = folder / crate.CODE / lock.PARAMS
        yield f"params.yaml is another here in {keys}: `cp {theirs} {lock.PARAMS}` takes the export's"
    if data := _outside(folder):
        yield f"data or models are not here, or not the same: {data}"
    if code := named.listed(set(_code(folder, recipes)), SHOWN):
        yield f"made by other code than is here, and not brought back where that counts: {code}"
    if releases := named.listed(set(_releases(recipes)), SHOWN):
        yield f"made with other libraries than are here, and not brought back unless `counts_as` says so: {releases}"


def _keys(folder: Path) -> str:
    """Keys of params.yaml that differ, the order of what they hold included."""
    theirs, here = (lock.read(path) for path in (folder / crate.CODE / lock.PARAMS, Path(lock.PARAMS)))
    said = [{key: json.dumps(value, default=str) for key, value in one.items()} for one in (theirs, here)]
    return named.listed({key for key, _ in said[0].items() ^ said[1].items()}, SHOWN)


def _outside(folder: Path) -> str:
    """Files and folders of data and models whose bytes are not those that the export's study had."""
    kinds = [load(folder / crate.CODE / sources.digests(kind)) or {} for kind in sources.KINDS.values()]
    had = {path: md5 for kind in kinds for path, md5 in kind.items()}
    return named.listed({path for path, md5 in had.items() if (sources.digest_of(path) or {}).get("md5") != md5}, SHOWN)


def _code(folder: Path, recipes: Sealed) -> Iterator[str]:
    """Modules that are not those of the recipes, and rules that are not those beside them."""
    digests = {pair for sealed in recipes.values() for pair in sealed["code"].items() if pair[0] != "command"}
    for module, digest in digests:
        if not says(Path(module), digest):
            yield module
    for theirs in (folder / crate.CODE / layout.RULES).glob("*.smk"):
        here = layout.RULES / theirs.name
        if not here.is_file() or _lines(here) != _lines(theirs):
            yield str(here)


def _lines(rules: Path) -> list[str]:
    """Lines of a rule file that are no comments."""
    return [line for line in rules.read_text(encoding="utf-8").splitlines() if not line.lstrip().startswith("#")]


def _releases(recipes: Sealed) -> Iterator[str]:
    """Libraries whose release is not that of the recipes."""
    counts_as = lock.read(Path(lock.PARAMS)).get("counts_as") or {}
    for library, release in {pair for sealed in recipes.values() for pair in sealed["libraries"].items()}:
        try:
            here = counts_as.get(library) or libraries.here(library)
        except PackageNotFoundError:
            here = "none"
        if here != release:
            yield f"{library} {release} ({here} here)"


if __name__ == "__main__":
    command(import_study)
