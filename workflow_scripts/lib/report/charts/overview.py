"""The one figure of the first screen: what the similarity is made of, beside its controls, for every data set."""

import altair as alt

from workflow_scripts.lib.arms import CEILINGS
from workflow_scripts.lib.measures import HEADLINE, NOISE
from workflow_scripts.lib.measures.contrasts import OTHER_DRAW, OTHER_LABEL, OWN
from workflow_scripts.lib.measures.parts import WHOLE
from workflow_scripts.lib.report.cases import ICL_IT, together
from workflow_scripts.lib.report.charts.look import (
    COLOURS,
    INK,
    INTERVAL,
    MATCHES,
    PART_COLOURS,
    SHAPES,
    SOFT,
    WASH,
    panels,
    said,
    words,
)
from workflow_scripts.lib.report.choice import Where
from workflow_scripts.lib.report.tidy import PART
from workflow_scripts.lib.report.wording import PART_SHORT

BESIDE = {contrast.name: contrast.heading for contrast in (OWN, OTHER_DRAW, OTHER_LABEL)}
LINES = [*PART_SHORT.values(), *BESIDE.values()]
PLACES = [MATCHES.index(heading) for heading in BESIDE.values()]
STEP = 54  # pixels that a data set takes
FEW = 8  # cases that are shown at once; of more, one model's


def where(cases: int) -> Where:
    """The rows that it is drawn from, of a study of so many cases."""
    rows = {"measure": [PART, HEADLINE.heading, NOISE.heading], "layer": "@layer"}
    return rows if cases <= FEW else {**rows, "model": "@model"}


def overview() -> alt.FacetChart:
    """For each data set of a model a bar of the parts, three points beneath it, ceilings as a band, noise as a line."""
    lane = alt.YOffset("lane:N", scale=alt.Scale(domain=["parts", *BESIDE], paddingInner=0.1))
    y = alt.Y("dataset:N", title=None, sort=None, scale=alt.Scale(paddingInner=0.2, paddingOuter=0.06))
    x = alt.X("mean:Q", title=f"{HEADLINE.heading} of {ICL_IT}")
    return panels(
        [_ceilings(y), _noise(y), _bars(x, y, lane), _whole(y, lane), _spans(y, lane), _points(x, y, lane)],
        by="model",
        width=760,
        height=alt.Step(STEP, **{"for": "position"}),
        columns=1,
    )


def _colour() -> alt.Color:
    colours = [*PART_COLOURS, *(COLOURS[place] for place in PLACES)]
    return alt.Color("line:N", scale=alt.Scale(domain=LINES, range=colours), legend=alt.Legend(title=None))


def _rows(test: str) -> alt.Chart:
    return alt.Chart().transform_filter(test)


def _ceilings(y: alt.Y) -> alt.Chart:
    of = " || ".join(f"datum.of === '{together(*arms)}'" for arms in CEILINGS)
    return (
        _rows(f"datum.match === '{OWN.name}' && ({of})")
        .transform_aggregate(least="min(mean)", most="max(mean)", groupby=["model", "dataset"])
        .transform_calculate(least="datum.least === datum.most ? datum.least - 0.004 : datum.least")
        .mark_bar(color=WASH, stroke=SOFT, strokeDash=[2, 2], strokeWidth=0.7)
        .encode(x="least:Q", x2="most:Q", y=y, tooltip=said(("least:Q", "ceilings from"), ("most:Q", "to")))
    )


def _noise(y: alt.Y) -> alt.Chart:
    return (
        _rows(f"datum.measure === '{NOISE.heading}'")
        .mark_tick(color=INK, thickness=1.5)
        .encode(x="mean:Q", y=y, tooltip=said(("measure:N", ""), ("mean:Q", "shared")))
    )


def _bars(x: alt.X, y: alt.Y, lane: alt.YOffset) -> alt.Chart:
    order = {name: str(i) for i, name in enumerate(PART_SHORT)}
    return (
        _rows(f"datum.measure === '{PART}' && datum.match !== '{WHOLE}'")
        .transform_calculate(
            lane="'parts'", order=f"toNumber({words('match', order)})", line=words("match", PART_SHORT)
        )
        .mark_bar()
        .encode(
            x=x.stack("zero"),
            y=y,
            yOffset=lane,
            order="order:Q",
            color=_colour(),
            tooltip=said(("line:N", "part"), *INTERVAL),
        )
    )


def _whole(y: alt.Y, lane: alt.YOffset) -> alt.Chart:
    return (
        _rows(f"datum.measure === '{PART}' && datum.match === '{WHOLE}'")
        .transform_calculate(lane="'parts'")
        .mark_rule(color=INK, strokeWidth=1.4)
        .encode(x="low:Q", x2="high:Q", y=y, yOffset=lane, tooltip=said(("match:N", "part"), *INTERVAL))
    )


def _beside() -> alt.Chart:
    of = " || ".join(f"datum.match === '{name}'" for name in BESIDE)
    rows = _rows(f"datum.measure === '{HEADLINE.heading}' && datum.of === '{ICL_IT}' && ({of})")
    return rows.transform_calculate(lane="datum.match", line=words("match", BESIDE))


def _spans(y: alt.Y, lane: alt.YOffset) -> alt.Chart:
    return _beside().mark_rule(strokeWidth=1.8).encode(x="low:Q", x2="high:Q", y=y, yOffset=lane, color=_colour())


def _points(x: alt.X, y: alt.Y, lane: alt.YOffset) -> alt.Chart:
    shapes = ["square"] * len(PART_SHORT) + [SHAPES[place] for place in PLACES]
    shape = alt.Shape("line:N", scale=alt.Scale(domain=LINES, range=shapes), legend=alt.Legend(title=None))
    points = _beside().mark_point(filled=True, size=70, opacity=1)
    tooltip = said(("line:N", "matched by"), *INTERVAL)
    return points.encode(x=x, y=y, yOffset=lane, color=_colour(), shape=shape, tooltip=tooltip)
