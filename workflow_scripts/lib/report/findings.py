"""What the estimates allow to say: on which side of what their intervals lie.

A difference counts only where its interval leaves out zero. With one draw there is no interval and nothing counts.
"""

from typing import Literal, NamedTuple

from workflow_scripts.lib.results import Estimate, Results

Side = Literal["above", "below", "unclear", "unmeasured"]


class Finding(NamedTuple):
    """What the estimates of a (model, dataset) at the reference setting and the last layer allow to say."""

    model: str
    dataset: str
    margin: Estimate  # ICL-IT cosine less the larger anchor cosine, per draw
    gains: dict[str, Side]  # accuracy of ICL and of IT against the anchor's
    control: Side | None  # the margin against the untrained control's; None without a control

    @property
    def similarity(self) -> Side:
        """The ICL-IT cosine against the larger anchor cosine."""
        return side(self.margin)

    @property
    def both_gain(self) -> bool:
        """Both arms answer better than the anchor."""
        return set(self.gains.values()) == {"above"}


def side(estimate: Estimate, of: float | None = 0.0) -> Side:
    """On which side of a number an interval lies."""
    if estimate.mean is None or of is None:
        return "unmeasured"
    if estimate.low is None or estimate.high is None:
        return "unclear"
    return "above" if estimate.low > of else "below" if estimate.high < of else "unclear"


def apart(one: Estimate, other: Estimate) -> Side:
    """On which side of another interval an interval lies; overlapping ones are unclear."""
    if one.mean is None or other.mean is None:
        return "unmeasured"
    above, below = side(one, other.high), side(one, other.low)
    return "above" if above == "above" else "below" if below == "below" else "unclear"


def find(results: Results, model: str, dataset: str, control: str | None) -> Finding:
    """The finding of a (model, dataset); `control` is its untrained model, where the study has one."""
    margin = results.at(model, dataset, "margin", "icl-it")
    anchor = results.at(model, dataset, "accuracy", "anchor").mean
    gains = {arm: side(results.at(model, dataset, "accuracy", arm), anchor) for arm in ("icl", "it")}
    against = None
    if control is not None and (control, dataset) in set(results.cells()):
        against = apart(margin, results.at(control, dataset, "margin", "icl-it"))
    return Finding(model, dataset, margin, gains, against)
