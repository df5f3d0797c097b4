"""Cells of a comparison: ICL and IT of one level and draw, made of the same queries and demonstrations, or refused."""

from pathlib import Path
from typing import Any, NamedTuple

from workflow_scripts.lib.dumps import ALONE, ANCHOR, FLOAT32, Dump, Group
from workflow_scripts.lib.tables import ArtifactError, read_table

DEMONSTRATIONS = ["demo_set", "demonstration_tokens"]
QUERIES = ["query", "label", "token_id"]


class Cell(NamedTuple):
    """ICL and IT with the same demonstrations, and whether the adapter moved."""

    level: str
    draw: int
    moved: bool

    @property
    def icl(self) -> Group:
        """The cell's group of the ICL condition."""
        return Group("icl", self.level, self.draw)

    @property
    def it(self) -> Group:
        """The cell's group of the IT condition."""
        return Group("it", self.level, self.draw)


def checked_cells(anchor: Dump, states: Dump, tuning: Path) -> list[Cell]:
    """The (level, draw) of a dump, in its order, each with both conditions and its adapter.

    ArtifactError where they were not made of the same queries, demonstrations and layers.
    """
    _check_anchors(anchor, states)
    adapters = _adapters(tuning)
    arms = [(group.level, group.draw) for group in states.row_groups if group != ALONE]
    keys = dict.fromkeys(arms) | dict.fromkeys(adapters)
    cells = []
    for level, draw in keys:
        cell = Cell(str(level), int(draw or 0), adapters.get((level, draw), {}).get("moved", False))
        _check_complete(cell, states, (level, draw) in adapters, tuning)
        _check_demonstrations(cell, states, adapters[level, draw], tuning)
        _check_queries(cell.icl, anchor, states)
        _check_queries(cell.it, anchor, states)
        cells.append(cell)
    return cells


def repeats(anchor: Dump, states: Dump) -> list[tuple[Dump, Group]]:
    """Where the runs of the anchor stand that should give its states again: those that show the noise."""
    return [(states, ALONE), *((anchor, group) for group in anchor.row_groups if group == FLOAT32)]


def _check_anchors(anchor: Dump, states: Dump) -> None:
    if set(anchor.row_groups) - {FLOAT32} != {ANCHOR}:
        raise ArtifactError(f"{anchor.path} must hold the anchor and nothing else; delete it and dump it again")
    if ALONE not in states.row_groups:
        raise ArtifactError(f"{states.path} lacks the anchor with each query alone; delete it and dump it again")
    if anchor.layers != states.layers:
        raise ArtifactError(
            f"{states.path} has {states.layers} layers and {anchor.path} has {anchor.layers}; dump both again"
        )
    for dump, group in repeats(anchor, states):
        _check_queries(group, anchor, dump)


def _adapters(tuning: Path) -> dict[tuple[str | None, int | None], dict[str, Any]]:
    rows = read_table(tuning, ["level", "draw", *DEMONSTRATIONS, "moved"]).to_pylist()
    return {(row["level"], row["draw"]): row for row in rows}


def _check_complete(cell: Cell, states: Dump, tuned: bool, tuning: Path) -> None:
    have = {"icl": cell.icl in states.row_groups, "it": cell.it in states.row_groups, "tuning": tuned}
    lacking = [name for name, there in have.items() if not there]
    if lacking:
        raise ArtifactError(
            f"{states.path} and {tuning}: level {cell.level}, draw {cell.draw} lacks {', '.join(lacking)}; "
            "delete both and make them again"
        )


def _check_demonstrations(cell: Cell, states: Dump, adapter: dict[str, Any], tuning: Path) -> None:
    for name in DEMONSTRATIONS:
        icl, it = (states.columns(group, [name])[name].unique().to_pylist() for group in (cell.icl, cell.it))
        if not icl == it == [adapter[name]]:
            raise ArtifactError(
                f"{states.path}: {name} differs at level {cell.level}, draw {cell.draw}: ICL was shown {icl}, IT was "
                f"tuned on {it}, {tuning} says {adapter[name]}; delete both and make them again"
            )


def _check_queries(group: Group, anchor: Dump, states: Dump) -> None:
    # Every prompt but ICL's, which holds the demonstrations too, is the anchor's.
    names = QUERIES if group.condition == "icl" else [*QUERIES, "prompt_tokens"]
    expected, found = anchor.columns(ANCHOR, names), states.columns(group, names)
    if expected.num_rows != found.num_rows:
        raise ArtifactError(
            f"{states.path} has {found.num_rows} queries ({group}) and {anchor.path} has {expected.num_rows}; "
            "delete both and dump them again"
        )
    for name in names:
        pairs = zip(expected["query"], expected[name].to_pylist(), found[name].to_pylist(), strict=True)
        for row, (query, want, have) in enumerate(pairs):
            if want != have:
                raise ArtifactError(
                    f"{states.path}: row {row} of {group} has {name} {have!r} where {anchor.path} has {want!r} "
                    f"(query {query}); both must ask the same queries in the same order and take the state at the "
                    "same token; delete both and dump them again"
                )
