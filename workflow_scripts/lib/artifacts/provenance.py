"""Where an artifact comes from: digests of code and data, and settings.

Nothing here differs between two equal runs (no time, host or path), so that equal work gives equal bytes.
"""

import ast
import hashlib
import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import BaseModel

PACKAGE = "workflow_scripts"
ROOT = Path(__file__).parents[3]


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


def ids_digest(ids: Sequence[int]) -> str:
    """16 hex digits of the SHA-256 of token ids."""
    return hashlib.sha256(",".join(map(str, ids)).encode()).hexdigest()[:16]


def file_digest(path: Path) -> str:
    """SHA-256 of a file's bytes, 64 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@cache
def modules_of(module: str) -> tuple[str, ...]:
    """A module of ours, the packages that it is in, and all of ours that these import, recursively; dotted names."""
    seen: set[str] = set()
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name not in seen:
            seen.add(name)
            package, _, _ = name.rpartition(".")
            waiting += [*([package] if package else []), *_own_imports(name)]
    return tuple(sorted(seen))


def module_path(module: str) -> Path:
    """File of a module or package of ours."""
    path = ROOT / Path(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


@cache
def _own_imports(module: str) -> list[str]:
    path = module_path(module)
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    names = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            base = _absolute(node, package)
            names += [base, *(f"{base}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
    return [name for name in names if name.split(".")[0] == PACKAGE and module_path(name).is_file()]


def _absolute(node: ast.ImportFrom, package: str) -> str:
    """Dotted name that `from ... import` imports from; as many dots lead up from the package."""
    if not node.level:
        return node.module or ""
    parents = package.split(".")[: len(package.split(".")) - node.level + 1]
    return ".".join([*parents, *([node.module] if node.module else [])])


@cache
def syntax_digests(module: str) -> dict[str, str]:
    """File -> digest of its syntax, for a module of ours and all of ours that it imports."""
    paths = map(module_path, modules_of(module))
    return {path.relative_to(ROOT).as_posix(): syntax_digest(path) for path in paths}


@cache
def syntax_digest(path: Path) -> str:
    """Digest of a module's syntax tree without docstrings.

    So an edit of a comment, a docstring or the layout makes nothing stale, nor does another minor release of Python.
    """
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and _documented(node):
            node.body = node.body[1:]
    return digest(_plain_tree(tree))


def _plain_tree(node: Any) -> Any:
    """A syntax tree as lists. Empty fields are left out: each release of Python adds some."""
    if isinstance(node, list):
        return [_plain_tree(one) for one in node]
    if not isinstance(node, ast.AST):
        return repr(node)
    if isinstance(node, ast.JoinedStr):  # Python 3.12 puts empty constants into some
        node.values = [one for one in node.values if not (isinstance(one, ast.Constant) and one.value == "")]
    fields = [[name, _plain_tree(value)] for name, value in ast.iter_fields(node) if value not in (None, [])]
    return [type(node).__name__, *fields]


def _documented(node: ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    return ast.get_docstring(node, clean=False) is not None


def origin(**settings: Any) -> dict[str, Any]:
    """What an artifact says of itself: the settings that it was made with, device and the like included.

    Code and libraries stand in the recipe beside it.
    """
    return {"settings": json.loads(json.dumps(settings, default=_plain))}
