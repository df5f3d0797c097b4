"""What modules of ours say: a digest of their syntax, and what they import.

Reading them all takes half a second. So what was read is kept from run to run, in `.snakemake/syntax.json`, and taken
for as long as the file is as it was: its size, inode, times, and the time that nobody can set.
"""

import ast
import json
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from freshness.contents import identity, load, md5, outlast_tick, write
from workflow_scripts.lib.artifacts import provenance

PACKAGE = "workflow_scripts"
ROOT = Path(__file__).parents[1]
MEMORY = ".snakemake/syntax.json"
READERS = (Path(__file__), Path(provenance.__file__))  # an edit of theirs may have them read something else
Documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


class Said(NamedTuple):
    """Of a file: the digest of its syntax, dotted names below `workflow_scripts` that it imports, and libraries."""

    digest: str
    ours: list[str]
    others: list[str]


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
            # Which of the names are modules is seen anew: one may have come since the file was read.
            own = [one for one in said(module_path(name)).ours if module_path(one).is_file()]
            waiting += [*([package] if package else []), *own]
    return tuple(sorted(seen))


def module_path(module: str) -> Path:
    """File of a module or package of ours, which Python takes for it: a folder alone, left by git, is no package."""
    path = ROOT / Path(*module.split("."))
    package = path / "__init__.py"
    return package if package.is_file() else path.with_suffix(".py")


@cache
def syntax_digests(module: str) -> dict[str, str]:
    """File -> digest of its syntax, for a module of ours and all of ours that it imports."""
    paths = list(map(module_path, modules_of(module)))
    digests = {path.relative_to(ROOT).as_posix(): said(path).digest for path in paths}
    _remember(paths)
    return digests


# What was read before


@cache
def said(path: Path) -> Said:
    """What a module says; read again where its file is not as it was when it was last read."""
    now, before = identity(path), _memory().get(str(path))
    if before is None or before["identity"] != now:
        outlast_tick(now)
        before = _memory()[str(path)] = {"identity": now, "said": read(path)}
    return Said(*before["said"])


@cache
def _memory() -> dict[str, Any]:
    """File -> its identity when it was last read, and what it said."""
    return _kept()


def _kept() -> dict[str, Any]:
    """What is kept on disk; nothing of another reader, or of another form."""
    kept = load(ROOT / MEMORY) or {}
    files = kept.get("files") if kept.get("reader") == _reader() else None
    entries = files.items() if isinstance(files, dict) else ()
    return {path: one for path, one in entries if isinstance(one, dict) and one.keys() == {"identity", "said"}}


def _reader() -> list[str]:
    return [sys.version, *map(md5, READERS)]


def _remember(paths: Iterable[Path]) -> None:
    known = _kept()
    files = json.loads(json.dumps({str(path): _memory()[str(path)] for path in paths}))
    if any(known.get(path) != entry for path, entry in files.items()):
        there = {path: entry for path, entry in known.items() if Path(path).exists()}
        with suppress(OSError):  # it is a help and no record
            write(ROOT / MEMORY, {"reader": _reader(), "files": there | files})


# Reading


def syntax_digest(path: Path) -> str:
    """Digest of a module's syntax tree without docstrings, as the file is now.

    So an edit of a comment, a docstring or the layout makes nothing stale, nor does another minor release of Python.
    """
    return read(path).digest


def says(path: Path, digest: str) -> bool:
    """Whether a module is there, whole, and its syntax has that digest."""
    try:
        return syntax_digest(path) == digest
    except (OSError, SyntaxError, UnicodeError):
        return False


def read(path: Path) -> Said:
    """What a file of Python says."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    imported = list(_imported(tree, _package(path)))
    for node in ast.walk(tree):
        if isinstance(node, Documented) and ast.get_docstring(node, clean=False) is not None:
            node.body = node.body[1:]
    ours = [name for name in imported if name.split(".")[0] == PACKAGE]
    others = sorted({name.split(".")[0] for name in imported} - {PACKAGE, ""})
    return Said(provenance.digest(_plain_tree(tree)), ours, others)


def _package(path: Path) -> str:
    """The package that a module is in, or is; nothing outside the project."""
    return ".".join(path.parent.relative_to(ROOT).parts) if path.is_relative_to(ROOT) else ""


def _imported(tree: ast.Module, package: str) -> Iterator[str]:
    """Dotted names of all that a module imports, anywhere in it, and of what it may import from packages."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = _absolute(node, package)
            yield from (base, *(f"{base}.{alias.name}" for alias in node.names))


def _absolute(node: ast.ImportFrom, package: str) -> str:
    """Dotted name that `from ... import` imports from; as many dots lead up from the package."""
    if not node.level:
        return node.module or ""
    parents = package.split(".")[: len(package.split(".")) - node.level + 1]
    return ".".join([*parents, *([node.module] if node.module else [])])


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
