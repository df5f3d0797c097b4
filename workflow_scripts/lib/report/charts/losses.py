"""Losses over the steps of tuning, a line for each draw."""

import altair as alt

from workflow_scripts.lib.report.charts.look import COLOURS, panels, said

WHERE = {"model": "@model", "dataset": "@dataset"}


def losses() -> alt.FacetChart:
    """The loss before every step, of every draw's adapter."""
    rows = alt.Chart().encode(
        x=alt.X("step:Q", title="step", axis=alt.Axis(tickMinStep=1, format="d")),
        y=alt.Y("mean:Q", title="loss, nats"),
        detail="draw:N",
    )
    lines = rows.mark_line(strokeWidth=1.3, opacity=0.8, color=COLOURS[2])
    points = rows.mark_point(filled=True, size=24, opacity=0.01, color=COLOURS[2])
    return panels(
        [lines, points.encode(tooltip=said(("draw:N", "draw"), ("step:Q", "step"), ("mean:Q", "loss")))], height=150
    )
