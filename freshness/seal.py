"""Seal an artifact: write beside it the recipe it was made by, with digests of its bytes and of those it was made from.

`begin` and `seal` stand before and after every job's stage (job.py). A file of planned.py says what the job makes, by
which recipe, and what it reads. Begin refuses a job whose code, data or inputs are not what the recipe says; seal
refuses one during which any of it was written to.

The standard library only, so that a job does not wait for it.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from freshness import cached, libraries
from freshness.contents import (
    PARTS,
    Identity,
    contents,
    digest,
    files_in,
    identity,
    load,
    load_sealed,
    md5,
    same_to_dvc,
    write,
)
from workflow_scripts.lib.errors import StudyError

Job = dict[str, Any]
Sealed = dict[str, Any]


class ChangedError(StudyError):
    """What a job reads is not what its recipe says."""


def recipe_path(output: str) -> Path:
    """Where the recipe of a job stands: beside its first output."""
    return Path(f"{output}.recipe")


def first(outputs: dict[str, str]) -> str:
    """The output that names a job."""
    return next(iter(outputs.values()))


def name(recipe: dict[str, Any]) -> str:
    """16 hex digits of a recipe, sealed or not."""
    return digest({part: recipe.get(part) for part in PARTS})


def named(outputs: dict[str, str]) -> dict[str, str]:
    """Name -> MD5 of every file of a job's outputs: the output's name in the rule, then the path inside a folder."""
    return {key_of(path, outputs): found for path, found in contents(outputs.values()).items()}


def key_of(path: str, outputs: dict[str, str]) -> str:
    """The name of a file of a job, whatever its artifact is called: names of models and data sets are no content."""
    return next(
        f"{output}/{path.removeprefix(folder + '/')}" if path != folder else output
        for output, folder in outputs.items()
        if path == folder or path.startswith(f"{folder}/")
    )


def path_of(key: str, outputs: dict[str, str]) -> str:
    """The file of that name."""
    output, _, inside = key.partition("/")
    return f"{outputs[output]}/{inside}" if inside else outputs[output]


def altered(outputs: dict[str, str], sealed: Sealed) -> list[str]:
    """Files of an artifact that are not as they were sealed; what else lies in its folders does not count."""
    now = named(outputs)
    return [path_of(key, outputs) for key, was in sealed["bytes"].items() if now.get(key) != was]


def part(sealed: Sealed, output: str) -> str:
    """Digest of the bytes of one output of a sealed job."""
    return digest({key: md5 for key, md5 in sealed["bytes"].items() if key.partition("/")[0] == output})


def intact(outputs: dict[str, str]) -> Sealed | None:
    """What is sealed beside an artifact, if its bytes are still those."""
    sealed = load_sealed(recipe_path(first(outputs)))
    return sealed if sealed and not altered(outputs, sealed) else None


def begin(job: Job, path: Path) -> None:
    """Before the command: all that the job reads is what its recipe says, or ChangedError.

    Notes when each file was last written, beside the job's file.
    """
    recipe_path(first(job["outputs"])).unlink(missing_ok=True)  # from now on the artifact is half made
    read = read_by(job)
    changed = [*changed_files(job), *changed_inputs(job), *changed_libraries(job)]
    if changed:
        raise ChangedError(f"not started: {changed[0]} is not what it was when this run began")
    write(begun(path), {str(file): seen for file, seen in read.items()})


def seal(job: Job, path: Path) -> None:
    """After the command: write the recipe, last of all; an artifact without it was not finished.

    ChangedError where a file that the job reads was written to meanwhile, and put back or not.
    """
    before, now = load(begun(path)) or {}, read_by(job)
    for file in sorted(before.keys() | {str(path) for path in now}):
        if not _untouched(file, before.get(file), now.get(Path(file)), job):
            raise ChangedError(f"not sealed: {file} was written to while the job ran")
    if added := list(added_files(job)):
        raise ChangedError(f"not sealed: {added[0]} came while the job ran")
    if upgraded := list(changed_libraries(job)):
        raise ChangedError(f"not sealed: another release of {upgraded[0]} was installed while the job ran")
    if missing := [output for output in job["outputs"].values() if not Path(output).exists()]:
        raise ChangedError(f"not sealed: {missing[0]} was not made")
    sealed = job["recipe"] | job["accepted"] | {"bytes": named(job["outputs"]), "made_from": made_from(job)}
    write(recipe_path(first(job["outputs"])), sealed)
    cached.remember(Path(job["cache"]), name(sealed), sealed)


def begun(path: Path) -> Path:
    """Where begin leaves its note for seal."""
    return path.with_suffix(".begun")


def made_from(job: Job) -> dict[str, list[str]]:
    """Input -> digests of the bytes that are there now."""
    return {
        input_: [part(intact(one["outputs"]) or {"bytes": {}}, one["output"]) for one in artifacts]
        for input_, artifacts in job["inputs"].items()
    }


def read_by(job: Job) -> dict[Path, Identity]:
    """File -> identity, of all that a job reads."""
    artifacts = [path for some in job["inputs"].values() for one in some for path in contents(one["outputs"].values())]
    return {path: identity(path) for path in map(Path, [*job["files"], *artifacts]) if path.exists()}


def _untouched(file: str, before: Identity | None, now: Identity | None, job: Job) -> bool:
    # Another clone that links to the same cache changes an artifact's ctime; bytes were read again then.
    if before and now and file not in job["files"]:
        return same_to_dvc(before, now)
    return before == now


def changed_files(job: Job) -> Iterator[str]:
    """Modules, data and models of a job whose bytes are not those planned, and what came into a model's folder.

    Comments and layout of modules do not count. Files as they were last seen are not read again: a model's weights
    would be, by every job.
    """
    for file, planned in job["files"].items():
        path = Path(file)
        if not path.exists() or (_bytes_of(file, job) != planned and not _same_syntax(file, job)):
            yield file
    yield from added_files(job)


def added_files(job: Job) -> Iterator[str]:
    """Files that were not there when a job was planned, in the folders of its models: loading might take them."""
    for folder in job["folders"]:
        yield from (str(file) for file in files_in(folder) if str(file) not in job["files"])


def _bytes_of(file: str, job: Job) -> str:
    return md5(Path(file)) if file in job["recipe"]["code"] else contents([file])[file]


def _same_syntax(file: str, job: Job) -> bool:
    planned = job["recipe"]["code"].get(file)
    if planned is None:
        return False
    from freshness.syntax import says  # seldom needed, and not quick to import

    return says(Path(file), planned)


def changed_inputs(job: Job) -> Iterator[str]:
    """Input artifacts of a job that are not whole and made by the planned recipe."""
    for some in job["inputs"].values():
        for one in some:
            sealed = intact(one["outputs"])
            if sealed is None or name(sealed) != one["recipe"]:
                yield one["outputs"][one["output"]]


def changed_libraries(job: Job) -> Iterator[str]:
    """Libraries that count for a job and of which another release was installed since it was planned."""
    yield from (library for library, release in job["installed"].items() if libraries.here(library) != release)
