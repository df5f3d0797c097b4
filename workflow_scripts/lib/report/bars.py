"""The figure of the parts: at every layer, what the pooled update cosine is made of."""

from collections.abc import Mapping, Sequence

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from workflow_scripts.lib.arms import QUESTION
from workflow_scripts.lib.measures.parts import WHOLE
from workflow_scripts.lib.report.cases import ICL_IT
from workflow_scripts.lib.report.panels import RC, STYLES, Frame, Strip
from workflow_scripts.lib.report.wording import PART_SAYS
from workflow_scripts.lib.results.estimates import ABSENT, Estimate, Part
from workflow_scripts.lib.results.results import Results

HATCHES = ("", "////", "....", "xxxx")  # told apart in grey too


def parts_over_layers(results: Results) -> Figure:
    """Contributions of the parts as stacked bars, and the whole with its interval, over layers at the reference."""
    with mpl.rc_context(RC):
        frame = Frame(results, [Strip(f"pooled update cosine, {ICL_IT}", (-0.05, 0.5), len(PART_SAYS) + 1)])
        for cell, (ax,) in frame.axes.items():
            layers = results.layers(*cell)
            names = [arm.name for arm in QUESTION]
            _stack(ax, layers, [results.parts(*cell, *names, layer=layer) for layer in layers])
            ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        return frame.finish("layer (0 = embeddings)")


def _stack(ax: Axes, layers: Sequence[int], parts: Sequence[Mapping[str, Part]]) -> None:
    above, below = np.zeros(len(layers)), np.zeros(len(layers))
    for name, style, hatch in zip(PART_SAYS, STYLES[::-1], HATCHES, strict=False):
        height = np.nan_to_num(_means([_contribution(of, name) for of in parts]))
        bottom = np.where(height > 0, above, below)
        ax.bar(layers, height, 0.8, bottom, color=style.colour, hatch=hatch, edgecolor="white", linewidth=0, label=name)
        above, below = above + np.maximum(height, 0), below + np.minimum(height, 0)
    whole = [_contribution(of, WHOLE) for of in parts]
    low, high = (np.array(ends, dtype=float) for ends in zip(*((e.low, e.high) for e in whole), strict=True))
    ax.vlines(layers, low, high, color="black", linewidth=1.1)
    ax.plot(layers, _means(whole), linestyle="none", color="black", marker="D", markersize=3, label=WHOLE)
    ax.axhline(0, color="#555555", linewidth=0.7)


def _contribution(parts: Mapping[str, Part], name: str) -> Estimate:
    return parts[name].contribution if name in parts else ABSENT


def _means(estimates: Sequence[Estimate]) -> NDArray[np.float64]:
    return np.array([estimate.mean for estimate in estimates], dtype=float)
