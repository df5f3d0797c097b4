"""The page's contents, worked out from the results: nothing here knows how they come out."""

from collections.abc import Mapping, Sequence
from math import inf
from pathlib import Path
from typing import Any, NamedTuple

from markupsafe import Markup

from workflow_scripts.lib.measures import HEADLINE, SIMILARITIES
from workflow_scripts.lib.measures.contrasts import CONTRASTS, OWN, OWN_DEMONSTRATION_EFFECT
from workflow_scripts.lib.patching.patches import PATCHES
from workflow_scripts.lib.report import drawing
from workflow_scripts.lib.report.answer import answer
from workflow_scripts.lib.report.cases import cases
from workflow_scripts.lib.report.charts.figures import Figure, figures
from workflow_scripts.lib.report.choice import EVERY, State, chosen
from workflow_scripts.lib.report.encode import MISSING, as_script, encoded
from workflow_scripts.lib.report.export import write_tables
from workflow_scripts.lib.report.glossary import glossary
from workflow_scripts.lib.report.says import says
from workflow_scripts.lib.report.sections import sections_of, tables_of
from workflow_scripts.lib.report.tidy import Tidy, tidy
from workflow_scripts.lib.report.tuning import Adapters, loss_rows
from workflow_scripts.lib.results.results import Results

SIDE_BY_SIDE = 4  # data sets that figures show at first; of more, the first
IN_TABLES = 12  # cases that the page's tables have; the files have all
WIDTH = 1180  # pixels of the page


class Drawing(NamedTuple):
    """A figure as the page shows it before there is a script."""

    name: str
    section: str
    title: str
    svg: Markup
    says: str
    caption: str


class Choice(NamedTuple):
    """What a reader may choose: the options' values and words, the first of them at first."""

    name: str
    says: str
    options: list[tuple[str, str]]


def contents(
    results: Results,
    adapters: Adapters,
    controls: Mapping[str, str | None],
    figures_folder: Path,
    tables_folder: Path,
    confidence: str,
    method: str,
) -> dict[str, Any]:
    """What the page's template names of the results; writes figures and tables into their folders.

    `confidence` and `method` are the intervals', in words.
    """
    every = cases(results, controls)
    losses = list(loss_rows(adapters))
    rows, left_out = tidy(every, losses)
    choices = choices_of(results, rows)
    state = State(**{choice.name: choice.options[0][0] for choice in choices})
    shown = figures(results)
    specs = {figure.name: drawing.spec_of(figure.draw) for figure in shown}
    tables = tables_of(every, results, adapters)
    outcomes = tables[0].table
    write_tables(tables, tidy(every, losses, room=inf)[0] if left_out else rows, tables_folder)
    drawn = [_drawn(figure, specs[figure.name], rows, state, figures_folder) for figure in shown]
    drawings = [one for one in drawn if one is not None]
    tables = tables_of(every[:IN_TABLES], results, adapters)[1:] if len(every) > IN_TABLES else tables[1:]
    filled = {"prompts"} | {one.section for one in drawings} | {one.section for one in tables}
    bodies = [one for one in sections_of(results) if one.name in filled]
    return {
        "answer": answer(results, controls),
        "controls": [control for control in controls if control in results.models],
        "setting": ", ".join(f"{factor} {level}" for factor, level in results.reference.items()),
        "confidence": confidence,
        "outcomes": outcomes,
        "choices": choices,
        "drawings": drawings,
        "tables": tables,
        "bodies": bodies,
        "sections": [(one.name, one.called or one.heading) for one in bodies]
        + [("provenance", "Provenance"), ("glossary", "How to read it")],
        "cut": _cut(len(every), left_out),
        "glossary": glossary(confidence, method),
        "bundle": drawing.bundle(),
        "data": as_script(_data(shown, specs, rows, choices)),
    }


def _drawn(figure: Figure, spec: drawing.Spec, rows: Mapping[str, Tidy], state: State, folder: Path) -> Drawing | None:
    """A figure of what is chosen at first; None where no case has any of it."""
    here = chosen(rows[figure.table], figure.where, state)
    if not here and not chosen(rows[figure.table], figure.where, State("", measure=state.measure)):
        return None
    told = says(figure.name, here)
    label = f"{figure.title}. {told}"
    svg = drawing.svg_of(drawing.with_rows(spec, here, WIDTH, figure.labels))
    if here:
        drawing.write(spec, here, folder, figure.name, figure.labels)
    return Drawing(
        figure.name, figure.section, figure.title, drawing.inline(svg, figure.name, label), told, figure.caption
    )


def choices_of(results: Results, rows: Mapping[str, Tidy]) -> list[Choice]:
    """The choosers, in the order of the page."""
    names = [(name, name) for name in results.datasets]
    every = [(EVERY, "all, side by side")]
    measured = {row[3] for row in rows["states"].rows}
    measures = [one for one in (HEADLINE, *SIMILARITIES) if one.heading in measured]
    layers = sorted({layer for cell in results.cells() for layer in results.layers(*cell)})
    others = [one for one in (*CONTRASTS, OWN_DEMONSTRATION_EFFECT) if one is not OWN]
    return [
        Choice("model", "Model", [(name, name) for name in results.models]),
        Choice("dataset", "Data set", every + names if len(names) <= SIDE_BY_SIDE else names + every),
        Choice("layer", "Layer", [("last", "last"), *((str(layer), str(layer)) for layer in layers)]),
        Choice("measure", "Measure", [(one.heading, one.heading) for one in dict.fromkeys(measures)] or [("", "none")]),
        Choice("contrast", "Against", [(EVERY, "every control"), *((one.name, one.heading) for one in others)]),
    ]


def _data(
    shown: Sequence[Figure], specs: Mapping[str, drawing.Spec], rows: Mapping[str, Tidy], choices: Sequence[Choice]
) -> dict[str, Any]:
    """What the page's script is given."""
    return {
        **encoded(rows),
        "missing": MISSING,
        "question": OWN.name,
        "first": {choice.name: choice.options[0][0] for choice in choices},
        "words": {one.name: one.heading for one in (*CONTRASTS, OWN_DEMONSTRATION_EFFECT, *PATCHES)} | COLUMNS,
        "figures": {
            figure.name: {
                "title": figure.title,
                "table": figure.table,
                "where": figure.where,
                "labels": figure.labels,
                "spec": specs[figure.name],
            }
            for figure in shown
        },
    }


COLUMNS = {"dataset": "data set", "of": "arms", "match": "matched by", "low": "from", "high": "to"} | {
    "band_low": "band from",
    "band_high": "band to",
}


def _cut(count: int, left_out: Sequence[str]) -> str:
    """What of a large study is not on the page."""
    told = []
    if count > IN_TABLES:
        told.append(f"Tables further down have the first {IN_TABLES} of {count} cases.")
    if left_out:
        told.append(f"Figures are without {', '.join(left_out)}.")
    return " ".join([*told, "All of it is in tables/ beside this page."] if told else [])
