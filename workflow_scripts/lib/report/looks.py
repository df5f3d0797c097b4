"""Looks at a case, one for each claim: what it shows, and the rows of numbers that this rests on."""

from workflow_scripts.lib.arms import ANCHOR, ARMS, CEILINGS, IMITATIONS, QUESTION, Arm
from workflow_scripts.lib.measures import (
    ACCURACY,
    CHRF,
    COSINE,
    EXACT_MATCH,
    HEADLINE,
    LABEL_FREE_UPDATE_COSINE,
    LOG_PROB_PER_TOKEN,
    MARGIN,
    MOVEMENT,
    SAME_TEXT,
)
from workflow_scripts.lib.measures.contrasts import CONTRASTS, OTHER_DRAW, OWN, OWN_DEMONSTRATION_EFFECT
from workflow_scripts.lib.report.cases import ICL_IT, Case, together
from workflow_scripts.lib.report.findings import Finding, Outcome, Side, apart, side
from workflow_scripts.lib.report.seen import NOT_MEASURED, Row, Seen, Verdict, measured, not_varied, shown
from workflow_scripts.lib.results.estimates import Estimate
from workflow_scripts.lib.study.grid import BY_QUERY

LITTLE = 0.05  # of a cosine: ours, as no number of the paper's is known
FROM_ANCHOR = [(ANCHOR, arm) for arm in QUESTION]
SHOWN_ARM, TUNED_ARM = QUESTION
EFFECT = OWN_DEMONSTRATION_EFFECT
OF_WHICH = f"its {EFFECT.heading}"
ANSWERS = ("all", "same", "different")
OF_TEXTS = (LOG_PROB_PER_TOKEN, EXACT_MATCH, CHRF)
WAYS_OF_TUNING = ("strength", "modules", "rank")
WITHOUT_LORA = [arm for arm in ARMS if arm.weights and arm.weights.trains != "lora"]


def alike_and_far(finding: Finding) -> Seen:
    """The cosine of the two arms against theirs with the anchor."""
    case = finding.case
    rows = [Row(f"cosine {together(*arms)}", case.of(COSINE, *arms)) for arms in (QUESTION, *FROM_ANCHOR)]
    return Seen(
        _as_claimed(side(case.alike(MARGIN))), (*rows, Row(EFFECT.heading, case.alike(COSINE, EFFECT.name), True))
    )


def flipped_labels(finding: Finding) -> Seen:
    """What every rule of labels changes; the claim is about those that are wrong by one rule."""
    return _over(finding.case, "labels", _little(finding.case.effect("labels", "flipped", COSINE, QUESTION, OWN.name)))


def another_task(finding: Finding) -> Seen:
    """Whether both arms stay closer to the anchor."""
    case, at = finding.case, ("task", "another")
    if at[1] not in case.levels(at[0]):
        return not_varied(at[0])
    sides = [side(case.effect(*at, COSINE, arms, OWN.name)) for arms in FROM_ANCHOR]
    verdict: Verdict = "cannot tell"
    if set(sides) == {"above"}:
        verdict = "agrees"
    elif "below" in sides:
        verdict = "disagrees"
    tasks = {"another task": at, "own task": None}
    compared = (QUESTION, *FROM_ANCHOR)
    rows = [
        Row(f"{together(*arms)}, {name}", case.of(COSINE, *arms, at=at))
        for arms in compared
        for name, at in tasks.items()
    ]
    return Seen(verdict, tuple(rows))


def relevance(finding: Finding) -> Seen:
    """The nearest demonstrations against the farthest."""
    return _larger(finding.case, BY_QUERY, "nearest", "farthest")


def more_shots(finding: Finding) -> Seen:
    """The most demonstrations against the fewest."""
    levels = finding.case.levels("shots")
    return _larger(finding.case, "shots", levels[-1], levels[0]) if levels else not_varied("shots")


def over_layers(finding: Finding) -> Seen:
    """Whether the bands of two layers lie apart."""
    case = finding.case
    names = [arm.name for arm in QUESTION]
    layers = [layer for layer in case.results.layers(case.model, case.dataset) if layer]
    every = [case.results.at(case.model, case.dataset, COSINE.name, *names, layer=layer) for layer in layers]
    banded = [one for one in every if one.band_low is not None and one.band_high is not None]
    if not banded:
        return NOT_MEASURED
    differ = max(one.band_low or 0 for one in banded) > min(one.band_high or 0 for one in banded)
    rows = [Row(f"{ICL_IT} cosine, layer {layer}", one) for layer, one in zip(layers, every, strict=True)]
    return Seen("agrees" if differ else "cannot tell", tuple(rows))


def beyond_one_size(finding: Finding) -> Seen:
    """One model of one size says nothing of sizes."""
    return Seen("cannot tell", why="each model stands alone: compare sizes by naming several under `models`")


def accuracies(finding: Finding) -> Seen:
    """Accuracy within the label set of every arm that has one; of generation all that its answers are scored by."""
    arms = [arm for arm in ARMS if arm.role != "repeat"]
    of_labels = [Row(arm.heading, finding.case.of(ACCURACY, arm)) for arm in arms]
    of_texts = [Row(f"{one.heading}, {arm.heading}", finding.case.of(one, arm)) for one in OF_TEXTS for arm in arms]
    return shown([*of_labels, *of_texts])


def anchor_over_shots(finding: Finding) -> Seen:
    """The anchor's cosine with the arm that is shown demonstrations, by their number."""
    case = finding.case
    at = {level: case.of(COSINE, ANCHOR, SHOWN_ARM, at=("shots", level)) for level in case.levels("shots")}
    return shown([Row(f"{together(ANCHOR, SHOWN_ARM)} cosine, shots {level}", one) for level, one in at.items()])


def same_answer(finding: Finding) -> Seen:
    """The headline where the two arms answer alike and where not, and without what tells the labels apart."""
    case = finding.case
    rows = [Row(f"{HEADLINE.heading}, {name} answers", case.alike(HEADLINE, answers=name)) for name in ANSWERS]
    if case.of(LOG_PROB_PER_TOKEN, ANCHOR).mean is not None and case.alike(SAME_TEXT).mean is None:
        return Seen("not measured", why="no answers are written: set `dump_hidden_states.new_tokens`")
    return shown([*rows, Row(LABEL_FREE_UPDATE_COSINE.heading, case.alike(LABEL_FREE_UPDATE_COSINE))])


def template(finding: Finding) -> Seen:
    """What other templates change."""
    return _over(finding.case, "template", "shown")


def tuning(finding: Finding) -> Seen:
    """What other ways of tuning change."""
    return shown([row for factor in WAYS_OF_TUNING for row in _over(finding.case, factor, "shown").rows])


def path(finding: Finding) -> Seen:
    """The moment of tuning at which the two arms are most alike, against an arm's likeness to itself."""
    case = finding.case
    moments = {level: case.of(HEADLINE, *QUESTION, at=("path", level)) for level in case.levels("path")}
    known = {level: one for level, one in moments.items() if one.mean is not None}
    if not known:
        return not_varied("path")
    best = max(known, key=lambda level: known[level].mean or 0)
    ceilings = {together(*arms): case.of(HEADLINE, *arms) for arms in CEILINGS}
    lower = [apart(known[best], one) == "below" for one in ceilings.values() if one.mean is not None]
    rows = [Row(f"{HEADLINE.heading}, step {level}", one) for level, one in known.items()]
    rows += [Row(f"{HEADLINE.heading}, {name}", one) for name, one in ceilings.items()]
    rows += [
        Row(f"movement of {TUNED_ARM.heading}, step {level}", case.of(MOVEMENT, TUNED_ARM, at=("path", level)))
        for level in known
    ]
    rows += [Row(f"movement of {SHOWN_ARM.heading}", case.of(MOVEMENT, SHOWN_ARM))]
    return Seen("disagrees" if lower and all(lower) else "cannot tell", measured(rows))


def without_lora(finding: Finding) -> Seen:
    """What is tuned otherwise than by adapters, beside the arm that the study asks about."""
    rows = [row for arm in WITHOUT_LORA for row in _like_icl(finding.case, arm) if row.estimate.mean is not None]
    return Seen("shown", (*_like_icl(finding.case, TUNED_ARM), *rows)) if rows else NOT_MEASURED


def other_tokens(finding: Finding) -> Seen:
    """What other tokens than the last change."""
    return _over(finding.case, "position", "shown")


def own_demonstrations(finding: Finding) -> Seen:
    """The headline beside every contrast that was measured, as the report's answer has it."""
    verdicts: dict[Outcome, Verdict] = {"demonstrations": "agrees", "task": "disagrees", "unmeasured": "not measured"}
    rows = [Row(f"{HEADLINE.heading}, {one.heading}", finding.case.alike(HEADLINE, one.name)) for one in CONTRASTS]
    rows += [Row(EFFECT.heading, finding.effect, True)]
    return Seen(verdicts.get(finding.outcome, "cannot tell"), measured(rows))


def untrained(finding: Finding) -> Seen:
    """The case against its untrained control."""
    if finding.untrained is None:
        return NOT_MEASURED
    both = {"trained": finding.case, "untrained": finding.untrained}
    found = {name: case.alike(HEADLINE, OTHER_DRAW.name) for name, case in both.items()}
    verdicts: dict[Side, Verdict] = {"above": "disagrees", "below": "agrees", "unclear": "cannot tell"}
    rows = [Row(f"{HEADLINE.heading} with {OTHER_DRAW.heading}, {name}", one) for name, one in found.items()]
    return Seen(verdicts.get(apart(found["trained"], found["untrained"]), "not measured"), tuple(rows))


def imitation(finding: Finding) -> Seen:
    """Arms that were tuned to imitate against the one that was tuned on labels."""
    case = finding.case
    imitating = [arm for one, arm in IMITATIONS if case.of(HEADLINE, one, arm).mean is not None]
    if not imitating:
        return NOT_MEASURED
    rows = [row for arm in (TUNED_ARM, *imitating) for row in _like_icl(case, arm)]
    more = apart(case.of(HEADLINE, SHOWN_ARM, imitating[0]), case.of(HEADLINE, *QUESTION))
    return Seen(_as_claimed(more), tuple(rows))


def _like_icl(case: Case, arm: Arm) -> list[Row]:
    """The headline of the arm that is shown demonstrations with another one, and its own-demonstration effect."""
    return [
        Row(f"{HEADLINE.heading}, {together(SHOWN_ARM, arm)}", case.of(HEADLINE, SHOWN_ARM, arm)),
        Row(OF_WHICH, case.of(HEADLINE, SHOWN_ARM, arm, match=EFFECT.name), True),
    ]


def _as_claimed(found: Side) -> Verdict:
    told: dict[Side, Verdict] = {"above": "agrees", "below": "disagrees", "unclear": "cannot tell"}
    return told.get(found, "not measured")


def _little(change: Estimate) -> Verdict:
    """Whether a change is within the bound, or wholly outside of it."""
    if change.low is None or change.high is None:
        return "not measured"
    if change.low > LITTLE or change.high < -LITTLE:
        return "disagrees"
    return "agrees" if change.low >= -LITTLE and change.high <= LITTLE else "cannot tell"


def _over(case: Case, factor: str, verdict: Verdict) -> Seen:
    """The cosine at every level, and the own-demonstration effect under it."""
    rows = []
    for level in case.levels(factor):
        at = (factor, level)
        rows.append(Row(f"{ICL_IT} cosine, {factor} {level}", case.of(COSINE, *QUESTION, at=at)))
        rows.append(Row(OF_WHICH, case.of(COSINE, *QUESTION, match=EFFECT.name, at=at), True))
    return Seen(verdict, tuple(rows)) if rows else not_varied(factor)


def _larger(case: Case, factor: str, more: str, less: str) -> Seen:
    """Whether the cosine is larger at one level than at another."""
    if not {more, less} <= {*case.levels(factor)}:
        return not_varied(factor)
    one, other = (case.of(COSINE, *QUESTION, at=(factor, level)) for level in (more, less))
    return _over(case, factor, _as_claimed(apart(one, other)))
