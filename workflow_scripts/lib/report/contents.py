"""The page's contents, worked out from the results: nothing here knows how they come out."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from markupsafe import Markup
from matplotlib.figure import Figure

from workflow_scripts.lib.report import answer_tables, figures, patched, state_tables
from workflow_scripts.lib.report.answer import answer
from workflow_scripts.lib.report.bars import parts_over_layers
from workflow_scripts.lib.report.cases import Case, cases
from workflow_scripts.lib.report.glossary import glossary
from workflow_scripts.lib.report.page import inline_svg
from workflow_scripts.lib.report.panels import save
from workflow_scripts.lib.report.table import Table
from workflow_scripts.lib.results.results import Results

TABLES = (
    state_tables.parts_table,
    state_tables.similarities_table,
    state_tables.anchor_table,
    state_tables.changes_table,
    state_tables.ground_table,
    answer_tables.accuracies_table,
    answer_tables.distances_table,
    state_tables.split_table,
)


class Drawing(NamedTuple):
    """A figure as an element of the page, and what it shows."""

    svg: Markup
    caption: str


class OfFactor(NamedTuple):
    """What the page shows of a factor."""

    name: str
    drawing: Drawing
    table: Table


def contents(
    results: Results, controls: Mapping[str, str | None], folder: Path, confidence: str, method: str
) -> dict[str, Any]:
    """What the page's template names of the results; draws the figures into a folder.

    `confidence` and `method` are the intervals', in words.
    """
    every = cases(results, controls)
    return {
        "answer": answer(results, controls),
        "controls": [control for control in controls if control in results.models],
        "setting": ", ".join(f"{factor} {level}" for factor, level in results.reference.items()),
        "confidence": confidence,
        "tables": [table for make in TABLES if (table := make(every)).rows],
        "layers": _layers(results, folder, confidence),
        "patched": _patched(results, every, folder, confidence),
        "factors": [_factor(results, every, factor, folder, confidence) for factor in results.factors],
        "glossary": glossary(confidence, method),
    }


def _layers(results: Results, folder: Path, confidence: str) -> list[Drawing]:
    parts = (
        "What the pooled update cosine is made of at the reference setting: parts that add up to it at every layer. "
    )
    parts += f"The mark is the whole with its {confidence} interval."
    cosines = "The three cosines, and the two arms' update cosine with its controls, over layers at the reference "
    cosines += f"setting. {confidence} bands hold all layers of a line at once."
    return [
        _drawing(parts_over_layers(results), folder, "parts", parts),
        _drawing(figures.over_layers(results), folder, "layers", cosines),
    ]


def _patched(results: Results, every: list[Case], folder: Path, confidence: str) -> list[tuple[Drawing, Table]]:
    """The figure and the table of patched runs, where there are any."""
    strips = patched.strips(results)
    if not strips:
        return []
    caption = "Accuracy of the anchor's run with a state put in place of its own at one layer, over layers at the "
    caption += f"reference setting; {confidence} bands hold all layers of a line at once."
    return [(_drawing(figures.over_layers(results, strips), folder, "patched", caption), patched.patched_table(every))]


def _factor(results: Results, every: list[Case], factor: str, folder: Path, confidence: str) -> OfFactor:
    caption = f"The same at the last layer and, beneath, accuracies within the label set, over the levels of {factor}. "
    caption += f"Bars are {confidence} intervals over draws; the shaded level is the reference."
    drawing = _drawing(figures.over_levels(results, factor), folder, f"factor-{factor}", caption)
    return OfFactor(factor, drawing, answer_tables.effects_table(every, factor))


def _drawing(figure: Figure, folder: Path, name: str, caption: str) -> Drawing:
    return Drawing(inline_svg(save(figure, folder, name), name, caption), caption)
