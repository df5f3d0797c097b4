"""Libraries whose version can change what an artifact holds, by what the modules of ours import that make it."""

import sys
from collections.abc import Iterable
from functools import cache
from importlib.metadata import version
from pathlib import Path

from workflow_scripts.lib.errors import StudyError

# Imported name -> distributions that count, to the minor release: numbers, drawings and text are their work.
COUNTS = {
    "altair": ["altair"],
    "babel": ["babel"],
    "gguf": ["gguf"],
    "jinja2": ["jinja2"],
    "numpy": ["numpy"],
    "pandas": ["pandas", "numpy"],
    "peft": ["peft"],
    "sacrebleu": ["sacrebleu"],
    "scipy": ["scipy"],
    "tokenizers": ["tokenizers"],
    "torch": ["torch"],
    "transformers": ["transformers", "tokenizers"],
    "vl_convert": ["vl-convert-python"],
}
# Libraries that write down or carry exactly what they are given; a new release of one is no reason to use a GPU again.
CARRIES = {
    *("accelerate", "datasets", "huggingface_hub", "jaxtyping", "jsonargparse", "markupsafe", "pikepdf"),
    *("platformdirs", "psutil", "pyarrow", "pydantic", "ruamel", "safetensors", "tqdm", "yaml"),
}


class LibraryError(StudyError):
    """A library that does not count, or a module's import that is not known to count or not."""


def check(counts_as: dict[str, str]) -> None:
    """LibraryError where `counts_as` names what does not count anyway."""
    known = {library for some in COUNTS.values() for library in some}
    if unknown := counts_as.keys() - known:
        raise LibraryError(
            f"params.yaml:\n  counts_as.{min(unknown)}: no library whose version counts; those are "
            f"{', '.join(sorted(known))}"
        )


def versions(modules: list[str], counts_as: dict[str, str]) -> dict[str, str]:
    """Library -> minor release, of those that count for some modules; `counts_as` has the last word."""
    return {library: counts_as.get(library, here(library)) for library in counting(modules)}


def accepted(modules: list[str], counts_as: dict[str, str]) -> dict[str, str]:
    """Library -> the release that is really here, where it is taken for another."""
    return {
        library: here(library)
        for library in counting(modules)
        if counts_as.get(library, here(library)) != here(library)
    }


def counting(modules: Iterable[str]) -> list[str]:
    """Libraries that count for some module files, sorted."""
    imported = {name for module in modules for name in _imported(module)}
    return sorted({library for name in imported for library in COUNTS.get(name, [])})


@cache
def here(library: str) -> str:
    """Minor release of an installed library, like 2.13."""
    return ".".join(version(library).split("+")[0].split(".")[:2])


@cache
def _imported(module: str) -> frozenset[str]:
    """Libraries that a module file imports, anywhere in it; LibraryError for one that stands in neither list."""
    from freshness.syntax import said  # not for jobs, which ask for releases alone

    names = set(said(Path(module).absolute()).others) - sys.stdlib_module_names
    if unknown := names - COUNTS.keys() - CARRIES:
        raise LibraryError(f"{module} imports {', '.join(sorted(unknown))}: say in freshness/libraries.py if it counts")
    return frozenset(names)
