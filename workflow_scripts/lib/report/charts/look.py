"""How figures look: colours, dashes, type, and panels for models or data sets.

A colour is the name of one of the page's, so that a figure follows it into the dark and onto paper; `PAPER` is what
they are where there is no page. The colours of lines are Okabe and Ito's, told apart by the colour-blind, and no
colour is alone: lines are dashed, points have shapes.
"""

from collections.abc import Sequence
from typing import Any

import altair as alt

from workflow_scripts.lib.measures.contrasts import CONTRASTS, OWN_DEMONSTRATION_EFFECT

FONT = "Liberation Sans, Arial, Helvetica, sans-serif"  # embedded in PDFs; Arial has the same widths
INK, SOFT, RULE, GROUND, WASH = "var(--ink)", "var(--soft)", "var(--rule)", "var(--ground)", "var(--wash)"
PAPER = {INK: "#1c1c1c", SOFT: "#5d5d5d", RULE: "#d9d6cf", GROUND: "#ffffff", WASH: "#efedea"}
COLOURS = (INK, "#CC79A7", "#2f9fd0", "#009E73", "#999999", "#D55E00", "#B58900", "#8a6fc2")
DASHES = ([1, 0], [6, 3], [2, 2], [8, 3, 2, 3], [1, 3], [4, 1], [10, 3], [5, 2, 1, 2])
SHAPES = ("circle", "diamond", "square", "triangle-up", "cross", "triangle-down", "triangle-right", "stroke")
PART_COLOURS = ("#56B4E9", "#0072B2", "#E69F00", "#D55E00")  # what any set does is blue, what this set does orange

PANEL = "panel"  # a data set and an arm, which drawing.py and script.py put together
MATCHES = [match.heading for match in (*CONTRASTS, OWN_DEMONSTRATION_EFFECT)]

AXIS = {
    "labelColor": SOFT,
    "titleColor": SOFT,
    "domainColor": RULE,
    "tickColor": RULE,
    "gridColor": RULE,
    "gridOpacity": 0.6,
    "titleFontWeight": "normal",
    "titleFontSize": 11,
    "labelFontSize": 11,
    "tickSize": 4,
    "titlePadding": 8,
    "labelLimit": 180,
    "tickCount": 6,
}
CONFIG: dict[str, Any] = {
    "aria": False,
    "background": "transparent",
    "font": FONT,
    "view": {"stroke": None},
    "axis": AXIS,
    "axisX": {"grid": False},
    "axisY": {"domain": False, "ticks": False},
    "legend": {
        "labelColor": INK,
        "titleColor": SOFT,
        "orient": "top",
        "direction": "horizontal",
        "title": None,
        "labelFontSize": 11,
        "symbolSize": 90,
        "symbolStrokeWidth": 2,
        "symbolOpacity": 1,
        "columnPadding": 14,
        "labelLimit": 260,
        "offset": 6,
    },
    "header": {
        "labelColor": INK,
        "labelFontSize": 12,
        "labelFontWeight": "bold",
        "labelAnchor": "start",
        "title": None,
        "labelLimit": 320,
    },
    "facet": {"spacing": 22},
}


def schemed(names: Sequence[str], values: Sequence[Any]) -> alt.Scale:
    """A scale that gives names their values in turn, and over again where there are more names.

    A way of matching two arms has the same one wherever it is shown.
    """
    places = [MATCHES.index(name) if name in MATCHES else i for i, name in enumerate(names)]
    return alt.Scale(domain=list(names), range=[values[place % len(values)] for place in places])


def coloured(field: str, names: Sequence[str], colours: Sequence[str] = COLOURS) -> alt.Color:
    """Colour by a field, with a legend."""
    return alt.Color(f"{field}:N", scale=schemed(names, colours), legend=alt.Legend(title=None))


def dashed(field: str, names: Sequence[str]) -> alt.StrokeDash:
    """Dashes by a field, in the same legend."""
    return alt.StrokeDash(f"{field}:N", scale=schemed(names, DASHES), legend=alt.Legend(title=None))


def shaped(field: str, names: Sequence[str]) -> alt.Shape:
    """Shapes by a field, in the same legend."""
    return alt.Shape(f"{field}:N", scale=schemed(names, SHAPES), legend=alt.Legend(title=None))


def told(*fields: tuple[str, str]) -> list[alt.Tooltip]:
    """What is said of a mark that is pointed at: field and what it is called; numbers to three digits."""
    return [
        alt.Tooltip(field, title=name, format=".3f") if field.endswith(":Q") else alt.Tooltip(field, title=name)
        for field, name in fields
    ]


def said(*fields: tuple[str, str]) -> list[alt.Tooltip]:
    """The same after the model and the data set."""
    return told(*CASE, *fields)


INTERVAL = (("mean:Q", "mean"), ("low:Q", "from"), ("high:Q", "to"))
BAND = (("mean:Q", "mean"), ("band_low:Q", "band from"), ("band_high:Q", "band to"))
CASE = (("model:N", "model"), ("dataset:N", "data set"))


def words(field: str, names: dict[str, str]) -> str:
    """An expression of Vega's that gives what people call a name."""
    choices = "".join(f"datum.{field} === {_quoted(name)} ? {_quoted(word)} : " for name, word in names.items())
    return f"{choices}datum.{field}"


def _quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def panels(
    layers: Sequence[Any], *, by: str = "dataset", height: Any, width: int = 260, columns: int = 3
) -> alt.FacetChart:
    """The layers once for every model, data set, or `PANEL`; rows come as `rows`."""
    chart = alt.layer(*layers).properties(width=width, height=height)
    faceted = chart.facet(alt.Facet(f"{by}:N", sort=None, title=None), columns=columns, data=alt.NamedData("rows"))
    return faceted.configure(**CONFIG)
