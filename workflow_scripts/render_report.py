"""Render the report: the answer, the tables and the figures, on one page that opens offline.

The text is worked out from the estimates; nothing here knows how they come out.
"""

from pathlib import Path

from workflow_scripts.lib.arms import CHOOSABLE
from workflow_scripts.lib.artifacts.tables import read_origin, whole
from workflow_scripts.lib.command import command
from workflow_scripts.lib.report.beside import Files, read_about_models, read_adapters, read_prompts
from workflow_scripts.lib.report.contents import contents
from workflow_scripts.lib.report.page import page
from workflow_scripts.lib.report.plots_page import plots_page
from workflow_scripts.lib.report.prompt import KINDS
from workflow_scripts.lib.report.settings import RenderReport
from workflow_scripts.lib.results.results import read_results
from workflow_scripts.lib.results.statistics import METHOD


def render_report(
    similarity: Path,
    parts: Path,
    effects: Path,
    about: str,
    adapters: str,
    examples: str,
    sets: str,
    *,
    models: list[str],
    datasets: list[str],
    arms: list[str],
    levels: dict[str, list[str]],
    reference: dict[str, str],
    controls: dict[str, str | None],
    provenance: dict[str, dict[str, str]],
    settings: RenderReport,
    report: Path,
    figures: Path,
    tables: Path,
    plots: Path,
) -> None:
    """Write the page, its figures and its tables; ArtifactError where a file is missing, damaged or empty.

    Args:
        similarity: every estimate of the study
        parts: of the update similarity
        effects: of levels against the reference
        about: folder of a prepared model, with {model} for what it is called
        adapters: folder of adapters at the reference setting, with {model} and {dataset} for what these are called
        examples: pool and queries, with {dataset}
        sets: the sets of the reference setting, with {dataset}
        models: names of the models
        datasets: names of the data sets
        arms: names of the study's arms
        levels: factor -> all its levels, in the order in which the report shows them
        reference: factor -> its reference level
        controls: untrained model -> the model that it is the control of, null where there is none; may be empty
        provenance: stage -> digests of its code and of its settings, and its libraries, in the workflow's order
        settings: the block of params.yaml that is called as this stage
        report: where to write the page
        figures: folder for every figure as SVG and PDF, as wide as one column of a paper and as two
        tables: folder for every table as CSV and LaTeX, and for what figures are drawn from as CSV
        plots: where to write the page that `dvc plots` puts its plots into
    """
    results = read_results(similarity, parts, effects, levels=levels, reference=reference)
    confidence = f"{100 * read_origin(similarity)['settings']['settings']['confidence']:g} %"
    files = Files(about, adapters, examples, sets)
    tuned = read_adapters(files, models, datasets)
    prompts = read_prompts(files, datasets, [arm for arm in CHOOSABLE if arm.name in arms])
    with whole(figures) as drawn, whole(tables) as told, whole(plots) as frame, whole(report) as path:
        drawn.mkdir()
        told.mkdir()
        shown = contents(results, tuned, controls, drawn, told, confidence, METHOD)
        text = page(
            title=settings.title,
            provenance=provenance,
            models=read_about_models(files, models),
            prompts=prompts,
            kinds=KINDS,
            **shown,
        )
        path.write_text(text, encoding="utf-8")
        frame.write_text(plots_page(), encoding="utf-8")


if __name__ == "__main__":
    command(render_report)
