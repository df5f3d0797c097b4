"""The report's answer in words, worked out from the findings: whichever way they come out, it says so."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from workflow_scripts.lib.arms import CEILINGS
from workflow_scripts.lib.measures import HEADLINE
from workflow_scripts.lib.measures.contrasts import OTHER_DRAW, OTHER_LABEL
from workflow_scripts.lib.measures.parts import WHOLE
from workflow_scripts.lib.report.cases import ICL_IT, Case, cases
from workflow_scripts.lib.report.findings import RESTS_ON, Finding, Outcome, findings, part_of_whole, side
from workflow_scripts.lib.report.points import Point, points
from workflow_scripts.lib.report.wording import PART_SAYS, begun, listed, number, percents
from workflow_scripts.lib.results.estimates import Part
from workflow_scripts.lib.results.permutation import ALPHA, FEWEST_TESTED, least_p
from workflow_scripts.lib.results.results import Results


class Paragraph(NamedTuple):
    """A heading and its points."""

    heading: str
    points: list[Point]


class Answer(NamedTuple):
    """The verdict in a few words, and the sentences that it stands for.

    `made_of`: what similarities consist of; `lacks`: controls and draws that the study is without; then a paragraph per
    model.
    """

    verdict: str
    summary: str
    made_of: str
    lacks: str
    paragraphs: list[Paragraph]


def answer(results: Results, controls: Mapping[str, str | None]) -> Answer:
    """The answer; `controls` maps an untrained model to the model that it is the control of."""
    found = findings(cases(results, controls))
    paragraphs = [
        Paragraph(f"{model} ({kind})" if kind else model, points([f for f in found if f.case.model == model]))
        for model, kind in dict.fromkeys((f.case.model, f.case.kind) for f in found)
    ]
    return Answer(verdict(found), summary(found), made_of([f.case for f in found]), lacks(found), paragraphs)


def verdict(findings: Sequence[Finding]) -> str:
    """The answer to the question in a few words."""
    shown = [f for f in findings if f.outcome in RESTS_ON]
    if not shown:
        return "Not measured." if {f.outcome for f in findings} == {"unmeasured"} else "Not shown."
    if not any(f.upheld for f in shown):
        return "No more than in an untrained model."
    own = [f for f in shown if f.outcome == "demonstrations" and f.upheld]
    if own:
        return "Yes." if len(own) == len(findings) else "In part."
    return "Like tuning on the task, not shown for its demonstrations."


def summary(findings: Sequence[Finding]) -> str:
    """How many cases came out how, and in how many the control is below: two sentences."""
    return " ".join(filter(None, [_outcomes(findings), _controls(findings)]))


def lacks(findings: Sequence[Finding]) -> str:
    """Which controls and draws a study does not have, without which less can be said; nothing where it has all."""
    without = {
        OTHER_DRAW.heading: all(f.other_draw.mean is None for f in findings),
        OTHER_LABEL.heading: all(f.case.alike(HEADLINE, OTHER_LABEL.name).mean is None for f in findings),
        "an untrained model": all(f.untrained is None for f in findings),
        "a ceiling": all(f.case.of(HEADLINE, *arms).mean is None for f in findings for arms in CEILINGS),
        "intervals, with one draw": all(f.own.low is None for f in findings),
    }
    missing = [what for what, lacking in without.items() if lacking]
    told = f"This study is without {listed(missing)}." if missing else ""
    return " ".join(filter(None, [told, _untested(max((f.effect.draws for f in findings), default=0))]))


def _untested(draws: int) -> str:
    """Whether draws are too few for a test; of one, which has no interval either, it is said already."""
    if not 1 < draws < FEWEST_TESTED:
        return ""
    return (
        f"With {draws} draws no test can tell a difference from chance: its p is at least {number(least_p(draws))}, "
        f"whatever is found, and counts up to {number(ALPHA, 2)}. That takes {FEWEST_TESTED} draws."
    )


def made_of(studied: Sequence[Case]) -> str:
    """Each part's share of the pooled update cosine, over the cases where there is one."""
    alike = [parts for case in studied if (parts := case.parts()) and side(parts[WHOLE].contribution) == "above"]
    told = [f"{percents(shares)} is {PART_SAYS[name]}" for name in PART_SAYS if (shares := _shares(alike, name))]
    if not told:
        return ""
    where = "" if len(alike) == len(studied) else ", where it is above zero"
    return f"Of the pooled update cosine of {ICL_IT} at the last layer{where}, {listed(told)}."


def _shares(alike: Sequence[Mapping[str, Part]], name: str) -> list[float]:
    shares = [part_of_whole(parts, name) for parts in alike]
    return [share for share in shares if share is not None]


SAYS: dict[Outcome, str] = {
    "demonstrations": "in {0} ICL moves states as tuning on its own demonstrations does, beyond what tuning on another "
    "draw of the task does, and this own-demonstration effect is {1} of the {2}",
    "task": "in {0} ICL moves states as tuning on the task does, and that it is these demonstrations is not shown",
    "shared": "in {0} ICL and tuning share a direction that is not shown to be of the task or of these demonstrations",
    "neither": "in {0} no direction that ICL and tuning share is shown",
    "unmeasured": "in {0} the study does not have what the answer needs",
}


def _outcomes(findings: Sequence[Finding]) -> str:
    """`In 2 of 6 cases ...; in 4 of 6 cases ...`: a clause for each outcome that there is."""
    there = {f.outcome for f in findings}
    clauses = [_clause(outcome, findings) for outcome in SAYS if outcome in there]
    meaning = " A case is a model on a data set." if len(findings) > 1 else ""
    return f"{begun('; '.join(clauses))}.{meaning}"


def _clause(outcome: Outcome, findings: Sequence[Finding]) -> str:
    these, total = [f for f in findings if f.outcome == outcome], len(findings)
    count = f"all {total}" if len(these) == total else f"{len(these)} of {total}"
    where = "the one case studied" if total == 1 else f"{count} cases"
    return SAYS[outcome].format(where, percents([f.part_of_own or 0.0 for f in these]), HEADLINE.heading)


def _controls(findings: Sequence[Finding]) -> str:
    compared = [f for f in findings if f.control is not None]
    if not compared:
        return ""
    more = sum(f.upheld for f in compared)
    if len(findings) == 1:
        return f"The trained model shows {'more' if more else 'no more'} of it than its untrained control."
    count = f"all {more}" if more == len(compared) else f"{more} of the {len(compared)}"
    return f"In {count} that have an untrained control, the trained model shows more of it than the control."
