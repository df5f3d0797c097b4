"""Render the report: the answer, the tables and the figures, on one page that opens offline.

The text is worked out from the estimates; nothing here knows how they come out.
"""

from pathlib import Path

from workflow_scripts.lib.artifacts.tables import read_origin, readable, whole
from workflow_scripts.lib.command import command
from workflow_scripts.lib.models.about import read_about
from workflow_scripts.lib.report.contents import contents
from workflow_scripts.lib.report.page import page
from workflow_scripts.lib.report.settings import RenderReport
from workflow_scripts.lib.results.results import read_results
from workflow_scripts.lib.results.statistics import METHOD


def render_report(
    similarity: Path,
    parts: Path,
    effects: Path,
    *,
    models: dict[str, Path],
    levels: dict[str, list[str]],
    reference: dict[str, str],
    controls: dict[str, str | None],
    provenance: dict[str, dict[str, str]],
    settings: RenderReport,
    report: Path,
    figures: Path,
) -> None:
    """Write the page and its figures; ArtifactError where a table is missing, damaged or empty.

    Args:
        similarity: every estimate of the study
        parts: of the update similarity
        effects: of levels against the reference
        models: model -> its prepared folder, which says where it comes from
        levels: factor -> all its levels, in the order in which the report shows them
        reference: factor -> its reference level
        controls: untrained model -> the model that it is the control of, null where there is none; may be empty
        provenance: stage -> digests of its code and of its settings, and its libraries, in the workflow's order
        settings: the block of params.yaml that is called as this stage
        report: where to write the page
        figures: folder for one SVG and one PDF per figure
    """
    results = read_results(similarity, parts, effects, levels=levels, reference=reference)
    confidence = read_origin(similarity)["settings"]["settings"]["confidence"]
    with whole(figures) as folder, whole(report) as path:
        folder.mkdir()
        shown = contents(results, controls, folder, f"{100 * confidence:g} %", METHOD)
        told = {name: _about(prepared) for name, prepared in models.items()}
        text = page(title=settings.title, provenance=provenance, models=told, **shown)
        path.write_text(text, encoding="utf-8")


def _about(prepared: Path) -> str:
    with readable(prepared):
        return read_about(prepared).text


if __name__ == "__main__":
    command(render_report)
