"""What the report says of a model, point by point; a similarity never stands without its controls beside it."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from workflow_scripts.lib.arms import ANCHOR, QUESTION
from workflow_scripts.lib.measures import COSINE, HEADLINE, MARGIN
from workflow_scripts.lib.measures.contrasts import OTHER_DRAW, OWN, OWN_DEMONSTRATION_EFFECT
from workflow_scripts.lib.measures.kinds import Measure
from workflow_scripts.lib.report.cases import ICL_IT, Case
from workflow_scripts.lib.report.conclusions import EFFECT, alike, effect_in_words, made_of, own_demonstrations
from workflow_scripts.lib.report.findings import Finding, Side, apart, side
from workflow_scripts.lib.report.wording import begun, listed, number, with_interval
from workflow_scripts.lib.results.estimates import Estimate

STILL = (
    "IT states of those that did not move are the anchor's, without an update to compare; of the others they are what "
    "tuning that failed makes of them."
)

Write = Callable[[Case, Estimate, Estimate], str]


class Point(NamedTuple):
    """What a point is about, and its sentences."""

    about: str
    text: str


def points(findings: Sequence[Finding]) -> list[Point]:
    """The points of one model: one for each data set, then what holds of several."""
    told = [Point(f.case.dataset, f"{made_of(f.case)} {own_demonstrations(f)}") for f in findings]
    told.append(Point(begun(COSINE.heading), cosines(findings)))
    controlled = [f for f in findings if f.untrained is not None]
    if controlled:
        told.append(Point("Control", control(controlled)))
    told.append(Point("Answers", answers(findings)))
    if still := [f"{count} on {f.case.dataset}" for f in findings if (count := f.case.adapters_not_moved())]:
        told.append(Point("Adapters", f"Some did not move, or their loss did not fall ({listed(still)}). {STILL}"))
    return told


def grouped(told: Sequence[tuple[str, str]]) -> str:
    """`OUTCOME on A (...) and B (...); OTHER on C (...).` from (outcome, where)."""
    outcomes = dict.fromkeys(outcome for outcome, _ in told)
    return "; ".join(f"{o} on {listed([where for outcome, where in told if outcome == o])}" for o in outcomes) + "."


def cosines(findings: Sequence[Finding]) -> str:
    """The paper's comparison: the two arms' cosine against either one's with the anchor."""
    outcomes: dict[Side, str] = {
        "above": "above both anchor similarities",
        "below": "below the larger anchor similarity",
        "unclear": "not to be told apart from the larger anchor similarity",
        "unmeasured": "not measured",
    }

    def values(case: Case) -> str:
        told = [alike(case, COSINE, lambda estimate: number(estimate.mean, 2))]
        told.append(f"{MARGIN.heading} {effect_in_words(case.alike(MARGIN))}")
        told.append(f"{EFFECT} {effect_in_words(case.alike(COSINE, OWN_DEMONSTRATION_EFFECT.name))}")
        return f"{case.dataset} ({'; '.join(told)})"

    told = [(outcomes[side(f.case.alike(MARGIN))], values(f.case)) for f in findings]
    return f"{ICL_IT} similarity is {grouped(told)}"


def control(findings: Sequence[Finding]) -> str:
    """The trained model against its untrained control: three comparisons, of which two are of differences."""
    compared: list[tuple[str, Measure, str, Write]] = [
        (f"{ICL_IT} {MARGIN.heading}", MARGIN, OWN.name, _both),
        (EFFECT, HEADLINE, OWN_DEMONSTRATION_EFFECT.name, _both),
        (f"{HEADLINE.heading} with {OTHER_DRAW.heading}", HEADLINE, OTHER_DRAW.name, _data_set),
    ]
    told = [_against(findings, *comparison) for comparison in compared]
    name = listed(list(dict.fromkeys(f.untrained.model for f in findings if f.untrained)))
    text = f"{name} has the same architecture and no training. {' '.join(told)}"
    if all(f.upheld for f in findings):
        return text
    return text + " Where the trained model's is not larger, it does not show anything that training brought about."


def _against(findings: Sequence[Finding], what: str, measure: Measure, match: str, write: Write) -> str:
    outcomes: dict[Side, str] = {
        "above": "larger than the control's",
        "below": "smaller than the control's",
        "unclear": "not to be told apart from the control's",
        "unmeasured": "not measured for both",
    }
    told = []
    for finding in findings:
        estimates = [case.alike(measure, match) for case in (finding.case, finding.untrained) if case]
        told.append((outcomes[apart(*estimates)], write(finding.case, *estimates)))
    return f"The trained model's {what} is {grouped(told)}"


def _both(case: Case, one: Estimate, other: Estimate) -> str:
    return f"{case.dataset} ({with_interval(one, 3)} against {with_interval(other, 3)})"


def _data_set(case: Case, one: Estimate, other: Estimate) -> str:
    """No values: a similarity has its controls beside it in the table."""
    return case.dataset


def answers(findings: Sequence[Finding]) -> str:
    """Which arms answer better than the anchor."""
    return begun(grouped([(_better(f.case), _scores(f.case)) for f in findings]))


def _better(case: Case) -> str:
    score = case.scored_by
    anchor = case.of(score, ANCHOR).mean
    sides = {arm.heading: side(case.of(score, arm), anchor) for arm in QUESTION}
    if "unmeasured" in sides.values():
        return "answers were not measured"
    if any(case.of(score, arm).low is None for arm in QUESTION):
        return "without intervals no arm is said to answer better or worse than the anchor"
    told = {way: [arm for arm, found in sides.items() if found == way] for way in ("above", "below")}
    clauses = [
        f"{listed(arms)} {'answers' if len(arms) == 1 else 'answer'} {'better' if way == 'above' else 'worse'}"
        for way, arms in told.items()
        if arms
    ]
    return f"{listed(clauses) or 'neither arm answers better or worse'} than the anchor"


def _scores(case: Case) -> str:
    score, same = case.scored_by, case.matched_by
    told = [f"{with_interval(case.of(score, arm))} {arm.heading}" for arm in (ANCHOR, *QUESTION)]
    alike = case.alike(same).mean
    agreement = "" if alike is None else f"; {ICL_IT} {same.heading} {number(alike, 2)}"
    return f"{case.dataset} ({score.heading}: {', '.join(told)}{agreement})"
