"""Over the levels of a factor: what a level changes against the reference, how well arms answer, one tuning's path."""

from collections.abc import Sequence

import altair as alt

from workflow_scripts.lib.arms import ANCHOR, QUESTION
from workflow_scripts.lib.measures import HEADLINE, MOVEMENT
from workflow_scripts.lib.measures.contrasts import OWN
from workflow_scripts.lib.measures.kinds import Measure
from workflow_scripts.lib.report.charts.look import (
    INTERVAL,
    SOFT,
    coloured,
    dashed,
    panels,
    said,
    shaped,
    words,
)
from workflow_scripts.lib.report.tidy import EFFECT, LEVEL_MATCHES, VALUE

CASE = {"model": "@model", "dataset": "@dataset"}
HEADINGS = {match.name: match.heading for match in LEVEL_MATCHES}
WHERE_PATH = CASE


def where_effects(factor: str) -> dict[str, object]:
    """What changes of the chosen measure."""
    return {**CASE, "factor": [factor], "what": [EFFECT], "measure": "@measure"}


def where_scores(factor: str, measure: Measure) -> dict[str, object]:
    """How well arms answer at every level."""
    return {**CASE, "factor": [factor], "what": [VALUE], "measure": [measure.heading]}


def effects(levels: Sequence[str]) -> alt.FacetChart:
    """A level less the reference, paired by draw, with intervals; the reference is the line at zero."""
    return panels(_points(levels, "match", HEADINGS, "change against the reference", zero=True), height=170)


def scores(levels: Sequence[str], reference: str, measure: Measure) -> alt.FacetChart:
    """How well the anchor and the two arms answer at every level; the reference's level is marked."""
    names = {arm.heading: arm.heading for arm in (ANCHOR, *QUESTION)}
    at = alt.Chart().transform_aggregate(groupby=["level", "dataset"]).transform_filter(alt.datum.level == reference)
    mark = at.mark_rule(color=SOFT, strokeWidth=14, opacity=0.13).encode(x=_level(levels))
    return panels([mark, *_points(levels, "of", names, measure.heading, zero=False)], height=150)


def _level(levels: Sequence[str]) -> alt.X:
    return alt.X(
        "level:O",
        title=None,
        scale=alt.Scale(domain=list(levels)),
        axis=alt.Axis(labelAngle=0, labelLimit=90, labelExpr="datum.value"),
    )


def _points(levels: Sequence[str], field: str, names: dict[str, str], title: str, *, zero: bool) -> list[alt.Chart]:
    headings = list(names.values())
    aside = alt.XOffset("line:N", scale=alt.Scale(domain=headings, paddingOuter=1))
    rows = alt.Chart().transform_calculate(line=words(field, names))
    spans = rows.mark_rule(strokeWidth=1.6).encode(
        x=_level(levels), xOffset=aside, y="low:Q", y2="high:Q", color=coloured("line", headings)
    )
    points = rows.mark_point(filled=True, size=52, opacity=1).encode(
        x=_level(levels),
        xOffset=aside,
        y=alt.Y("mean:Q", title=title, scale=alt.Scale(zero=zero)),
        color=coloured("line", headings),
        shape=shaped("line", headings),
        tooltip=said(("level:O", "level"), ("line:N", ""), ("measure:N", "measure"), *INTERVAL),
    )
    rule = alt.Chart().mark_rule(color=SOFT, strokeWidth=0.8).encode(y=alt.datum(0))
    return [rule, spans, points] if zero else [spans, points]


def path() -> alt.FacetChart:
    """Similarity with its controls against how far tuning had moved the states by each step."""
    shown = {match.name: match.heading for match in LEVEL_MATCHES[:3]}
    headings = [*shown.values()]
    rows = alt.Chart().transform_calculate(line=words("match", shown))
    x = alt.X("moved_by:Q", title=f"{MOVEMENT.heading} of {QUESTION[1].heading}", scale=alt.Scale(zero=True))
    y = alt.Y("mean:Q", title=HEADLINE.heading)
    curve = rows.mark_line(strokeWidth=1.8).encode(
        x=x, y=y, order="place:Q", color=coloured("line", headings), strokeDash=dashed("line", headings)
    )
    spans = rows.mark_rule(strokeWidth=1.2).encode(x=x, y="low:Q", y2="high:Q", color=coloured("line", headings))
    points = rows.mark_point(filled=True, size=40, opacity=1).encode(
        x=x,
        y="mean:Q",
        color=coloured("line", headings),
        tooltip=said(("level:N", "steps"), ("line:N", ""), ("moved_by:Q", "moved by"), *INTERVAL),
    )
    steps = (
        alt.Chart()
        .transform_filter(f"datum.match === '{OWN.name}'")
        .mark_text(dy=-12, fontSize=10, color=SOFT)
        .encode(x=x, y="mean:Q", text="level:N")
    )
    return panels([curve, spans, points, steps], height=210)
