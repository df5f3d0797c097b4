"""Charts as pictures: SVG for the page, and SVG and PDF as wide as the columns of a paper. No display, equal bytes."""

import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any

import altair as alt
import pikepdf
import vl_convert
from altair.utils.schemapi import debug_mode
from markupsafe import Markup

from workflow_scripts.lib.report.charts.look import GROUND, PANEL, PAPER

VEGA_LITE = "6.4"
WIDTHS = {"one-column": 85, "two-column": 178}  # millimetres
POINT = 0.352778  # millimetres
DRAWN_AT = {"one-column": 1.6, "two-column": 1.4}  # then scaled down: type of 11 points comes out at 7 and 8
Spec = dict[str, Any]


def spec_of(draw: Callable[[], alt.FacetChart]) -> Spec:
    """A chart's Vega-Lite without rows. A test holds it against the schema: Altair would at every mark, for seconds."""
    with debug_mode(False):
        spec: Spec = draw().to_dict(validate=False)
    spec.pop("$schema", None)
    return spec


def with_rows(spec: Spec, rows: Sequence[Mapping[str, Any]], width: float, labels: str = "") -> Spec:
    """The chart of these rows, so wide in all; the same as script.py makes.

    `labels`: the field whose words stand at the left of every panel, where these are no numbers.
    """
    field = spec["facet"]["field"]
    if field == PANEL:
        rows = [{**row, PANEL: f"{row['dataset']}, states of {row['of']}"} for row in rows]
    sort = list(dict.fromkeys(row[field] for row in rows))
    longest = max((len(str(row[labels])) for row in rows), default=0) if labels else 0
    limit = round(min(180, width * 0.3))
    left = min(limit, round(6.2 * longest)) + 14 if labels else 52
    beside = max(1, min(spec["columns"], len(sort), int(width // 230)))
    inner = max(60, int((width - left - 20 - (beside - 1) * 24) // beside))
    legend = {"columns": max(1, int(width // 190)), "direction": "horizontal" if width > 640 else "vertical"}
    return {
        **spec,
        "data": {"values": list(rows), "name": "rows"},
        "columns": beside,
        "facet": {**spec["facet"], "sort": sort},
        "spec": {**spec["spec"], "width": inner},
        "config": {
            **spec["config"],
            "axisY": {**spec["config"]["axisY"], "labelLimit": limit},
            "legend": {**spec["config"]["legend"], "columns": legend["columns"], "layout": {"top": legend}},
        },
    }


def svg_of(spec: Spec) -> str:
    """A chart as SVG, in the page's colours."""
    return str(vl_convert.vegalite_to_svg(spec, vl_version=VEGA_LITE, allowed_base_urls=[]))


def on_paper(svg: str) -> str:
    """The same in the colours of a page of paper."""
    for name, colour in PAPER.items():
        svg = svg.replace(name, colour)
    return svg


def inline(svg: str, name: str, label: str) -> Markup:
    """SVG as an element of the page: it scales, says what it shows, and its ids are its own."""
    body = re.sub(r'((?:id|xlink:href|href)="#?|url\(#)(?=[\w-])', rf"\g<1>{name}-", svg[svg.index("<svg") :])
    body = re.sub(r' (?:role|aria-[a-z]+)="[^"]*"', "", body)  # of marks: the picture has one text
    attributes = Markup('<svg role="img" aria-label="{}" ').format(label)
    return Markup(re.sub(r"\d+\.\d{3,}", _shorter, body).replace("<svg ", attributes, 1))


def _shorter(number: re.Match[str]) -> str:
    return f"{float(number[0]):.2f}"


def write(spec: Spec, rows: Sequence[Mapping[str, Any]], folder: Path, name: str, labels: str = "") -> None:
    """NAME-one-column.svg and .pdf, and the same of two columns; fonts are in the PDF."""
    for called, millimetres in WIDTHS.items():
        pixels = millimetres / POINT
        spec = {**spec, "config": {**spec["config"], "background": GROUND}}
        svg = on_paper(svg_of(with_rows(spec, rows, pixels * DRAWN_AT[called], labels)))
        svg = _scaled(svg, pixels)
        (folder / f"{name}-{called}.svg").write_text(svg, encoding="utf-8")
        (folder / f"{name}-{called}.pdf").write_bytes(_settled(vl_convert.svg_to_pdf(svg)))


def _settled(pdf: bytes) -> bytes:
    """The same in one order of its objects: it comes in another one in each process."""
    with pikepdf.open(BytesIO(pdf)) as read, BytesIO() as written:
        read.save(written, deterministic_id=True)
        return written.getvalue()


def _scaled(svg: str, width: float) -> str:
    """An SVG exactly so wide: Vega gives panels a width, and not the whole."""
    found = re.search(r'width="([\d.]+)" height="([\d.]+)"', svg)
    assert found is not None, "Vega writes the size of its pictures"
    scale = width / float(found[1])
    return svg.replace(found[0], f'width="{width:.2f}pt" height="{float(found[2]) * scale:.2f}pt"', 1)


@cache
def bundle() -> str:
    """Vega, Vega-Lite and vega-embed as a script."""
    return str(vl_convert.javascript_bundle(vl_version=VEGA_LITE))  # type: ignore[call-arg]  # its stub lacks the default
