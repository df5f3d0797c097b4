"""Figures of the report, drawn without a display and with equal bytes for equal results."""

from collections.abc import Callable, Sequence
from itertools import cycle
from typing import Any, NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from workflow_scripts.lib.arms import ANCHOR, QUESTION, Arm
from workflow_scripts.lib.measures import ACCURACY, COSINE, HEADLINE
from workflow_scripts.lib.measures.contrasts import CONTRASTS, OWN
from workflow_scripts.lib.measures.kinds import Measure
from workflow_scripts.lib.patching.measures import PatchMeasure
from workflow_scripts.lib.report.cases import ICL_IT, together
from workflow_scripts.lib.report.panels import RC, STYLES, Frame, Strip, Style
from workflow_scripts.lib.results.estimates import Estimate
from workflow_scripts.lib.results.results import Results


class Series(NamedTuple):
    """What a line shows, and how."""

    label: str
    style: Style
    measure: Measure | PatchMeasure
    arms: tuple[Arm, ...]
    match: str = OWN.name


Cell = tuple[str, str]  # (model, data set)
Drawn = tuple[Strip, list[Series]]
THREE = (QUESTION, (ANCHOR, QUESTION[0]), (ANCHOR, QUESTION[1]))


def drawn_strip(name: str, least: tuple[float, float], series: list[Series]) -> Drawn:
    """A strip of panels and the series in each of them."""
    return Strip(name, least, len(series)), series


COSINES = drawn_strip(
    COSINE.heading,
    (0.9, 1.03),
    [Series(together(*arms), style, COSINE, arms) for arms, style in zip(THREE, STYLES, strict=False)],
)
ALIKE = drawn_strip(
    f"{HEADLINE.heading}, {ICL_IT}",
    (-0.03, 0.5),
    [
        Series(contrast.heading, style, HEADLINE, QUESTION, contrast.name)
        for contrast, style in zip(CONTRASTS, cycle(STYLES), strict=False)
    ],
)
ACCURACIES = drawn_strip(
    ACCURACY.heading,
    (-0.03, 1.03),
    [
        Series(arm.heading, style, ACCURACY, (arm,))
        for arm, style in zip((ANCHOR, *QUESTION), (STYLES[-1], *STYLES[1:]), strict=False)
    ],
)


def over_layers(results: Results, strips: Sequence[Drawn] = (COSINES, ALIKE)) -> Figure:
    """Strips over layers at the reference setting: the three cosines, and the update cosine of every contrast."""

    def draw(ax: Axes, cell: Cell, series: Sequence[Series]) -> None:
        layers = results.layers(*cell)
        for one in series:
            _band(ax, layers, [_at(results, cell, one, layer=layer) for layer in layers], one)
        ax.set_xlim(layers[0] - 0.2, layers[-1] + 0.2)  # also where the embeddings have no value
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))

    return _drawn(results, strips, draw, "layer (0 = embeddings)")


def over_levels(results: Results, factor: str) -> Figure:
    """The same at the last layer, and the three accuracies beneath, over a factor's levels."""

    def draw(ax: Axes, cell: Cell, series: Sequence[Series]) -> None:
        levels = results.levels(*cell, factor)
        _mark(ax, levels, results.reference.get(factor))
        for shift, one in zip(np.linspace(-0.12, 0.12, len(series)), series, strict=True):
            estimates = [_at(results, cell, one, factor=factor, level=level) for level in levels]
            _whiskers(ax, shift, levels, estimates, one)

    return _drawn(results, [COSINES, ALIKE, ACCURACIES], draw, factor)


def _drawn(
    results: Results, strips: Sequence[Drawn], draw: Callable[[Axes, Cell, Sequence[Series]], None], x_label: str
) -> Figure:
    with mpl.rc_context(RC):
        frame = Frame(results, [strip for strip, _ in strips])
        for cell, axes in frame.axes.items():
            for ax, (_, series) in zip(axes, strips, strict=True):
                draw(ax, cell, series)
        return frame.finish(x_label)


def _at(results: Results, cell: Cell, series: Series, **where: Any) -> Estimate:
    return results.at(*cell, series.measure.name, *(arm.name for arm in series.arms), match=series.match, **where)


def _band(ax: Axes, x: Sequence[int], estimates: Sequence[Estimate], series: Series) -> None:
    """A line, and the band that holds for all layers at once."""
    mean, low, high = _numbers([(e.mean, e.band_low, e.band_high) for e in estimates])
    colour, line, marker = series.style
    ax.fill_between(x, low, high, color=colour, alpha=0.18, linewidth=0)
    ax.plot(x, mean, linestyle=line, color=colour, marker=marker, label=series.label)


def _whiskers(ax: Axes, shift: float, levels: Sequence[str], estimates: Sequence[Estimate], series: Series) -> None:
    mean, low, high = _numbers([(e.mean, e.low, e.high) for e in estimates])
    x = np.arange(len(levels)) + shift
    colour, line, marker = series.style
    # A line between levels that have no order would show a course that is none.
    course = line if all(level.isdecimal() for level in levels) else "none"
    ax.vlines(x, low, high, color=colour, linewidth=1.1)
    ax.plot(x, mean, linestyle=course, color=colour, marker=marker, label=series.label)
    ax.set_xticks(range(len(levels)), levels)
    ax.set_xlim(-0.5, len(levels) - 0.5)


def _numbers(estimates: Sequence[tuple[float | None, ...]]) -> NDArray[np.float64]:
    """Means, lower and upper ends, (3, estimates); NaN leaves a gap."""
    return np.array(estimates, dtype=float).reshape(-1, 3).T


def _mark(ax: Axes, levels: Sequence[str], reference: str | None) -> None:
    for at in (i for i, level in enumerate(levels) if level == reference):
        ax.axvspan(at - 0.3, at + 0.3, color="#f3efe4", linewidth=0, zorder=0)
