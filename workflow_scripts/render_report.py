"""Render the report: the answer, the tables and the figures, on one page that opens offline.

The text is worked out from the estimates; nothing here knows how they come out.
"""

from pathlib import Path

import pyarrow as pa

from workflow_scripts.lib.command import command
from workflow_scripts.lib.lineage import Lineage, add, lineage_of
from workflow_scripts.lib.provenance import origin
from workflow_scripts.lib.report import figures as draw
from workflow_scripts.lib.report.answer import answer
from workflow_scripts.lib.report.page import inline_svg, page
from workflow_scripts.lib.report.rows import answers_table, ground_table, provenance_rows, states_table
from workflow_scripts.lib.results import Results
from workflow_scripts.lib.tables import ArtifactError, read_origin, read_table, whole


def render_report(
    similarity: Path,
    *,
    title: str,
    reference: dict[str, str],
    controls: dict[str, str],
    report: Path,
    figures: Path,
) -> None:
    """Write the page and its figures; ArtifactError where there is nothing to report.

    Args:
        similarity: every estimate of the study
        title: of the page
        reference: factor -> its reference level
        controls: untrained model -> the model that it is the control of; may be empty
        report: where to write the page
        figures: folder for one SVG and one PDF per figure
    """
    results = _results(similarity, reference)
    settings = {"title": title, "reference": reference, "controls": controls}
    lineage = lineage_of([similarity])
    add(lineage, origin("render_report", ("jinja2", "matplotlib", "numpy", "pyarrow"), **settings))
    with whole(figures) as folder:
        folder.mkdir()
        drawn = _draw(results, folder)
    with whole(report) as path:
        path.write_text(_page(results, title, controls, drawn, similarity, lineage), encoding="utf-8")


def _results(similarity: Path, reference: dict[str, str]) -> Results:
    table: pa.Table = read_table(similarity)
    if not table.num_rows:
        raise ArtifactError(f"{similarity} holds no estimates; delete it and aggregate the study again")
    return Results(table, reference)


def _draw(results: Results, folder: Path) -> dict[str, str]:
    drawn = {"layers": draw.save(draw.over_layers(results), folder, "layers")}
    for factor in results.factors:
        drawn[factor] = draw.save(draw.over_levels(results, factor), folder, f"factor-{factor}")
    return drawn


def _page(
    results: Results, title: str, controls: dict[str, str], drawn: dict[str, str], similarity: Path, lineage: Lineage
) -> str:
    verdict, summary, paragraphs = answer(results, controls)
    bootstrap = read_origin(similarity)["settings"]
    return page(
        title=title,
        verdict=verdict,
        summary=summary,
        paragraphs=paragraphs,
        controls=[control for control in controls if control in results.models],
        states=states_table(results, controls),
        ground=ground_table(results, controls),
        answers=answers_table(results, controls),
        layers=inline_svg(drawn["layers"], "layers", "Three cosines over layers, for each model and data set"),
        factors=[
            (factor, inline_svg(drawn[factor], factor, f"Cosines and accuracies over the levels of {factor}"))
            for factor in results.factors
        ],
        confidence=f"{100 * bootstrap['confidence']:g} %",
        resamples=bootstrap["resamples"],
        method="percentile",
        provenance=provenance_rows(lineage),
    )


if __name__ == "__main__":
    command(render_report)
