"""What a level is patched from: its sets and the states of the anchor and of arms, or a refusal."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
from pydantic import BaseModel, ConfigDict

from workflow_scripts.lib.artifacts.provenance import ids_digest
from workflow_scripts.lib.artifacts.states import StateFile, open_states
from workflow_scripts.lib.artifacts.tables import ArtifactError
from workflow_scripts.lib.data.examples import Examples
from workflow_scripts.lib.data.prompts import Prompts
from workflow_scripts.lib.data.sets import DemonstrationSet, by_draw, read_sets
from workflow_scripts.lib.forward.settings import told
from workflow_scripts.lib.patching.measures import NONE, Floats, Ints


class PatchedLevel(BaseModel):
    """Files of a level: its sets, the anchor's states, and those of the arms whose states are put in."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    sets: Path
    anchor: Path
    arms: list[Path]


class Run(NamedTuple):
    """The queries as the anchor is asked them: ids of what stands before each, of each, gold labels [queries].

    answers: ids of each query's own, of a generation task, where gold labels are numbers of answers; else none.
    """

    prefix: list[int]
    queries: list[list[int]]
    gold: Ints
    answers: list[list[int]]


class Level(NamedTuple):
    """A level: draw -> set, what these show in place of the gold labels [draws, queries], the states."""

    name: str
    sets: dict[int, str]
    shown: Ints
    anchor: StateFile
    arms: list[StateFile]


def run_of(data: Examples, prompts: Prompts) -> Run:
    """The anchor's run of a data set."""
    queries = [prompts.query(one.fields) for one in data.queries]
    answers = [prompts.learnt(one.label) for one in data.queries] if data.generation else []
    return Run(prompts.prefix(), queries, np.array(data.targets), answers)


@contextmanager
def open_levels(levels: Mapping[str, PatchedLevel], data: Examples, run: Run) -> Iterator[list[Level]]:
    """Levels in their order; ArtifactError where states are of other queries, prompts or layers than the run's."""
    with ExitStack() as files:
        paths = dict.fromkeys(path for level in levels.values() for path in (level.anchor, *level.arms))
        opened = {path: files.enter_context(open_states(path)) for path in paths}
        yield [
            _level(name, level, opened[level.anchor], [opened[path] for path in level.arms], data, run)
            for name, level in levels.items()
        ]


def _level(name: str, files: PatchedLevel, anchor: StateFile, arms: list[StateFile], data: Examples, run: Run) -> Level:
    sets = {draw: each.set for draw, each in by_draw(read_sets(files.sets)).items()}
    shown = np.full((len(sets), len(run.gold)), NONE)
    if not data.generation:
        shown = np.stack([labels_shown(one, data.words)[run.gold] for one in sets.values()])
    asked = [one.id for one in data.queries]
    _check(anchor, None, "query", asked)
    _check(anchor, None, "prompt_tokens", [ids_digest(run.prefix + ids) for ids in run.queries])
    for arm in arms:
        if arm.layers != anchor.layers:
            raise ArtifactError(
                f"{arm.path} has layers {told(arm.layers)} and {anchor.path} has {told(anchor.layers)}; delete both "
                "and dump them again"
            )
        for one in sets.values():
            _check(arm, one.id, "query", asked)
    return Level(name, {draw: one.id for draw, one in sets.items()}, shown, anchor, arms)


def _check(file: StateFile, set_id: str | None, column: str, wanted: Sequence[str]) -> None:
    if file.columns(set_id, [column])[column].to_pylist() != wanted:
        raise ArtifactError(
            f"{file.path}: {column} of {file.sets.get(set_id, file.arm)} is not what the prepared data set and model "
            "give, in their order; delete it and dump it again"
        )


def own_labels(file: StateFile, sets: Iterable[str | None]) -> Ints:
    """The labels that an arm predicts in its own runs: [sets, queries]."""
    return np.stack([file.label_log_probs(one).argmax(axis=1) for one in sets])


def own_scores(file: StateFile, sets: Iterable[str | None]) -> Floats:
    """Log-probability per token of each query's answer in an arm's own runs: [sets, queries]."""
    names = ["answer_log_prob", "answer_tokens"]
    read = [[column.to_numpy().astype(np.float64) for column in file.columns(one, names).columns] for one in sets]
    return np.stack([score / tokens for score, tokens in read])


def labels_shown(shown: DemonstrationSet, words: Sequence[str]) -> Ints:
    """For every label the one that a set shows in its place, by index; none where it shows several, or none."""
    found = {word: {one.label for one in shown.demonstrations if one.gold == word} for word in words}
    return np.array([words.index(min(some)) if len(some) == 1 else NONE for some in found.values()])
