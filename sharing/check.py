"""Check an exported study: `python3 check.py` in its folder. Python's standard library is all that it needs.

Every file has the bytes that were exported (SHA256SUMS; `sha256sum --check SHA256SUMS` says the same), none was added,
every artifact has the bytes that its recipe sealed, and was made from the artifacts that are here.
"""

import hashlib
import json
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

SUMS, CRATE = "SHA256SUMS", "ro-crate-metadata.json"
PARTS = ("code", "libraries", "params", "inputs")  # of a recipe; their digest is its name
SHOWN = 20
CHUNK = 2**20  # bytes
Digests = dict[str, tuple[str, str]]  # file -> SHA-256 and MD5 of its bytes


def faults(folder: Path, digests_found: Digests | None = None) -> Iterator[str]:
    """What is not as it was exported, in words; `digests_found`: what `digests` gives, if that is known."""
    try:
        lines = (line.split("  ", 1) for line in (folder / SUMS).read_text("utf-8").splitlines())
        listed = {name: sha256 for sha256, name in lines}
        graph = {entity["@id"]: entity for entity in json.loads((folder / CRATE).read_text("utf-8"))["@graph"]}
    except (OSError, ValueError, KeyError, TypeError) as error:
        yield f"{SUMS} and {CRATE} say what is to be here, and one is not whole: {error}"
        return
    found = digests_found or digests(folder)
    yield from (f"{path}: missing" for path in sorted(listed.keys() - found))
    yield from (f"{path}: not of the export" for path in sorted(found.keys() - listed))
    yield from (f"{path}: altered" for path, (sha, _) in found.items() if listed.get(path, sha) != sha)
    files = {unquote(name) for name, entity in graph.items() if "File" in _listed(entity.get("@type"))}
    yield from (f"{path}: {CRATE} and {SUMS} do not agree on it" for path in sorted(files ^ (listed.keys() - {CRATE})))
    try:
        yield from _faults_of_recipes(folder, found, graph)
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        yield f"{CRATE} and the recipes do not fit together: {error!r}"


def digests(folder: Path) -> Digests:
    """SHA-256 and MD5 of every file in a folder but the list of them."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() or path.is_symlink())
    named = {path.relative_to(folder).as_posix(): path for path in files}
    return {name: _digests(path) for name, path in named.items() if name != SUMS}


def _digests(path: Path) -> tuple[str, str]:
    sha, md5 = hashlib.sha256(), hashlib.md5()
    if path.is_file():  # and no link that leads nowhere
        with path.open("rb") as file:
            while chunk := file.read(CHUNK):
                sha.update(chunk)
                md5.update(chunk)
    return sha.hexdigest(), md5.hexdigest()


def _faults_of_recipes(folder: Path, found: Digests, graph: dict[str, Any]) -> Iterator[str]:
    recipes = {}
    for path in sorted(path for path in found if path.startswith("artifacts/") and path.endswith(".recipe")):
        try:
            recipes[path] = json.loads((folder / path).read_text("utf-8"))
            recipes[path]["name"] = name(recipes[path])
        except (ValueError, KeyError, TypeError):
            yield f"{path}: no recipe"
            return
    made = {recipe["name"]: parts(recipe) for recipe in recipes.values()}
    actions = {f"#{entity['identifier']}": entity for entity in graph.values() if entity.get("@type") == "CreateAction"}
    unproven = {path for path in found if path.startswith("artifacts/")} - recipes.keys()
    for path, recipe in recipes.items():
        results = _results(actions.get(f"#{path}", {}), found)
        unproven -= results
        if Counter(found[one][1] for one in results) != Counter(recipe["bytes"].values()):
            yield f"{path}: what it sealed is not what is here"
        for input_, some in recipe["made_from"].items():
            for one, part in zip(recipe["inputs"][input_], some, strict=True):
                if part not in made.get(one, ()):
                    yield f"{path}: made from another {input_} than is here"
    yield from (f"{path}: no recipe has sealed it" for path in sorted(unproven))


def _results(action: dict[str, Any], found: Digests) -> set[str]:
    """Files that an action of the crate made: those it names, and those in folders that it names."""
    paths = [unquote(one["@id"]) for one in _listed(action.get("result", []))]
    inside = {file for path in paths if path.endswith("/") for file in found if file.startswith(path)}
    return inside | {path for path in paths if path in found}


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def name(recipe: dict[str, Any]) -> str:
    """The name of a recipe, by which those made from it know it."""
    return digest({part: recipe[part] for part in PARTS})


def parts(recipe: dict[str, Any]) -> set[str]:
    """Digest of the bytes of each output that a recipe sealed."""
    outputs = {key.partition("/")[0] for key in recipe["bytes"]}
    return {digest({k: md5 for k, md5 in recipe["bytes"].items() if k.partition("/")[0] == one}) for one in outputs}


def digest(value: Any) -> str:
    """16 hex digits of the SHA-256 of a JSON value, as recipes have it."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


def main(folder: Path) -> None:
    """Say what is not as it was exported, or that all is; exits with status 1 where something is not."""
    if not (folder / SUMS).is_file():
        sys.exit(f"{folder} is no exported study: it has no {SUMS}")
    found = list(faults(folder))
    for fault in found[:SHOWN]:
        sys.stdout.write(f"{fault}\n")
    if found:
        sys.exit(f"{folder} is not as it was exported: {len(found)} faults")
    sys.stdout.write(f"{folder}: every file is as it was exported, and every artifact as its recipe says\n")


if __name__ == "__main__":
    if len(sys.argv) > 1 and not sys.argv[1]:
        sys.exit("FOLDER says which folder is to be checked")
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
