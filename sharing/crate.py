"""The metadata of an exported study as RO-Crate 1.1 has it (https://w3id.org/ro/crate/1.1), written from recipes.

Each sealed job is a CreateAction, as Process Run Crate describes what was run: its module and libraries are the
instrument, input artifacts and settings the object, output artifacts the result.
"""

import mimetypes
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from sharing import check

VERSION = "https://w3id.org/ro/crate/1.1"
FORMATS = {".parquet": "application/vnd.apache.parquet", ".recipe": "application/json", ".yaml": "application/yaml"}
CODE = "code"  # folder of what git has, in an export

Entity = dict[str, Any]


class Study(NamedTuple):
    """What a crate says of the whole."""

    name: str
    description: str
    date: str  # of the commit, ISO 8601
    commit: str


class Job(NamedTuple):
    """A sealed recipe, where it stands, and output name -> path of what it made; folders end in a slash."""

    path: str
    recipe: dict[str, Any]
    outputs: dict[str, str]


def metadata(study: Study, folder: Path, jobs: list[Job]) -> dict[str, Any]:
    """The content of ro-crate-metadata.json for a folder that has all its other files."""
    files = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    producers = {part: output for job in jobs for part, output in _parts(job).items()}
    # What several jobs have in common, a setting or a library, stands once.
    entities = {one["@id"]: one for job in jobs for one in [*_action(job, producers), *_folders(job, files)]}
    code = {entity["@id"] for entity in entities.values() if entity["@type"] == ["File", "SoftwareSourceCode"]}
    entities |= {one["@id"]: one for path in files if (one := _file(folder, path))["@id"] not in code}
    inside = {part["@id"] for entity in entities.values() for part in entity.get("hasPart", [])}
    top = [name for name, entity in entities.items() if _is_data(entity) and name not in inside]
    return {
        "@context": f"{VERSION}/context",
        "@graph": [_descriptor(), _root(study, top), _licence(), *entities.values()],
    }


def _descriptor() -> Entity:
    about = {"conformsTo": _ref(VERSION), "about": _ref("./")}
    return {"@id": check.CRATE, "@type": "CreativeWork", **about}


def _root(study: Study, parts: Iterable[str]) -> Entity:
    return {
        "@id": "./",
        "@type": "Dataset",
        "name": study.name,
        "description": study.description,
        "datePublished": study.date,
        "identifier": study.commit,
        "license": _ref("#licence"),
        "hasPart": [_ref(name) for name in parts],
    }


def _licence() -> Entity:
    said = f"{CODE}/LICENSE holds for the code. Models and data are their owners'."
    return {"@id": "#licence", "@type": "CreativeWork", "name": "Licence", "description": said}


def _file(folder: Path, path: str) -> Entity:
    suffix = Path(path).suffix
    kind = FORMATS.get(suffix) or mimetypes.guess_type(path)[0]
    about = {"name": Path(path).name, "contentSize": str((folder / path).stat().st_size)}
    return {"@id": quote(path), "@type": "File", **about, **({"encodingFormat": kind} if kind else {})}


def _folders(job: Job, files: list[str]) -> Iterable[Entity]:
    for path in job.outputs.values():
        if path.endswith("/"):
            inside = [_ref(quote(file)) for file in files if file.startswith(path)]
            yield {"@id": quote(path), "@type": "Dataset", "name": Path(path).name, "hasPart": inside}


def _action(job: Job, producers: dict[tuple[str, str], str]) -> list[Entity]:
    """What a job ran, and the settings, libraries and files from outside that it names."""
    recipe, stage = job.recipe, job.path.split("/")[1]
    module = f"{CODE}/workflow_scripts/{stage}.py"
    settings = [_setting(key, value) for key, value in recipe["params"].items()]
    libraries = [_library(name, recipe.get("accepted", {}).get(name, v)) for name, v in recipe["libraries"].items()]
    names = [one for some in recipe["inputs"].values() for one in some]
    outside = [_outside(*one.rpartition(" ")[::2]) for one in names if " " in one]
    made_from = [
        producers[one, part]
        for input_, some in recipe["made_from"].items()
        for one, part in zip(recipe["inputs"][input_], some, strict=True)
    ]
    action = {
        "@id": f"#{quote(job.path)}",
        "@type": "CreateAction",
        "identifier": job.path,
        "name": f"{stage}, recipe {check.name(recipe)}",
        "instrument": [_ref(module), *(_ref(one["@id"]) for one in libraries)],
        "object": [*map(_ref, map(quote, made_from)), *(_ref(one["@id"]) for one in [*outside, *settings])],
        "result": [_ref(quote(path)) for path in job.outputs.values()],
    }
    source = {"@id": module, "@type": ["File", "SoftwareSourceCode"], "name": f"{stage}.py"}
    return [action, source, *settings, *libraries, *outside]


def _parts(job: Job) -> dict[tuple[str, str], str]:
    """Name of the recipe and digest of an output's bytes -> the output, by which other recipes know it."""
    found = {}
    for output, path in job.outputs.items():
        inside = {key: md5 for key, md5 in job.recipe["bytes"].items() if key.partition("/")[0] == output}
        found[check.name(job.recipe), check.digest(inside)] = path
    return found


def _setting(key: str, value: Any) -> Entity:
    said = {"name": key, "value": value if isinstance(value, int | float | str | bool) else str(value)}
    return {"@id": f"#setting-{check.digest(said)}", "@type": "PropertyValue", **said}


def _library(name: str, release: str) -> Entity:
    entity = {"@type": "SoftwareApplication", "name": name, "softwareVersion": release}
    return {"@id": f"#{name}-{release}", **entity}


def _outside(path: str, md5: str) -> Entity:
    """A file of data or of a model that the study has from elsewhere and an export does not hold."""
    return {"@id": f"#outside-{md5}", "@type": "CreativeWork", "name": path, "identifier": f"md5:{md5}"}


def _is_data(entity: Entity) -> bool:
    return bool({"File", "Dataset"} & {*([entity["@type"]] if isinstance(entity["@type"], str) else entity["@type"])})


def _ref(name: str) -> Entity:
    return {"@id": name}
