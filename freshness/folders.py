"""What lies in a stage's folder: artifacts of the study, those of another study, and what is none of ours."""

import os
import re
import shutil
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from freshness import seal
from freshness.contents import OURS, contents, files_of, load_sealed, md5

ASIDE = Path("aside")
HALF_WRITTEN = re.compile(r"\.(.*)\.\d+\.tmp")  # workflow_scripts/lib/artifacts/tables.py, contents.py, cached.py


class Found(NamedTuple):
    """Files that are of no job of the study: what we made once, and what somebody else put there."""

    orphans: list[Path]
    foreign: list[Path]


def sort_out(folder: str, jobs: list[dict[str, str]]) -> Found:
    """Tell the files of a stage's folder apart; `jobs` are the outputs of each of its jobs."""
    kept = {str(file) for outputs in jobs for file in _made_by(outputs)}
    files = [file for file in files_of([folder]) if file.is_file() or file.is_symlink()]
    rest = [file for file in files if str(file) not in kept]
    sealed = {recipe: _sealed_with(recipe) for recipe in rest if recipe.suffix == ".recipe" and load_sealed(recipe)}
    orphans = {*sealed, *(file for made in sealed.values() for file in made if file in rest)}
    known = {*kept, *map(str, orphans), *(path for outputs in jobs for path in outputs.values())}
    orphans |= {file for file in rest if _half_written(file, known)}
    return Found(sorted(orphans), [file for file in rest if file not in orphans])


def recorded(folder: str, jobs: list[dict[str, str]]) -> dict[str, str]:
    """Path in a stage's folder -> MD5, of all that is to be recorded: what its jobs made, and their recipes."""
    files: dict[str, str] = {}
    for outputs in jobs:
        files |= contents([*outputs.values(), str(seal.recipe_path(seal.first(outputs)))])
    return {os.path.relpath(path, folder): found for path, found in files.items()}


def _half_written(file: Path, known: set[str]) -> bool:
    """Whether a file has, or is in a folder that has, the temporary name of something of ours."""
    named = ((part, HALF_WRITTEN.fullmatch(part.name)) for part in (file, *file.parents))
    return any(match and str(part.with_name(match[1])) in known for part, match in named)


def _made_by(outputs: dict[str, str]) -> list[Path]:
    """Files of a job: those sealed, its recipe, and all that is there where nothing is sealed yet."""
    recipe = seal.recipe_path(seal.first(outputs))
    sealed = load_sealed(recipe)
    single = [Path(path) for path in outputs.values() if not Path(path).is_dir()]
    if sealed is None:
        return [recipe, *single, *files_of(outputs.values())]
    known = (key for key in sealed["bytes"] if key.partition("/")[0] in outputs)
    return [recipe, *single, *(Path(seal.path_of(key, outputs)) for key in known)]


def _sealed_with(recipe: Path) -> list[Path]:
    """Files that a recipe of a job that is no more says it made.

    The first output has the recipe's name. Others lie beside it, called as outputs are, with bytes that were sealed.
    """
    base = recipe.with_suffix("")
    sealed = (load_sealed(recipe) or {"bytes": {}})["bytes"]
    outputs = {key.partition("/")[0]: str(base) for key in sealed}
    for file in recipe.parent.iterdir() if len(outputs) > 1 else ():
        if file.is_file() and file != base and sealed.get(file.stem) == md5(file):
            outputs[file.stem] = str(file)
    return [Path(seal.path_of(key, outputs)) for key in sealed]


def move_aside(files: list[Path]) -> None:
    """Move what is not ours out of the artifacts, where DVC would version it and a job remove it; say so."""
    for file in files:
        target = _free(ASIDE / file)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(file, target)
        sys.stderr.write(f"{file} is none of the study's artifacts: moved to {target}\n")


def _free(path: Path) -> Path:
    """A path that is not taken."""
    number = 0
    free = path
    while free.exists():
        number += 1
        free = path.with_name(f"{path.name}.{number}")
    return free


def tidy(folder: str, jobs: list[dict[str, str]]) -> None:
    """Remove from a stage's folder what is of no study any more, and folders that this leaves empty."""
    for orphan in sort_out(folder, jobs).orphans:
        orphan.unlink()
    for inside, _, _ in sorted(os.walk(folder), reverse=True):
        if {path.name for path in Path(inside).iterdir()} <= OURS:
            shutil.rmtree(inside)


def date_back(paths: Iterable[str]) -> None:
    """Date artifacts of the future now: their times mean nothing here, and Snakemake fails on them."""
    now = time.time_ns()
    for path in _dated(paths):
        if path.lstat().st_mtime_ns > now:
            os.utime(path, ns=(now, now), follow_symlinks=False)
        if path.exists() and path.stat().st_mtime_ns > now:
            os.utime(path, ns=(now, now))


def newest(paths: Iterable[str]) -> int:
    """The latest time that Snakemake may take for that of artifacts, in nanoseconds; now, where there are none."""
    times = [
        seen.st_mtime_ns
        for path in _dated(paths)
        for seen in (path.lstat(), path.stat() if path.exists() else path.lstat())
    ]
    return max(times, default=time.time_ns())


def _dated(paths: Iterable[str]) -> Iterator[Path]:
    """What has the times of artifacts: they, and the mark that Snakemake leaves in folders."""
    for path in map(Path, paths):
        yield from (one for one in (path, path / ".snakemake_timestamp") if os.path.lexists(one))
