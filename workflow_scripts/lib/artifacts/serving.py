"""Which set serves each query in each draw of a level, as its file of sets says, or a refusal."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from workflow_scripts.lib.artifacts.tables import ArtifactError
from workflow_scripts.lib.data.sets import read_sets
from workflow_scripts.lib.progress import log


class Serving(NamedTuple):
    """A set where it serves a query, and how alike they are, where it was chosen by that."""

    set: str
    similarity: float | None = None


OfDraw = dict[str, Serving]  # query -> what serves it


def served(name: str, path: Path, asked: Sequence[str]) -> dict[int, OfDraw]:
    """Draw -> query -> what serves it, in the order in which the queries were asked; `name` is the level's.

    A set for all queries serves each of them. Draws that came to the same sets are one: they are no second sample, nor
    each other's. ArtifactError where a draw has two sets for a query, or none for one that another draw has.
    """
    by_draw = {draw: _of_draw(draw, found, asked, path) for draw, found in sorted(_read(path).items())}
    every = {query: draw for draw, of_draw in by_draw.items() for query in of_draw}
    for draw, of_draw in by_draw.items():
        for query, other in every.items():
            if query not in of_draw:
                raise ArtifactError(
                    f"{path}: draw {draw} has no set for query {query}, and draw {other} has one; sample them again"
                )
    return _distinct(name, by_draw)


def _read(path: Path) -> dict[int, dict[str | None, Serving]]:
    """Draw -> query, or None for all -> what serves."""
    found: dict[int, dict[str | None, Serving]] = {}
    for each in read_sets(path):
        for draw, query, similarity in each.serves:
            of_draw = found.setdefault(draw, {})
            if query in of_draw or (of_draw and None in {query, *of_draw}):
                raise ArtifactError(f"{path}: draw {draw} has two sets for {query or 'a query'}; sample them again")
            of_draw[query] = Serving(each.set.id, similarity)
    return found


def _of_draw(draw: int, found: dict[str | None, Serving], asked: Sequence[str], path: Path) -> OfDraw:
    if None in found:
        return dict.fromkeys(asked, found[None])
    if unknown := sorted(query for query in found if query is not None and query not in asked):
        raise ArtifactError(
            f"{path}: draw {draw} has a set for query {unknown[0]}, which the anchor was not asked; dump it again"
        )
    return {query: found[query] for query in asked if query in found}


def _distinct(name: str, by_draw: dict[int, OfDraw]) -> dict[int, OfDraw]:
    """The first draw of those with the same sets; says which are left out, and how many sets the others share."""
    alike: dict[tuple[str, ...], list[int]] = {}
    for draw, of_draw in by_draw.items():
        alike.setdefault(tuple(one.set for one in of_draw.values()), []).append(draw)
    for sets, draws in alike.items():
        if len(draws) > 1:
            what = "the same set" if len(set(sets)) == 1 else "the same sets"
            log(f"level {name}: draws {', '.join(map(str, draws))} came to {what}, and count once")
    shared = sum(len(of_query) - len(set(of_query)) for of_query in zip(*alike, strict=True))
    if shared:
        log(
            f"level {name}: {shared} of {sum(map(len, alike))} sets of a query are also another draw's, so that there "
            "another draw's set is its own"
        )
    return {draws[0]: by_draw[draws[0]] for draws in alike.values()}
