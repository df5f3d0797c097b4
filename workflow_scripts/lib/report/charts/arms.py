"""Bars of points without layers or levels: every two arms by the chosen measure, and how often each arm is right."""

import altair as alt

from workflow_scripts.lib.arms import ARMS, CEILINGS, IMITATIONS
from workflow_scripts.lib.measures import ACCURACY, BEHAVIOURS
from workflow_scripts.lib.measures.contrasts import OTHER_DRAW, OTHER_LABEL, OWN
from workflow_scripts.lib.report.cases import ICL_IT, together
from workflow_scripts.lib.report.charts.look import INTERVAL, coloured, panels, said, shaped, words

MATCHES = (OWN, OTHER_DRAW, OTHER_LABEL)
TOGETHER = [ICL_IT, *(together(*arms) for arms in (*CEILINGS, *IMITATIONS))]
CASE = {"model": "@model", "dataset": "@dataset"}
WHERE_ARMS = {
    **CASE,
    "measure": "@measure",
    "layer": "@layer",
    "of": TOGETHER,
    "match": [match.name for match in MATCHES],
}
RIGHT = [one for one in BEHAVIOURS if not one.of_updates and one.bounds == ACCURACY.bounds]  # no log-probabilities
WHERE_ANSWERS = {**CASE, "measure": [measure.heading for measure in RIGHT]}


def arms_beside() -> alt.FacetChart:
    """The two arms of the question beside ceilings and imitations, each with its controls."""
    return _rows_of_points("match", {match.name: match.heading for match in MATCHES}, TOGETHER, "similarity")


def answers() -> alt.FacetChart:
    """How often each arm is right, within the label set and over the vocabulary; how near a greedy answer is."""
    names = {measure.heading: measure.heading for measure in RIGHT}
    return _rows_of_points("measure", names, [arm.heading for arm in ARMS], ACCURACY.heading.split(",")[0])


def _rows_of_points(field: str, names: dict[str, str], rows: list[str], title: str) -> alt.FacetChart:
    headings = list(names.values())
    told = alt.Chart().transform_calculate(line=words(field, names))
    y = alt.Y("of:N", title=None, sort=rows, axis=alt.Axis(grid=True, labelLimit=150))
    aside = alt.YOffset("line:N", scale=alt.Scale(domain=headings, paddingOuter=1))
    spans = told.mark_rule(strokeWidth=1.6).encode(
        x="low:Q", x2="high:Q", y=y, yOffset=aside, color=coloured("line", headings)
    )
    points = told.mark_point(filled=True, size=56, opacity=1).encode(
        x=alt.X("mean:Q", title=title, axis=alt.Axis(grid=True)),
        y=y,
        yOffset=aside,
        color=coloured("line", headings),
        shape=shaped("line", headings),
        tooltip=said(("of:N", "arms"), ("line:N", ""), *INTERVAL),
    )
    return panels([spans, points], height=alt.Step(30, **{"for": "position"}), width=180)
