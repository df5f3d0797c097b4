"""The frame of a figure: panels of models and data sets, equal scales, a legend for each strip of panels."""

from collections.abc import Sequence
from math import ceil
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from workflow_scripts.lib.results.results import Results


class Style(NamedTuple):
    """How a series looks: told apart by colour, by line and by marker, hence also in grey."""

    colour: str
    line: Any
    marker: str


# Okabe and Ito's colours, safe for colour-blind readers; the first is for what the study asks about.
STYLES = (
    Style("#D55E00", "-", "o"),
    Style("#0072B2", "--", "s"),
    Style("#009E73", ":", "^"),
    Style("#CC79A7", "-.", "v"),
    Style("#555555", (0, (1, 3)), "x"),
)
WIDTH, HEIGHT = 2.7, 2.1  # of a panel, in inches
LEFT, TITLE, BOTTOM, LEGEND, ENTRY = 0.8, 0.4, 0.5, 0.2, 1.95  # margins; a legend's line and entry

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
    "hatch.linewidth": 0.6,
    "xtick.color": "#555555",
    "ytick.color": "#555555",
    "lines.linewidth": 1.4,
    "lines.markersize": 4,
    "legend.frameon": False,
    "svg.fonttype": "path",  # needs no font where it is read
    "pdf.fonttype": 42,
}


class Strip(NamedTuple):
    """A row of panels for each model: the name of its axis, its least scale, how many series its legend names."""

    name: str
    least: tuple[float, float]
    series: int


class Frame:
    """A figure and the axes of each (model, data set), one for each strip, of equal size whatever their number."""

    def __init__(self, results: Results, strips: Sequence[Strip]) -> None:
        self.strips = strips
        columns, rows = len(results.datasets), len(results.models) * len(strips)
        width = columns * WIDTH + LEFT
        self._entries = max(1, int((width - 0.2) / ENTRY))
        self._lines = [1 + ceil(strip.series / self._entries) for strip in strips]
        top = TITLE + LEGEND * sum(self._lines)
        size = width, rows * HEIGHT + top + BOTTOM
        self.figure = Figure(figsize=size)
        grid = self.figure.subplots(rows, columns, squeeze=False, gridspec_kw={"hspace": 0.32, "wspace": 0.14})
        self.figure.subplots_adjust(
            left=LEFT / width, right=1 - 0.1 / width, top=1 - top / size[1], bottom=BOTTOM / size[1]
        )
        self.axes = self._placed(results, grid)

    def _placed(self, results: Results, grid: Any) -> dict[tuple[str, str], list[Axes]]:
        measured, placed, count = set(results.cells()), {}, len(self.strips)
        for i, model in enumerate(results.models):
            for column, dataset in enumerate(results.datasets):
                axes = list(grid[i * count : (i + 1) * count, column])
                if (model, dataset) in measured:
                    placed[model, dataset] = axes
                    axes[0].set_title(f"{model} · {dataset}", loc="left", color="#222222")
                else:
                    for ax in axes:
                        ax.set_axis_off()
        return placed

    def finish(self, x_label: str) -> Figure:
        """Equal scales for a strip, labels at the edges only, one legend for each strip at the top."""
        for i, strip in enumerate(self.strips):
            panels = [axes[i] for axes in self.axes.values()]
            ends = [ax.get_ylim() for ax in panels]
            low, high = min(strip.least[0], *(e[0] for e in ends)), max(strip.least[1], *(e[1] for e in ends))
            for ax in panels:
                ax.set_ylim(low, high)
                _label(ax, strip.name, x_label)
            self._legend(panels[0], strip.name, sum(self._lines[:i]))
        return self.figure

    def _legend(self, ax: Axes, name: str, line: int) -> None:
        width, height = self.figure.get_size_inches()
        x, y = LEFT / width / 4, 1 - (0.05 + LEGEND * line) / height
        self.figure.text(x, y, name, va="top", color="#222222")
        told = list(zip(*ax.get_legend_handles_labels(), strict=True))
        columns = min(self._entries, len(told))
        # matplotlib fills a legend column by column; it is read line by line
        handles, labels = zip(*(one for i in range(columns) for one in told[i::columns]), strict=True)
        corner: dict[str, Any] = {"loc": "upper left", "bbox_to_anchor": (x, y - LEGEND / height)}
        self.figure.legend(handles, labels, ncols=columns, borderaxespad=0, borderpad=0, handlelength=3, **corner)


def _label(ax: Axes, name: str, x_label: str) -> None:
    place = ax.get_subplotspec()
    outer = place is not None and place.is_first_col()
    ax.set_ylabel(name if outer else "")
    ax.tick_params(labelleft=outer)
    if place is not None and place.is_last_row():
        ax.set_xlabel(x_label)


def save(figure: Figure, folder: Path, name: str) -> str:
    """Write NAME.svg and NAME.pdf into a folder and return the SVG's text; no date, no random identifiers."""
    with mpl.rc_context({**RC, "svg.hashsalt": name}):
        unnamed = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        figure.savefig(folder / f"{name}.svg", format="svg", metadata=unnamed)
        figure.savefig(folder / f"{name}.pdf", format="pdf", metadata={"CreationDate": None})
    return (folder / f"{name}.svg").read_text(encoding="utf-8")
