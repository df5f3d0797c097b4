"""Which files a local data set is read from: patterns are listed here, for rules, recipes and readers alike."""

import glob
from collections.abc import Callable
from itertools import takewhile
from pathlib import Path
from typing import Any, TypeVar

from workflow_scripts.lib.data.sources import Dataset, Files, Lines, LocalDataset

Source = TypeVar("Source", bound=Dataset)


def listed(source: Source) -> Source:
    """The same data set with files in place of patterns; a pattern that matches nothing stays."""
    if not isinstance(source, LocalDataset):
        return source
    return source.model_copy(update={key: _each(_listed, named) for key, named in source.named_files().items()})


def files_of(source: Dataset) -> list[Path]:
    """Every local file that a data set is read from, sorted, each once."""
    return _paths(listed(source))


def watched(source: Dataset) -> list[Path]:
    """What DVC is to watch: every file that is named, and the folder in which a pattern looks for files."""
    return sorted({_fixed_part(path) if _is_pattern(path) else path for path in _paths(source)})


def every_path(files: Files) -> list[Path]:
    """A list, however many files are named."""
    return files if isinstance(files, list) else [files]


def _paths(source: Dataset) -> list[Path]:
    if not isinstance(source, LocalDataset):
        return []
    some = (one for named in source.named_files().values() for one in _by_column(named).values())
    return sorted({path for one in some for path in every_path(one)})


def _by_column(named: Files | Lines) -> Lines:
    return named if isinstance(named, dict) else {"": named}


def _each(function: Callable[[Files], Files], named: Files | Lines) -> Any:
    return {key: function(one) for key, one in named.items()} if isinstance(named, dict) else function(named)


def _listed(files: Files) -> Files:
    if not any(map(_is_pattern, every_path(files))):
        return files
    found = (path for one in every_path(files) for path in (_matching(one) if _is_pattern(one) else [one]))
    return list(dict.fromkeys(found))


def _matching(pattern: Path) -> list[Path]:
    found = glob.glob(str(pattern), recursive=True)  # noqa: PTH207 (that of Path takes hidden files too)
    return sorted(map(Path, found)) or [pattern]


def _is_pattern(path: Path) -> bool:
    return glob.has_magic(str(path)) and not path.exists()


def _fixed_part(pattern: Path) -> Path:
    return Path(*takewhile(lambda part: not glob.has_magic(part), pattern.parts))
