"""How the rules call artifacts: of which rule and wildcards a file is, and what a recipe's job made."""

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

from freshness import seal

RULES = Path("rules")
RULE = re.compile(r"^rule \w+:\n(.*?)^    shell:", re.MULTILINE | re.DOTALL)
OUTPUTS = re.compile(r"^    output:\n(.*?)^    \w+:", re.MULTILINE | re.DOTALL)
OUTPUT = re.compile(r'(\w+)=(?:\s*\w+\()*\s*"(artifacts/[^"]+)"')


class Kind(NamedTuple):
    """What the jobs of a rule make: output name -> its path, with wildcards."""

    stage: str
    outputs: dict[str, str]


@cache
def kinds() -> tuple[Kind, ...]:
    """The outputs of every rule that makes artifacts."""
    return tuple(
        Kind(path.stem, dict(OUTPUT.findall(section)))
        for path in sorted(RULES.glob("*.smk"))
        for rule in RULE.findall(path.read_text(encoding="utf-8"))
        for section in OUTPUTS.findall(rule)
        if "artifacts/" in section
    )


def wildcards(path: str) -> dict[str, str] | None:
    """Wildcard -> value, of an artifact, a file inside one, or a recipe; None for what no rule makes."""
    for _, pattern in _patterns():
        if match := pattern.fullmatch(path.removesuffix(".recipe")):
            return match.groupdict()
    return None


def made_with(recipe: str) -> dict[str, str] | None:
    """Output name -> path, of the job whose recipe stands at a path; None where no rule has such a job."""
    for kind in kinds():
        first = re.compile(_expression(seal.first(kind.outputs)))
        if match := first.fullmatch(recipe.removesuffix(".recipe")):
            return {name: path.format(**match.groupdict()) for name, path in kind.outputs.items()}
    return None


@cache
def _patterns() -> tuple[tuple[str, re.Pattern[str]], ...]:
    return tuple(
        (kind.stage, re.compile(_expression(path) + "(?:/.*)?")) for kind in kinds() for path in kind.outputs.values()
    )


def _expression(path: str) -> str:
    """A regular expression of a path with wildcards, none of which spans folders."""
    return "".join(_parts(path))


def _parts(path: str) -> Iterator[str]:
    for text, name in re.findall(r"([^{]*)(?:\{(\w+)\})?", path):
        yield re.escape(text)
        if name:
            yield f"(?P<{name}>[^/]+)"
