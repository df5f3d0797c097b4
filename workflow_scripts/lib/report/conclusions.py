"""What the update similarity of a case allows to conclude, in sentences that say no more than the intervals do."""

from collections.abc import Callable, Mapping

from workflow_scripts.lib.measures import HEADLINE
from workflow_scripts.lib.measures.contrasts import CONTRASTS, OTHER_DRAW, OWN, OWN_DEMONSTRATION_EFFECT
from workflow_scripts.lib.measures.kinds import Measure
from workflow_scripts.lib.measures.parts import INTERACTION, SET, WHOLE
from workflow_scripts.lib.report.cases import ICL_IT, Case
from workflow_scripts.lib.report.findings import Finding, Outcome, Side, beyond_zero, fraction, part_of_whole, side
from workflow_scripts.lib.report.wording import PART_SAYS, begun, digits_of, listed, p_value, percent, with_interval
from workflow_scripts.lib.results.estimates import Estimate, Part

EFFECT = OWN_DEMONSTRATION_EFFECT.heading


def made_of(case: Case) -> str:
    """The pooled update cosine and the parts that add up to it."""
    parts = case.parts()
    if not parts or parts[WHOLE].contribution.mean is None:
        return "The parts of the update similarity were not measured."
    if any(parts[name].contribution.mean is None for name in PART_SAYS):
        return "One draw does not tell the parts of the update similarity apart."
    told = [
        f"{with_interval(parts[name].contribution)}{_share(parts, name)} is {says}" for name, says in PART_SAYS.items()
    ]
    return f"The pooled update cosine of {ICL_IT} is {with_interval(parts[WHOLE].contribution)}: {listed(told)}."


def _share(parts: Mapping[str, Part], name: str) -> str:
    share = part_of_whole(parts, name)
    return "" if share is None else f" ({percent(share)})"


def alike(case: Case, measure: Measure, write: Callable[[Estimate], str] = with_interval) -> str:
    """A similarity of the two arms with the value of every contrast that was measured: the own one never stands alone.

    Answers of generation have no label that another query could share.
    """
    found = [(one, case.alike(measure, one.name)) for one in CONTRASTS]
    return "; ".join(f"{one.heading} {write(e)}" for one, e in found if e.mean is not None) or "not measured"


def own_demonstrations(finding: Finding) -> str:
    """The update cosine of every contrast, and what the own-demonstration effect allows to say."""
    values = f"{begun(HEADLINE.heading)}: {alike(finding.case, HEADLINE)}."
    return " ".join([values, CONCLUSIONS[finding.outcome](finding), *_of_its_set(finding), *_elsewhere(finding)])


def _of_its_set(finding: Finding) -> list[str]:
    """What speaks against a conclusion without its own demonstrations: parts of the pooled cosine that are theirs."""
    if finding.outcome in ("demonstrations", "unmeasured"):
        return []
    parts = finding.case.parts()
    above = [name for name in (SET, INTERACTION) if name in parts and side(parts[name].contribution) == "above"]
    return [f"Yet in the pooled one, {PART_SAYS[name]} is above zero." for name in above]


def _elsewhere(finding: Finding) -> list[str]:
    """The other levels at which sets say something of their own, each beside the untrained control's."""
    effects = finding.case.at_levels(HEADLINE, OWN_DEMONSTRATION_EFFECT.name)
    own = finding.case.at_levels(HEADLINE, OWN.name)
    control = finding.untrained.at_levels(HEADLINE, OWN_DEMONSTRATION_EFFECT.name) if finding.untrained else {}
    sides: dict[Side, str] = {"above": "is above zero", "below": "is below zero"}
    told = {
        way: [
            f"{level} ({effect_in_words(effect)}, {percent(fraction(effect, own[level]))} of the similarity"
            f"{_beside(control.get(level))})"
            for level, effect in effects.items()
            if beyond_zero(effect) == way
        ]
        for way in sides
    }
    return [f"At other levels the {EFFECT} {sides[way]}: {listed(levels)}." for way, levels in told.items() if levels]


def _beside(control: Estimate | None) -> str:
    return "" if control is None or control.mean is None else f"; untrained {with_interval(control, 3)}"


def effect_in_words(estimate: Estimate) -> str:
    """A difference, its interval and test (corrected for a factor's levels): `0.021 [0.010 to 0.032], p = 0.004`."""
    p = estimate.p if estimate.p_holm is None else estimate.p_holm
    return ", ".join(filter(None, [with_interval(estimate, digits_of(estimate)), p_value(p)]))


def _of_these(finding: Finding) -> str:
    return (
        "ICL moves states as tuning on its own demonstrations does, beyond what tuning on another draw of the task "
        f"does: the {EFFECT} is {effect_in_words(finding.effect)}, which is {percent(finding.part_of_own)} of the "
        "similarity."
    )


def _of_the_task(finding: Finding) -> str:
    return (
        "ICL moves states as tuning on the task does; that it is these demonstrations is not shown: the "
        f"{EFFECT}, {effect_in_words(finding.effect)}, {_by_its_test(finding.effect)}."
    )


def _by_its_test(effect: Estimate) -> str:
    if side(effect) != beyond_zero(effect):
        return f"{ZERO[side(effect)]} by its interval and not by its test"
    return ZERO[side(effect)]


def _of_either(finding: Finding) -> str:
    return (
        "ICL and tuning on its demonstrations share a direction, which is not shown to be the task's (with "
        f"{OTHER_DRAW.heading} it {ZERO[side(finding.other_draw)]}) nor these demonstrations' own (the {EFFECT}, "
        f"{effect_in_words(finding.effect)}, {ZERO[side(finding.effect)]})."
    )


def _of_neither(finding: Finding) -> str:
    why = "what they have in common is no more than noise would give" if finding.noise else OPPOSED[side(finding.own)]
    return (
        f"No direction that ICL and tuning share is shown: {why}. The {EFFECT}, {effect_in_words(finding.effect)}, "
        f"{ZERO[side(finding.effect)]}."
    )


def _unmeasured(finding: Finding) -> str:
    if finding.own.draws == 1:
        return "One draw has no other draw beside it, so that nothing is said of its own demonstrations."
    return f"Without the {EFFECT} nothing is said of its own demonstrations."


CONCLUSIONS: dict[Outcome, Callable[[Finding], str]] = {
    "demonstrations": _of_these,
    "task": _of_the_task,
    "shared": _of_either,
    "neither": _of_neither,
    "unmeasured": _unmeasured,
}
ZERO: dict[Side, str] = {"above": "is above zero", "below": "is below zero", "unclear": "includes zero"}
OPPOSED: dict[Side, str] = {
    "below": "the two point in opposed ways",
    "unclear": "their update cosine includes zero",
}
