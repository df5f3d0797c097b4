"""The list of figures: what each shows of which table, what a reader may choose there, and its words."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import altair as alt

from workflow_scripts.lib.measures import COSINE, HEADLINE, HOW_WELL
from workflow_scripts.lib.report.cases import ICL_IT
from workflow_scripts.lib.report.charts import arms, layers, levels, losses, overview
from workflow_scripts.lib.report.choice import Where
from workflow_scripts.lib.report.tidy import moments
from workflow_scripts.lib.report.wording import begun
from workflow_scripts.lib.results.results import Results


class Figure(NamedTuple):
    """A figure of the page, of `snakemake --report` and of the files.

    Args:
        name: in addresses and of its files
        section: where it stands
        title: above it
        caption: beneath it, beside `says`
        table: the tidy table that it is drawn from
        where: which of its rows
        draw: gives the chart, which takes those rows as `rows`
        labels: the key whose words stand at the left of every panel, if any
    """

    name: str
    section: str
    title: str
    caption: str
    table: str
    where: Where
    draw: Callable[[], alt.FacetChart]
    labels: str = ""


def _overview(cases: int) -> Figure:
    return Figure(
        "overview",
        "answer",
        "What ICL and IT have in common, and how much of it these demonstrations account for",
        "Bars: the parts that add up to the pooled similarity of updates, with the interval of the whole. Points: the "
        "similarity as measured, with another draw's set, and with another query. Dashed box: ceilings, an arm and the "
        "same once more. Black line: what noise alone would give.",
        "states",
        overview.where(cases),
        overview.overview,
        labels="dataset",
    )


FIXED = (
    Figure(
        "parts-over-layers",
        "layers",
        f"Parts of the {HEADLINE.heading}, by layer",
        "Blue is what any set of the task does, orange what this set does. Points: the whole, with its interval.",
        "states",
        layers.WHERE_PARTS,
        layers.parts_over_layers,
    ),
    Figure(
        "similarity-over-layers",
        "layers",
        "The chosen measure and its controls, by layer",
        "Bands hold all layers of a line at once. What is left with another draw's set is the task's.",
        "states",
        layers.WHERE_SIMILARITY,
        layers.similarity_over_layers,
    ),
    Figure(
        "anchor-over-layers",
        "layers",
        "The paper's comparison, by layer",
        f"The {COSINE.heading} of the two arms with each other and with the anchor; bands hold all layers at once.",
        "states",
        layers.WHERE_ANCHOR,
        layers.to_anchor_over_layers,
    ),
    Figure(
        "path",
        "path",
        "Similarity along the path of tuning",
        "A point is a step of one training run, named above the line; to the right, tuning has moved states farther.",
        "path",
        levels.WHERE_PATH,
        levels.path,
    ),
    Figure(
        "arms",
        "arms",
        "The question's arms beside ceilings and imitations",
        "Ceilings are an arm and the same once more; imitations are tuned to act like ICL. Each with its controls.",
        "states",
        arms.WHERE_ARMS,
        arms.arms_beside,
        labels="of",
    ),
    Figure(
        "patched",
        "patching",
        "How well the anchor's run answers with a state put in at one layer",
        "At the embeddings the run is the anchor's and at the last layer, of one token, the arm's, by construction; "
        "between, states do the arm's work from where the line has risen. Accuracy, or of generation the answer's "
        "log-probability per token. Bands hold all layers at once.",
        "patches",
        layers.WHERE_PATCHED,
        layers.patched_over_layers,
    ),
    Figure(
        "answers",
        "behaviour",
        "How often each arm is right",
        "Within the label set, and over the whole vocabulary; of generation, what is written. The anchor is shown no "
        "set, hence no interval.",
        "answers",
        arms.WHERE_ANSWERS,
        arms.answers,
        labels="of",
    ),
    Figure(
        "losses",
        "tuning",
        "Losses while tuning at the reference setting",
        "A line is the adapter of one draw: the mean negative log-likelihood of the label's tokens, in nats.",
        "tuning",
        losses.WHERE,
        losses.losses,
    ),
)


def figures(results: Results) -> list[Figure]:
    """Every figure of a study, in the order of the page: the fixed ones, and those of each factor."""
    first = _overview(sum(1 for _ in results.cells()))
    return [first, *FIXED, *(one for factor in results.factors for one in _of_factor(results, factor))]


def _of_factor(results: Results, factor: str) -> Sequence[Figure]:
    """What its levels change, and how well arms answer there; a path has its similarity among the fixed ones."""
    every: Mapping[str, Any] = {}
    for model, dataset in results.cells():
        every = {**every, **dict.fromkeys(results.levels(model, dataset, factor))}
    names = [level for level in results.every_level(factor) if level in every]
    at = results.reference.get(factor, "")
    if factor in moments(results.factors):
        return _scores(factor, "path", names, at)
    change = Figure(
        f"factor-{factor}",
        f"factor-{factor}",
        f"{factor}: change of {ICL_IT} similarity",
        "A level less the reference, paired by draw. Other draw's and other query's changes stand beside.",
        "levels",
        levels.where_effects(factor),
        lambda: levels.effects([name for name in names if name != at]),
    )
    return [change, *_scores(factor, change.section, names, at)]


def _scores(factor: str, section: str, names: Sequence[str], at: str) -> Sequence[Figure]:
    return [
        Figure(
            f"{section}-{measure.name}",
            section,
            f"{factor}: {measure.heading.split(',')[0]}",
            f"{begun(measure.heading)}, of each arm; the shaded level is the reference.",
            "levels",
            levels.where_scores(factor, measure),
            partial(levels.scores, names, at, measure),
        )
        for measure in HOW_WELL
    ]
