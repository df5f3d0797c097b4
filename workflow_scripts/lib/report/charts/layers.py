"""Over layers: what the similarity is made of, any similarity beside its controls, and patched runs."""

from typing import Any

import altair as alt

from workflow_scripts.lib.arms import ANCHOR, QUESTION
from workflow_scripts.lib.measures import COSINE, HEADLINE
from workflow_scripts.lib.measures.contrasts import CONTRASTS, OWN, OWN_DEMONSTRATION_EFFECT
from workflow_scripts.lib.measures.parts import GENERAL, INTERACTION, QUERY, SET, WHOLE
from workflow_scripts.lib.patching.measures import HOW_WELL
from workflow_scripts.lib.patching.patches import PATCH_DIFFERENCES, PATCHES
from workflow_scripts.lib.report.cases import ICL_IT, together
from workflow_scripts.lib.report.charts.look import (
    BAND,
    INK,
    INTERVAL,
    PANEL,
    PART_COLOURS,
    SOFT,
    coloured,
    dashed,
    panels,
    said,
    words,
)
from workflow_scripts.lib.report.tidy import PART
from workflow_scripts.lib.report.wording import PART_SHORT

PARTS = (GENERAL, QUERY, SET, INTERACTION)
MATCHES = (*CONTRASTS, OWN_DEMONSTRATION_EFFECT)
CASE = {"model": "@model", "dataset": "@dataset"}
WHERE_PARTS = {**CASE, "measure": [PART]}
WHERE_SIMILARITY = {**CASE, "measure": "@measure", "of": [ICL_IT], "match": "@contrast"}
TO_ANCHOR = [together(ANCHOR, arm) for arm in QUESTION]
WHERE_ANCHOR = {**CASE, "measure": [COSINE.heading], "of": [ICL_IT, *TO_ANCHOR], "match": [OWN.name]}
# How well a run answers asks for no set: what is only another draw's has by construction the mean of the draws' own.
DRAWN = [patch for patch in PATCHES if patch not in {difference.less for difference in PATCH_DIFFERENCES}]
WHERE_PATCHED = {
    **CASE,
    "measure": [measure.heading for measure in HOW_WELL],
    "match": [patch.name for patch in DRAWN],
}


def parts_over_layers() -> alt.FacetChart:
    """Bars of the parts that add up to the whole at every layer; the whole as a point with its interval."""
    layer = alt.X("layer:O", title="layer", axis=alt.Axis(labelAngle=0, labelOverlap=True))
    order = {name: str(i) for i, name in enumerate(PARTS)}
    bars = (
        alt.Chart()
        .transform_filter(f"datum.match !== '{WHOLE}'")
        .transform_calculate(order=f"toNumber({words('match', order)})", part=words("match", PART_SHORT))
        .mark_bar()
        .encode(
            x=layer,
            y=alt.Y("mean:Q", title=HEADLINE.heading).stack("zero"),
            color=coloured("part", [*PART_SHORT.values()], PART_COLOURS),
            order="order:Q",
            tooltip=said(("layer:O", "layer"), ("part:N", "part"), *INTERVAL),
        )
    )
    whole = alt.Chart().transform_filter(f"datum.match === '{WHOLE}'")
    band = whole.mark_rule(color=INK, strokeWidth=1.3).encode(x=layer, y="low:Q", y2="high:Q")
    return panels(
        [bars, band, whole.mark_point(filled=True, color=INK, size=18).encode(x=layer, y="mean:Q")], height=210
    )


def similarity_over_layers() -> alt.FacetChart:
    """One measure of the two arms by every contrast and the own-demonstration effect, with simultaneous bands."""
    names = {match.name: match.heading for match in MATCHES}
    return panels(lines("match", names, "similarity"), height=210)


def to_anchor_over_layers() -> alt.FacetChart:
    """The paper's comparison: the two arms' similarity to each other, and each one's to the anchor."""
    return panels(lines("of", {arms: arms for arms in (ICL_IT, *TO_ANCHOR)}, "similarity"), height=210)


def patched_over_layers() -> alt.FacetChart:
    """How well the anchor's run answers with a state put in at one layer; a panel for each arm that it is from."""
    names = {patch.name: patch.heading for patch in DRAWN}
    drawn = lines("match", names, "accuracy, or log-probability")
    return panels(drawn, height=190, by=PANEL)


def lines(field: str, names: dict[str, str], title: str) -> list[Any]:
    """Lines over layers with their bands, and a rule at zero."""
    layer = alt.X("layer:Q", title="layer", axis=alt.Axis(tickMinStep=1, format="d"))
    rows = alt.Chart().transform_calculate(line=words(field, names))
    headings = list(names.values())
    band = rows.mark_area(opacity=0.12).encode(
        x=layer, y="band_low:Q", y2="band_high:Q", color=coloured("line", headings)
    )
    line = rows.mark_line(strokeWidth=1.9).encode(
        x=layer,
        y=alt.Y("mean:Q", title=title),
        color=coloured("line", headings),
        strokeDash=dashed("line", headings),
    )
    points = rows.mark_point(filled=True, size=26, opacity=1).encode(
        x=layer,
        y="mean:Q",
        color=coloured("line", headings),
        tooltip=said(("line:N", ""), ("measure:N", "measure"), ("layer:Q", "layer"), *BAND),
    )
    zero = alt.Chart().mark_rule(color=SOFT, strokeWidth=0.8).encode(y=alt.datum(0))
    return [zero, band, line, points]
