"""Figures of the report, drawn without a display and with equal bytes for equal results."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from workflow_scripts.lib.results import Estimate, Results, Setting


class Style(NamedTuple):
    """How a series looks: told apart by colour, by line and by marker, hence also in grey."""

    label: str
    colour: str
    line: str
    marker: str


# Okabe and Ito's colours, safe for colour-blind readers.
PAIR_STYLES = {
    "anchor-icl": Style("anchor-ICL", "#0072B2", "--", "s"),
    "anchor-it": Style("anchor-IT", "#009E73", ":", "^"),
    "icl-it": Style("ICL-IT", "#D55E00", "-", "o"),
}
CONDITION_STYLES = {
    "anchor": Style("anchor", "#555555", "-", "D"),
    "icl": Style("ICL", "#0072B2", "--", "s"),
    "it": Style("IT", "#009E73", ":", "^"),
}
WIDTH, HEIGHT = 2.7, 2.1  # of a panel, in inches
MARGIN_LEFT, MARGIN_TOP, MARGIN_BOTTOM, LEGEND = 0.8, 0.4, 0.5, 0.2

RC: dict[Any, Any] = {
    "font.family": "DejaVu Sans",  # comes with matplotlib, so that every machine draws the same
    "font.size": 8.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#888888",
    "axes.linewidth": 0.7,
    "axes.titlesize": 9,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e8e8e8",
    "grid.linewidth": 0.6,
    "xtick.color": "#555555",
    "ytick.color": "#555555",
    "lines.linewidth": 1.4,
    "lines.markersize": 4,
    "legend.frameon": False,
    "svg.fonttype": "path",  # needs no font where it is read
    "pdf.fonttype": 42,
}


def over_layers(results: Results) -> Figure:
    """The three cosines over layers at the reference setting: models down, data sets across."""
    with mpl.rc_context(RC):
        figure, axes = _panels(results, ["cosine"])
        for (model, dataset), (ax,) in axes.items():
            layers = results.layers(model, dataset)
            for pair, style in PAIR_STYLES.items():
                estimates = [results.at(model, dataset, "cosine", pair, layer=layer) for layer in layers]
                _band(ax, layers, estimates, style)
            ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        _finish(figure, axes, ["cosine"], "layer (0 = embeddings)")
    return figure


def over_levels(results: Results, factor: str) -> Figure:
    """The three cosines at the last layer, and the three accuracies beneath, over a factor's levels."""
    with mpl.rc_context(RC):
        figure, axes = _panels(results, ["cosine", "accuracy"])
        for (model, dataset), (upper, lower) in axes.items():
            levels = results.levels(model, dataset, factor)
            _mark([upper, lower], levels, results.reference.get(factor))
            for ax, measure, styles in ((upper, "cosine", PAIR_STYLES), (lower, "accuracy", CONDITION_STYLES)):
                for shift, (pair, style) in zip((-0.08, 0.0, 0.08), styles.items(), strict=True):
                    settings = [Setting(factor, level) for level in levels]
                    estimates = [results.at(model, dataset, measure, pair, setting=at) for at in settings]
                    _whiskers(ax, shift, levels, estimates, style)
        _finish(figure, axes, ["cosine", "accuracy"], factor)
    return figure


def save(figure: Figure, folder: Path, name: str) -> str:
    """Write NAME.svg and NAME.pdf into a folder and return the SVG's text; no date, no random identifiers."""
    with mpl.rc_context({**RC, "svg.hashsalt": name}):
        unnamed = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        figure.savefig(folder / f"{name}.svg", format="svg", metadata=unnamed)
        figure.savefig(folder / f"{name}.pdf", format="pdf", metadata={"CreationDate": None})
    return (folder / f"{name}.svg").read_text(encoding="utf-8")


Panels = dict[tuple[str, str], list[Axes]]


def _panels(results: Results, measures: Sequence[str]) -> tuple[Figure, Panels]:
    """Axes of each (model, dataset), one per measure, of equal size whatever their number."""
    rows, columns = len(results.models) * len(measures), len(results.datasets)
    top = MARGIN_TOP + LEGEND * len(measures)
    size = columns * WIDTH + MARGIN_LEFT, rows * HEIGHT + top + MARGIN_BOTTOM
    figure = Figure(figsize=size)
    grid = figure.subplots(rows, columns, squeeze=False, gridspec_kw={"hspace": 0.32, "wspace": 0.14})
    figure.subplots_adjust(
        left=MARGIN_LEFT / size[0],
        right=1 - 0.1 / size[0],
        top=1 - top / size[1],
        bottom=MARGIN_BOTTOM / size[1],
    )
    panels: Panels = {}
    measured = set(results.cells())
    for i, model in enumerate(results.models):
        for column, dataset in enumerate(results.datasets):
            axes = list(grid[i * len(measures) : (i + 1) * len(measures), column])
            if (model, dataset) in measured:
                panels[model, dataset] = axes
                axes[0].set_title(f"{model} · {dataset}", loc="left", color="#222222")
            else:
                for ax in axes:
                    ax.set_axis_off()
    return figure, panels


def _band(ax: Axes, x: Sequence[int], estimates: Sequence[Estimate], style: Style) -> None:
    mean, low, high = _numbers(estimates)
    ax.fill_between(x, low, high, color=style.colour, alpha=0.18, linewidth=0)
    ax.plot(x, mean, linestyle=style.line, color=style.colour, marker=style.marker, label=style.label)


def _whiskers(ax: Axes, shift: float, levels: Sequence[str], estimates: Sequence[Estimate], style: Style) -> None:
    mean, low, high = _numbers(estimates)
    x = np.arange(len(levels)) + shift
    # A line between levels that have no order would show a course that is none.
    line = style.line if all(level.isdecimal() for level in levels) else "none"
    ax.vlines(x, low, high, color=style.colour, linewidth=1.1)
    ax.plot(x, mean, linestyle=line, color=style.colour, marker=style.marker, label=style.label)
    ax.set_xticks(range(len(levels)), levels)
    ax.set_xlim(-0.5, len(levels) - 0.5)


def _numbers(estimates: Sequence[Estimate]) -> np.ndarray:
    """Means, lower and upper ends, (3, estimates); NaN leaves a gap."""
    return np.array([e[:3] for e in estimates], dtype=float).reshape(-1, 3).T


def _mark(axes: Sequence[Axes], levels: Sequence[str], reference: str | None) -> None:
    for ax in axes:
        for at in (i for i, level in enumerate(levels) if level == reference):
            ax.axvspan(at - 0.3, at + 0.3, color="#f3efe4", linewidth=0, zorder=0)


def _finish(figure: Figure, axes: Panels, measures: Sequence[str], x_label: str) -> None:
    """Equal scales for a measure, labels at the edges only, one legend per measure at the top."""
    for row, measure in enumerate(measures):
        panels = [panel[row] for panel in axes.values()]
        limits = _limits(panels) if measure == "cosine" else (-0.03, 1.03)
        for ax in panels:
            ax.set_ylim(*limits)
            place = ax.get_subplotspec()
            outer = place is not None and place.is_first_col()
            ax.set_ylabel(measure if outer else "")
            ax.tick_params(labelleft=outer)
            if place is not None and place.is_last_row():
                ax.set_xlabel(x_label)
        _legend(figure, panels[0], measure, row)


def _limits(panels: Sequence[Axes]) -> tuple[float, float]:
    low = min(ax.get_ylim()[0] for ax in panels)
    return min(low, 0.9), 1.03


def _legend(figure: Figure, ax: Axes, measure: str, row: int) -> None:
    width, height = figure.get_size_inches()
    x, y = MARGIN_LEFT / width, 1 - (0.05 + LEGEND * row) / height
    figure.text(x, y, measure, va="top", color="#222222")
    handles, labels = ax.get_legend_handles_labels()
    corner = x + 0.65 / width, y
    figure.legend(
        handles, labels, loc="upper left", bbox_to_anchor=corner, ncols=3, borderaxespad=0, borderpad=0, handlelength=3
    )
