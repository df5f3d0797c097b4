"""Looks at a case, one for each claim: what it shows, and the numbers that this rests on."""

from collections.abc import Sequence
from typing import Literal, NamedTuple

from workflow_scripts.lib.arms import ANCHOR, ARMS, CEILINGS, IMITATIONS, QUESTION, Arm
from workflow_scripts.lib.measures import ACCURACY, COSINE, HEADLINE, LABEL_FREE_UPDATE_COSINE, MARGIN, MOVEMENT
from workflow_scripts.lib.measures.contrasts import OTHER_DRAW, OWN, OWN_DEMONSTRATION_EFFECT
from workflow_scripts.lib.report.cases import ICL_IT, Case, together
from workflow_scripts.lib.report.conclusions import alike, effect_in_words
from workflow_scripts.lib.report.findings import Finding, Outcome, Side, apart, side
from workflow_scripts.lib.report.wording import listed, with_interval
from workflow_scripts.lib.results.estimates import Estimate
from workflow_scripts.lib.study.grid import BY_QUERY

Verdict = Literal["agrees", "disagrees", "cannot tell", "shown", "not measured"]
LITTLE = 0.05  # of a cosine: ours, as no number of the paper's is known
FROM_ANCHOR = [(ANCHOR, arm) for arm in QUESTION]
SHOWN_ARM, TUNED_ARM = QUESTION
EFFECT = OWN_DEMONSTRATION_EFFECT


class Seen(NamedTuple):
    """What a case shows of a claim, and the numbers."""

    verdict: Verdict
    numbers: str


NOT_MEASURED = Seen("not measured", "the study does not have what this needs")


def alike_and_far(finding: Finding) -> Seen:
    """The cosine of the two arms against theirs with the anchor."""
    case = finding.case
    told = [f"{together(*arms)} {with_interval(case.of(COSINE, *arms))}" for arms in (QUESTION, *FROM_ANCHOR)]
    effect = f"{EFFECT.heading} {effect_in_words(case.alike(COSINE, EFFECT.name))}"
    return Seen(_as_claimed(side(case.alike(MARGIN))), f"cosines {listed(told)}; {effect}")


def flipped_labels(finding: Finding) -> Seen:
    """What every rule of labels changes; the claim is about those that are wrong by one rule."""
    return _over(finding.case, "labels", _little([_change(finding.case, "labels", "flipped")]))


def another_task(finding: Finding) -> Seen:
    """Whether both arms stay closer to the anchor."""
    case, at = finding.case, ("task", "another")
    if at[1] not in case.levels(at[0]):
        return NOT_MEASURED
    sides = [side(case.effect(*at, COSINE, arms, OWN.name)) for arms in FROM_ANCHOR]
    verdict: Verdict = "cannot tell"
    if set(sides) == {"above"}:
        verdict = "agrees"
    elif "below" in sides:
        verdict = "disagrees"
    told = [(arms, case.of(COSINE, *arms, at=at), case.of(COSINE, *arms)) for arms in (QUESTION, *FROM_ANCHOR)]
    numbers = [f"{together(*arms)} {with_interval(one)} (own task {with_interval(own)})" for arms, one, own in told]
    return Seen(verdict, f"cosines {listed(numbers)}")


def relevance(finding: Finding) -> Seen:
    """The nearest demonstrations against the farthest."""
    return _larger(finding.case, BY_QUERY, "nearest", "farthest")


def more_shots(finding: Finding) -> Seen:
    """The most demonstrations against the fewest."""
    levels = finding.case.levels("shots")
    return _larger(finding.case, "shots", levels[-1], levels[0]) if levels else NOT_MEASURED


def over_layers(finding: Finding) -> Seen:
    """Whether the bands of two layers lie apart."""
    case = finding.case
    names = [arm.name for arm in QUESTION]
    layers = case.results.layers(case.model, case.dataset)[1:]
    every = [case.results.at(case.model, case.dataset, COSINE.name, *names, layer=layer) for layer in layers]
    banded = [one for one in every if one.band_low is not None and one.band_high is not None]
    if not banded:
        return NOT_MEASURED
    differ = max(one.band_low or 0 for one in banded) > min(one.band_high or 0 for one in banded)
    told = [f"layer {layer} {with_interval(one)}" for layer, one in zip(layers, every, strict=True)]
    return Seen("agrees" if differ else "cannot tell", f"{ICL_IT} cosine, {listed(told)}")


def beyond_one_size(finding: Finding) -> Seen:
    """One model of one size says nothing of sizes."""
    return Seen("cannot tell", "each model stands alone: compare sizes by naming several under `models`")


def accuracies(finding: Finding) -> Seen:
    """Accuracy within the label set of every arm that has one."""
    told = [(arm, finding.case.of(ACCURACY, arm)) for arm in ARMS if arm.role != "repeat"]
    return _shown([f"{arm.heading} {with_interval(one)}" for arm, one in told if one.mean is not None])


def anchor_over_shots(finding: Finding) -> Seen:
    """The anchor's cosine with the arm that is shown demonstrations, by their number."""
    case = finding.case
    told = [(level, case.of(COSINE, ANCHOR, SHOWN_ARM, at=("shots", level))) for level in case.levels("shots")]
    return _shown([f"{level} shots {with_interval(one)}" for level, one in told])


def same_answer(finding: Finding) -> Seen:
    """The headline where the two arms answer alike and where not, and without what tells the labels apart."""
    case = finding.case
    told = {
        "all queries": case.alike(HEADLINE),
        "same answer": case.alike(HEADLINE, answers="same"),
        "different answers": case.alike(HEADLINE, answers="different"),
        LABEL_FREE_UPDATE_COSINE.heading: case.alike(LABEL_FREE_UPDATE_COSINE),
    }
    return _shown(
        [f"{name} {with_interval(one)}" for name, one in told.items() if one.mean is not None], HEADLINE.heading
    )


def template(finding: Finding) -> Seen:
    """What other templates change."""
    return _over(finding.case, "template", "shown")


def tuning(finding: Finding) -> Seen:
    """What other ways of tuning change."""
    case = finding.case
    seen = [_over(case, factor, "shown") for factor in ("strength", "modules", "rank") if case.levels(factor)]
    return _shown([one.numbers for one in seen])


def path(finding: Finding) -> Seen:
    """The moment of tuning at which the two arms are most alike, against an arm's likeness to itself."""
    case = finding.case
    moments = {level: case.of(HEADLINE, *QUESTION, at=("path", level)) for level in case.levels("path")}
    known = {level: one for level, one in moments.items() if one.mean is not None}
    if not known:
        return NOT_MEASURED
    best = max(known, key=lambda level: known[level].mean or 0)
    moved = [f"{arm.heading} {with_interval(case.of(MOVEMENT, arm, at=('path', best)))}" for arm in QUESTION]
    ceilings = [(arms, case.of(HEADLINE, *arms)) for arms in CEILINGS]
    lower = [apart(known[best], one) == "below" for _, one in ceilings if one.mean is not None]
    twin: Verdict = "cannot tell" if not lower or not all(lower) else "disagrees"
    told = [f"step {level} {with_interval(one)}" for level, one in known.items()]
    told += [f"{together(*arms)} {with_interval(one)}" for arms, one in ceilings if one.mean is not None]
    return Seen(
        twin, f"{HEADLINE.heading}: {listed(told)}; at step {best}, the most alike, movement of {listed(moved)}"
    )


def not_there(finding: Finding) -> Seen:
    """What no study of this tool has yet."""
    return Seen("not measured", "the tool does not have it yet")


def own_demonstrations(finding: Finding) -> Seen:
    """The answer of the report, and every factor's level at which sets say something of their own."""
    verdicts: dict[Outcome, Verdict] = {"demonstrations": "agrees", "task": "disagrees", "unmeasured": "not measured"}
    told = f"{HEADLINE.heading}: {alike(finding.case, HEADLINE)}; {EFFECT.heading} {effect_in_words(finding.effect)}"
    return Seen(verdicts.get(finding.outcome, "cannot tell"), told)


def untrained(finding: Finding) -> Seen:
    """The case against its untrained control."""
    if finding.untrained is None:
        return NOT_MEASURED
    one, control = (case.alike(HEADLINE, OTHER_DRAW.name) for case in (finding.case, finding.untrained))
    verdicts: dict[Side, Verdict] = {"above": "disagrees", "below": "agrees", "unclear": "cannot tell"}
    numbers = f"{HEADLINE.heading} with {OTHER_DRAW.heading} {with_interval(one)}, untrained {with_interval(control)}"
    return Seen(verdicts.get(apart(one, control), "not measured"), numbers)


def imitation(finding: Finding) -> Seen:
    """Arms that were tuned to imitate against the one that was tuned on labels."""
    case = finding.case
    imitating = [arm for one, arm in IMITATIONS if case.of(HEADLINE, one, arm).mean is not None]
    if not imitating:
        return NOT_MEASURED
    told = [
        (arm, case.of(HEADLINE, SHOWN_ARM, arm), case.of(HEADLINE, SHOWN_ARM, arm, match=EFFECT.name))
        for arm in (TUNED_ARM, *imitating)
    ]
    more = apart(told[1][1], told[0][1])
    numbers = [
        f"{together(SHOWN_ARM, arm)} {with_interval(one)} ({EFFECT.heading} {effect_in_words(effect)})"
        for arm, one, effect in told
    ]
    return Seen(_as_claimed(more), f"{HEADLINE.heading}: {listed(numbers)}")


def _as_claimed(found: Side) -> Verdict:
    told: dict[Side, Verdict] = {"above": "agrees", "below": "disagrees", "unclear": "cannot tell"}
    return told.get(found, "not measured")


def _change(case: Case, factor: str, level: str, arms: Sequence[Arm] = QUESTION) -> Estimate:
    return case.effect(factor, level, COSINE, arms, OWN.name)


def _little(changes: Sequence[Estimate]) -> Verdict:
    """Whether all are within the bound, or one is wholly outside of it."""
    ends = [(one.low, one.high) for one in changes if one.low is not None and one.high is not None]
    if not ends:
        return "not measured"
    if any(low > LITTLE or high < -LITTLE for low, high in ends):
        return "disagrees"
    return "agrees" if all(low >= -LITTLE and high <= LITTLE for low, high in ends) else "cannot tell"


def _over(case: Case, factor: str, verdict: Verdict) -> Seen:
    """The cosine at every level, and the own-demonstration effect beside it."""
    told = [
        f"{level} {with_interval(case.of(COSINE, *QUESTION, at=(factor, level)))} "
        f"({EFFECT.heading} {with_interval(case.of(COSINE, *QUESTION, match=EFFECT.name, at=(factor, level)), 3)})"
        for level in case.levels(factor)
    ]
    return Seen(verdict, f"{ICL_IT} cosine over {factor}: {listed(told)}") if told else NOT_MEASURED


def _larger(case: Case, factor: str, more: str, less: str) -> Seen:
    """Whether the cosine is larger at one level than at another."""
    if not {more, less} <= {*case.levels(factor)}:
        return NOT_MEASURED
    one, other = (case.of(COSINE, *QUESTION, at=(factor, level)) for level in (more, less))
    return _over(case, factor, _as_claimed(apart(one, other)))


def _shown(numbers: Sequence[str], of: str = "") -> Seen:
    if not numbers:
        return NOT_MEASURED
    return Seen("shown", f"{of}: {listed(numbers)}" if of else listed(numbers))
