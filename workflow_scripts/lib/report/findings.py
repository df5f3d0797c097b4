"""What the estimates allow to say, at the reference setting and the last layer.

A difference counts only where its interval leaves out zero and its test, corrected for the levels of a factor, is below
5 %: with fewer than `FEWEST_TESTED` draws none is. With one draw there is no interval and nothing counts.
The answer is stated in update cosines: own minus other draw of their pooled form is the sum of the parts `set` and
`interaction`, so that what is claimed and what the parts show are one thing. The cosine's own effect is told beside.
"""

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

from workflow_scripts.lib.arms import QUESTION
from workflow_scripts.lib.measures import HEADLINE
from workflow_scripts.lib.measures.contrasts import OTHER_DRAW, OWN, OWN_DEMONSTRATION_EFFECT
from workflow_scripts.lib.measures.parts import WHOLE
from workflow_scripts.lib.report.cases import Case
from workflow_scripts.lib.results.estimates import Estimate, Part
from workflow_scripts.lib.results.permutation import ALPHA

Side = Literal["above", "below", "unclear", "unmeasured"]
Outcome = Literal["demonstrations", "task", "shared", "neither", "unmeasured"]
# What an outcome rests on, and what the untrained control must therefore show less of.
RESTS_ON: dict[Outcome, str] = {"demonstrations": OWN_DEMONSTRATION_EFFECT.name, "task": OTHER_DRAW.name}


class Finding(NamedTuple):
    """What the update cosines of a case allow to say of ICL and IT.

    `demonstrations`: ICL acts like tuning on its own demonstrations, more than like tuning on another draw's. `task`:
    like tuning on the task, and nothing more is shown. `shared`: a common direction, not shown to be of the one or the
    other. `neither`: no common direction is shown.
    """

    case: Case
    untrained: Case | None  # the control of this case
    own: Estimate
    other_draw: Estimate
    effect: Estimate  # own minus other draw: the own-demonstration effect
    noise: bool  # what the two have in common is no more than noise would give
    outcome: Outcome

    @property
    def control(self) -> Side | None:
        """What the outcome rests on against the untrained control's; None where nothing is to be compared."""
        if self.untrained is None or self.outcome not in RESTS_ON:
            return None
        return apart(*(case.alike(HEADLINE, RESTS_ON[self.outcome]) for case in (self.case, self.untrained)))

    @property
    def upheld(self) -> bool:
        """An untrained control, where there is one, shows less of it."""
        return self.control in (None, "above")

    @property
    def part_of_own(self) -> float | None:
        """The own-demonstration effect as a fraction of the similarity; None unless that is above zero."""
        return fraction(self.effect, self.own)


def findings(every: Sequence[Case]) -> list[Finding]:
    """Of each case that is studied, beside its untrained control; untrained models are studied where all are."""
    studied = [case for case in every if not case.untrained] or every
    untrained: dict[tuple[str | None, str], Case] = {}
    for case in every:
        if case.control_of and case not in studied:
            untrained.setdefault((case.control_of, case.dataset), case)
    return [find(case, untrained.get((case.model, case.dataset))) for case in studied]


def find(case: Case, untrained: Case | None) -> Finding:
    """The finding of a case; `untrained` is its control on the same data, where the study has one."""
    matches = (OWN.name, OTHER_DRAW.name, OWN_DEMONSTRATION_EFFECT.name)
    own, other_draw, effect = (case.alike(HEADLINE, match) for match in matches)
    noise = case.within_noise(HEADLINE, *QUESTION)
    outcome = outcome_of(own, other_draw, effect, noise=noise)
    return Finding(case, untrained, own, other_draw, effect, noise, outcome)


def outcome_of(own: Estimate, other_draw: Estimate, effect: Estimate, *, noise: bool) -> Outcome:
    """What three update cosines allow to say; `noise`: the own one is what noise alone would give."""
    if effect.mean is None:
        return "unmeasured"
    if noise:
        return "neither"
    if side(own) == "above" and beyond_zero(effect) == "above":
        return "demonstrations"
    if side(other_draw) == "above":
        return "task"
    return "shared" if side(own) == "above" else "neither"


def side(estimate: Estimate, of: float | None = 0.0) -> Side:
    """On which side of a number an interval lies."""
    if estimate.mean is None or of is None:
        return "unmeasured"
    if estimate.low is None or estimate.high is None:
        return "unclear"
    return "above" if estimate.low > of else "below" if estimate.high < of else "unclear"


def beyond_zero(difference: Estimate) -> Side:
    """On which side of zero a difference is, by its interval and its test; with few draws no test tells."""
    p = difference.p if difference.p_holm is None else difference.p_holm
    found = side(difference)
    return "unclear" if found in ("above", "below") and (p is None or p > ALPHA) else found


def apart(one: Estimate, other: Estimate) -> Side:
    """On which side of another interval an interval lies; overlapping ones are unclear."""
    if one.mean is None or other.mean is None:
        return "unmeasured"
    above, below = side(one, other.high), side(one, other.low)
    return "above" if above == "above" else "below" if below == "below" else "unclear"


def part_of_whole(parts: Mapping[str, Part], name: str) -> float | None:
    """A part's contribution as a fraction of the pooled update cosine; None unless that is above zero."""
    return fraction(parts[name].contribution, parts[WHOLE].contribution)


def fraction(part: Estimate, whole: Estimate) -> float | None:
    """One estimate as a fraction of another; None unless that is above zero."""
    if part.mean is None or whole.mean is None or side(whole) != "above":
        return None
    return part.mean / whole.mean
