"""Compare the states and answers of the arms, for each level and draw of a cell.

Writes a row per (level, draw, layer, two arms, how they are matched, measure), the mean over the queries for which the
measure is defined, and the products of updates that their parts are worked out from. Rows on answers have no layer.
What the cell is called is no part of it: aggregate_similarity puts the names to the rows.
"""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from workflow_scripts.lib.arms import ANCHOR, REPEATS, Arm, named
from workflow_scripts.lib.artifacts.compared import PRODUCTS, SIMILARITY
from workflow_scripts.lib.artifacts.levels import Level, LevelFiles, open_levels
from workflow_scripts.lib.artifacts.provenance import origin
from workflow_scripts.lib.artifacts.states import StateFile
from workflow_scripts.lib.artifacts.tables import write_table
from workflow_scripts.lib.command import command
from workflow_scripts.lib.measures import MOVED, RELEVANCE
from workflow_scripts.lib.measures import level as kernel
from workflow_scripts.lib.measures import named as rows_named
from workflow_scripts.lib.measures.contrasts import CONTRASTS
from workflow_scripts.lib.measures.layer import Layer, label_span
from workflow_scripts.lib.measures.on_answers import Answers, Asked
from workflow_scripts.lib.measures.on_texts import Scored, Written
from workflow_scripts.lib.measures.rows import Of, Row, rows_of_draws, rows_of_queries
from workflow_scripts.lib.measures.settings import CHOOSABLE, CompareHiddenStates
from workflow_scripts.lib.measures.vectors import Floats
from workflow_scripts.lib.progress import Progress


def compare_hidden_states(
    levels: dict[str, LevelFiles],
    *,
    settings: CompareHiddenStates,
    threads: int,
    similarity: Path,
    products: Path,
) -> None:
    """Write the measures of one cell; ArtifactError where its parts do not belong together.

    Args:
        levels: name -> the sets of a level, every arm's states of these and the anchor's, the adapters tuned on them
        settings: the block of params.yaml that is called as this stage
        threads: that share the work out; they change no number
        similarity: where to write the measures
        products: where to write the products of updates
    """
    contrasts, measures = rows_named(CONTRASTS, settings.contrasts), rows_named(CHOOSABLE, settings.measures)
    rows: list[dict[str, Any]] = []
    updates: list[dict[str, Any]] = []
    with open_levels(levels) as opened, Progress("levels", len(opened)) as progress:
        for level in opened:
            rows += [{"level": level.name, **row._asdict()} for row in _of_sets(level)]
            for compared in kernel.compare(_arrays(level), measures, contrasts, threads):
                rows += [{"level": level.name, **row._asdict()} for row in compared.rows]
                updates += [{"level": level.name, **row._asdict()} for row in compared.products]
            progress.advance()
    made = origin(**settings.model_dump())
    write_table(pa.Table.from_pylist(rows, schema=SIMILARITY), similarity, made)
    write_table(pa.Table.from_pylist(updates, schema=PRODUCTS), products, made)


def _compared(level: Level) -> list[Arm]:
    return [arm for arm in named([*level.states]) if arm.compared]


def _arrays(level: Level) -> kernel.Level:
    """A level as arrays, draws along the first axis."""
    anchor = level.states[ANCHOR.name]
    labels = anchor.columns(None, ["label"])["label"].to_numpy()
    spans = _spans(anchor)
    repeats = [level.states[arm.name] for arm in REPEATS if arm.name in level.states]
    at = np.array([anchor.rows(None)[query] for query in level.queries])

    def read(number: int) -> tuple[Layer, dict[str, np.ndarray]]:
        again = [file.states(None, number) for file in repeats]
        layer = Layer(anchor.states(None, number), labels, again, spans[number], number).of(at)
        return layer, {
            arm.name: _in_every_draw(level, arm, partial(level.states[arm.name].states, layer=number))
            for arm in _compared(level)
        }

    texts = () if anchor.of_labels else anchor.columns(None, ["answer"])["answer"].to_numpy(zero_copy_only=False)[at]
    asked = Asked(labels[at], _answers(level, ANCHOR), texts)
    given = {arm.name: _answers(level, arm) for arm in _compared(level)}
    return kernel.Level(ANCHOR.name, [*level.sets], asked, given, anchor.layers, read, level.sets_serve_all)


def _spans(anchor: StateFile) -> dict[int, Floats | None]:
    """Layer -> what tells the labels apart there: below the last one states have yet to go through the final norm."""
    *below, last = anchor.layers
    at_last, before = (
        None if rows is None else label_span(rows) for rows in anchor.label_unembedding() or (None, None)
    )
    return {**dict.fromkeys(below, before), last: at_last}


def _in_every_draw(level: Level, arm: Arm, read: Callable[[str | None], np.ndarray]) -> np.ndarray:
    """Of an arm that no set changes, but for the anchor, the same in every draw."""
    found = level.gathered(arm.name, read)
    return np.broadcast_to(found, (len(level.sets), *found.shape[1:])) if arm.compared else found


def _answers(level: Level, arm: Arm) -> Answers | Scored:
    """An arm's answers: those of a label set, or of a generation task with what was written, if anything was."""
    file = level.states[arm.name]

    def column(name: str) -> np.ndarray:
        return _in_every_draw(level, arm, lambda one: file.columns(one, [name])[name].to_numpy(zero_copy_only=False))

    if file.of_labels:
        return Answers(_in_every_draw(level, arm, file.label_log_probs), column("open_label"))
    scores, written = (column("answer_log_prob"), column("answer_tokens")[0]), column("written")
    return Scored(*scores) if written[0, 0] is None else Written(*scores, written)


def _of_sets(level: Level) -> Iterator[Row]:
    """Of the sets that an arm is given: how alike queries and demonstrations are, and whether tuning moved adapters."""
    draws, similarities = [*level.sets], level.similarities()
    for arm in (one for one in _compared(level) if one.given):
        if similarities is not None:
            yield from rows_of_queries(draws, Of(None, arm.name, None, None, RELEVANCE.name), similarities)
        if arm.weights:
            yield from rows_of_draws(draws, Of(None, arm.name, None, None, MOVED.name), level.moved(arm), 0)


if __name__ == "__main__":
    command(compare_hidden_states)
