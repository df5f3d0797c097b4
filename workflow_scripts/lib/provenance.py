"""Where an artifact comes from: digests of code, data and settings, and library versions.

Nothing here differs between two equal runs (no time, host or path), so that equal work gives equal bytes.
"""

import ast
import hashlib
import json
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pydantic import BaseModel

PACKAGE = "workflow_scripts"
ROOT = Path(__file__).parents[2]


def digest(value: Any) -> str:
    """16 hex digits of the SHA-256 of a value, as JSON with sorted keys."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, default=_plain)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, Path):
        return value.as_posix()
    raise TypeError(f"{type(value).__name__} has no digest: {value!r}")


def file_digest(path: Path) -> str:
    """SHA-256 of a file's bytes, 64 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@cache
def modules_of(module: str) -> tuple[str, ...]:
    """A module of ours and all of ours that it imports, recursively; sorted dotted names."""
    seen: set[str] = set()
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name not in seen:
            seen.add(name)
            waiting += _own_imports(module_path(name))
    return tuple(sorted(seen))


def module_path(module: str) -> Path:
    """File of a module of ours."""
    return ROOT / Path(*module.split(".")).with_suffix(".py")


def _own_imports(path: Path) -> list[str]:
    names = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith(PACKAGE):
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Import):
            names += [alias.name for alias in node.names if alias.name.startswith(f"{PACKAGE}.")]
    return [name for name in names if module_path(name).is_file()]


@cache
def code_digest(stage: str) -> str:
    """Digest of a stage's module and of all of ours that it imports."""
    return digest(syntax_digests(f"{PACKAGE}.{stage}"))


@cache
def syntax_digests(module: str) -> dict[str, str]:
    """File -> digest, for a module of ours and all of ours that it imports.

    Of syntax trees without docstrings, so that an edit of a comment, a docstring or the layout makes nothing stale.
    """
    return {
        module_path(name).relative_to(ROOT).as_posix(): digest(_syntax(module_path(name)))
        for name in modules_of(module)
    }


def _syntax(path: Path) -> str:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and _documented(node):
            node.body = node.body[1:]
    return ast.dump(tree)


def _documented(node: ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    return ast.get_docstring(node, clean=False) is not None


def origin(stage: str, libraries: tuple[str, ...], **settings: Any) -> dict[str, Any]:
    """What an artifact says of itself: stage, digest of its code, library versions, settings.

    `libraries` are those whose version can change the artifact's content.
    """
    plain = json.loads(json.dumps(settings, default=_plain))
    return {
        "stage": stage,
        "code": code_digest(stage),
        "versions": {name: version(name).split("+")[0] for name in libraries},
        "settings": plain,
    }
