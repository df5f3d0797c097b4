"""Levels of a comparison: every arm's states of the same sets and queries, or a refusal.

A level is named by whoever compares it, with the files of its parts, which other levels may share. What these are
called decides nothing here: sets say which draws they serve, states and adapters say of which arm and sets they are.
"""

from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

import numpy as np
from pydantic import BaseModel, ConfigDict

from workflow_scripts.lib.arms import ANCHOR, Arm, arm_named, named
from workflow_scripts.lib.artifacts.adapters import read_tuning
from workflow_scripts.lib.artifacts.serving import OfDraw, Serving, served
from workflow_scripts.lib.artifacts.states import StateFile, open_states
from workflow_scripts.lib.artifacts.tables import ArtifactError
from workflow_scripts.lib.forward.settings import told

QUERIES = ["query", "label", "token_id"]
Tuning = dict[str, dict[str, dict[str, Any]]]  # weights -> set -> what tuning did


class LevelFiles(BaseModel):
    """Files of a level: its sets, states of every arm that it has, folders of the adapters that these ran through."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    sets: Path
    states: list[Path]
    adapters: list[Path]


class Level(NamedTuple):
    """A level: which set serves each query in each draw, the states of every arm that has them, what tuning did."""

    name: str
    sets: dict[int, OfDraw]
    states: dict[str, StateFile]
    tuning: Tuning

    @property
    def queries(self) -> list[str]:
        """What is asked, the same in every draw."""
        return list(next(iter(self.sets.values())))

    @property
    def sets_serve_all(self) -> bool:
        """Whether a draw has one set for all queries."""
        return all(len({one.set for one in of_draw.values()}) == 1 for of_draw in self.sets.values())

    def narrowed(self, queries: Sequence[str]) -> "Level":
        """The same of some queries."""
        return self._replace(
            sets={draw: {query: of_draw[query] for query in queries} for draw, of_draw in self.sets.items()}
        )

    def gathered(self, arm: str, read: Callable[[str | None], np.ndarray]) -> np.ndarray:
        """What is read of each set, a row per query asked with it, put together: [draws, queries, ...].

        Of an arm that is given no sets there is one draw.
        """
        file = self.states[arm]
        if None in file.sets:
            return read(None)[[file.rows(None)[query] for query in self.queries]][None]
        return np.stack([_of_draw(file, of_draw, read) for of_draw in self.sets.values()])

    def similarities(self) -> np.ndarray | None:
        """Of every query and its set [draws, queries]; None where sets were not chosen by that."""
        found = [[one.similarity for one in of_draw.values()] for of_draw in self.sets.values()]
        return None if found[0][0] is None else np.array(found, np.float64)

    def moved(self, arm: Arm) -> np.ndarray:
        """Share of each draw's adapters that moved and whose loss fell [draws], of an arm that has some."""
        assert arm.weights
        tuning = self.tuning[arm.weights.name]
        return np.array([fmean(tuning[one.set]["moved"] for one in of_draw.values()) for of_draw in self.sets.values()])


@contextmanager
def open_levels(levels: Mapping[str, LevelFiles]) -> Iterator[list[Level]]:
    """Levels in their order, checked, of the queries that all of them serve.

    ArtifactError where the parts of one do not belong together.
    """
    with ExitStack() as files:
        paths = dict.fromkeys(path for level in levels.values() for path in level.states)
        opened = {path: files.enter_context(open_states(path)) for path in paths}
        every = [_level(name, level, [opened[path] for path in level.states]) for name, level in levels.items()]
        queries = [one for one in every[0].queries if all(one in level.sets[min(level.sets)] for level in every)]
        if not queries:
            raise ArtifactError(f"levels {', '.join(levels)} have no query in common; sample and dump them again")
        yield [level.narrowed(queries) for level in every]


def _of_draw(file: StateFile, sets: Mapping[str, Serving], read: Callable[[str | None], np.ndarray]) -> np.ndarray:
    held = {one: read(one) for one in dict.fromkeys(one.set for one in sets.values())}
    return np.stack([held[one.set][file.rows(one.set)[query]] for query, one in sets.items()])


def _tuning(adapters: Sequence[Path]) -> Tuning:
    tuning: Tuning = {}
    for folder in adapters:
        for each in read_tuning(folder):
            tuning.setdefault(each["weights"], {})[each["set"]] = each
    return tuning


def _level(name: str, files: LevelFiles, opened: Sequence[StateFile]) -> Level:
    states: dict[str, StateFile] = {}
    for file in opened:
        if states.setdefault(file.arm, file) is not file:
            raise ArtifactError(f"level {name}: {states[file.arm].path} and {file.path} are both of arm {file.arm}")
    if ANCHOR.name not in states:
        raise ArtifactError(f"level {name}: no states of arm {ANCHOR.name}; dump them")
    sets, tuning = served(name, files.sets, list(states[ANCHOR.name].rows(None))), _tuning(files.adapters)
    level = Level(name, sets, {arm.name: states[arm.name] for arm in named([*states])}, tuning)
    for file in level.states.values():
        _check(level, file)
    return level


def _check(level: Level, file: StateFile) -> None:
    anchor, arm = level.states[ANCHOR.name], arm_named(file.arm)
    if anchor.layers != file.layers:
        raise ArtifactError(
            f"{file.path} has layers {told(file.layers)} and {anchor.path} has {told(anchor.layers)}; delete both and "
            "dump them again"
        )
    if arm.given == (None in file.sets):
        raise ArtifactError(f"{file.path}: {arm.name} is {'' if arm.given else 'not '}given sets; dump it again")
    for set_id, queries in (_asked_with(level) if arm.given else {None: level.states[ANCHOR.name].rows(None)}).items():
        _check_queries(anchor, file, set_id, arm, queries)
        if set_id is not None:
            _check_set(level, file, set_id, arm)


def _asked_with(level: Level) -> dict[str, set[str]]:
    """Set -> the queries that it serves in any draw."""
    asked: dict[str, set[str]] = {}
    for of_draw in level.sets.values():
        for query, one in of_draw.items():
            asked.setdefault(one.set, set()).add(query)
    return asked


def _check_set(level: Level, file: StateFile, set_id: str, arm: Arm) -> None:
    """Arms were given sets with the same tokens, and what is tuned on a set was tuned on these."""
    held = {
        str(other.path): other.sets[set_id].demonstration_tokens
        for other in level.states.values()
        if set_id in other.sets
    }
    if arm.weights:
        adapter = level.tuning.get(arm.weights.name, {}).get(set_id)
        if adapter is None:
            raise ArtifactError(f"{file.path}: no adapter ({arm.weights.name}) of set {set_id}; tune and dump it again")
        held[f"the adapter ({arm.weights.name})"] = adapter["demonstration_tokens"]
    tokens = held[str(file.path)]
    for where, have in held.items():
        if have != tokens:
            raise ArtifactError(
                f"{file.path}: demonstration_tokens of set {set_id} are {tokens}, and of {where} {have}; delete what "
                "was made with another tokenizer or template and make it again"
            )


def _check_queries(anchor: StateFile, file: StateFile, set_id: str | None, arm: Arm, queries: Container[str]) -> None:
    # A prompt that shows nothing is the anchor's.
    names = QUERIES if arm.shows else [*QUERIES, "prompt_tokens"]
    expected, found = anchor.columns(None, names), file.columns(set_id, names)
    expected = expected.take([row for query, row in anchor.rows(None).items() if query in queries])
    which = arm.name if set_id is None else f"{arm.name}, set {set_id}"
    if expected.num_rows != found.num_rows:
        raise ArtifactError(
            f"{file.path} has {found.num_rows} queries ({which}) and should have the {expected.num_rows} of "
            f"{anchor.path} that it serves; delete both and dump them again"
        )
    for name in names:
        rows = zip(expected["query"], expected[name].to_pylist(), found[name].to_pylist(), strict=True)
        for row, (query, want, have) in enumerate(rows):
            if want != have:
                raise ArtifactError(
                    f"{file.path}: row {row} of {which} has {name} {have!r} where {anchor.path} has {want!r} "
                    f"(query {query}); both must ask the same queries in the same order and take the state at the "
                    "same token; delete both and dump them again"
                )
