"""The report's answer in words, worked out from the findings: whichever way they come out, it says so."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from workflow_scripts.lib.report.findings import Finding, find, side
from workflow_scripts.lib.report.wording import listed, number, with_interval
from workflow_scripts.lib.results import Results


class Paragraph(NamedTuple):
    """A heading and its sentences, each with what it is about."""

    heading: str
    points: list[tuple[str, str]]


def answer(results: Results, controls: Mapping[str, str]) -> tuple[str, str, list[Paragraph]]:
    """The verdict in a word or two, the sentences that it stands for, and a paragraph per model.

    `controls` maps an untrained model to the model that it is the control of.
    """
    control_of = {trained: control for control, trained in controls.items() if control in results.models}
    studied = [model for model in results.models if model not in controls] or results.models
    cells = [cell for cell in results.cells() if cell[0] in studied]
    findings = [find(results, model, dataset, control_of.get(model)) for model, dataset in cells]
    paragraphs = [
        Paragraph(model, _points(results, [f for f in findings if f.model == model], control_of.get(model)))
        for model in studied
    ]
    return _verdict(findings), _summary(findings), paragraphs


def _verdict(findings: Sequence[Finding]) -> str:
    sides = [f.similarity for f in findings]
    if set(sides) == {"unmeasured"}:
        return "Not measured."
    if "above" not in sides:
        return "No." if set(sides) == {"below"} else "Not shown."
    upheld = [f.similarity == "above" and f.both_gain and f.control in (None, "above") for f in findings]
    if all(upheld):
        return "Yes."
    return "In part." if any(upheld) else "On the cosine alone."


def _summary(findings: Sequence[Finding]) -> str:
    total = len(findings)
    above = [f for f in findings if f.similarity == "above"]
    if all(f.similarity == "unmeasured" for f in findings):
        return "The study's measures leave out the cosine, so that the question has no answer here."
    sentences = [
        f"At the last layer, the ICL and IT states are closer to each other than either is to the anchor state in "
        f"{_cases(len(above), total)}. The paper reports this pattern; here it "
        + ("holds throughout." if len(above) == total else "holds in part." if above else "is not found.")
    ]
    if above:
        gain = sum(f.both_gain for f in above)
        sentences.append(f"Both arms also answer better than the anchor in {_of_these(gain, len(above))}.")
    compared = [f for f in above if f.control is not None]
    if compared:
        higher = sum(f.control == "above" for f in compared)
        sentences.append(
            "The trained model has a larger margin than its untrained control in "
            f"{_of_these(higher, len(compared), 'these' if len(compared) == len(above) else 'those with a control')}."
        )
    if any(f.margin.draws == 1 for f in findings):
        sentences.append("Where there is one draw there is no interval, and no difference is counted.")
    return " ".join(sentences)


def _cases(count: int, total: int) -> str:
    if total == 1:
        return "the one case studied" if count else "no case (one studied)"
    share = f"all {total} cases" if count == total else f"{count or 'none'} of {total} cases"
    return f"{share} (a case is a model on a data set)"


def _of_these(count: int, total: int, these: str = "these") -> str:
    if total == 1:
        return f"{'that' if count else 'no such'} case"
    if count == total:
        return f"both of {these}" if total == 2 else f"all {total} of {these}"
    return f"{count or 'none'} of {these}"


def _points(results: Results, findings: Sequence[Finding], control: str | None) -> list[tuple[str, str]]:
    points = [("States", _states(results, findings)), ("Updates", _updates(results, findings))]
    if control is not None:
        points.append(("Control", _control(results, findings, control)))
    points.append(("Answers", _answers(results, findings)))
    still = [(f.dataset, results.adapters_not_moved(f.model, f.dataset)) for f in findings]
    if any(count for _, count in still):
        named = listed([f"{count} on {dataset}" for dataset, count in still if count])
        points.append(
            ("Adapters", f"Some did not move ({named}); their IT states are the anchor's and are in the means.")
        )
    return points


def _grouped(parts: Sequence[tuple[str, str]]) -> str:
    """`OUTCOME on A (...) and B (...); OTHER on C (...).` from (outcome, where) pairs."""
    outcomes = dict.fromkeys(outcome for outcome, _ in parts)
    return "; ".join(f"{o} on {listed([where for outcome, where in parts if outcome == o])}" for o in outcomes) + "."


def _states(results: Results, findings: Sequence[Finding]) -> str:
    outcomes = {
        "above": "above both anchor similarities",
        "below": "below the larger anchor similarity",
        "unclear": "not to be told apart from the larger anchor similarity",
        "unmeasured": "not measured",
    }

    def cosines(f: Finding) -> str:
        own, icl, it = (results.at(f.model, f.dataset, "cosine", p) for p in ("icl-it", "anchor-icl", "anchor-it"))
        return (
            f"{f.dataset} ({number(own.mean, 2)} against {number(icl.mean, 2)} anchor-ICL and {number(it.mean, 2)} "
            f"anchor-IT; margin {with_interval(f.margin)})"
        )

    return "ICL-IT similarity is " + _grouped([(outcomes[f.similarity], cosines(f)) for f in findings])


def _updates(results: Results, findings: Sequence[Finding]) -> str:
    outcomes = {
        "above": "point partly or wholly the same way",
        "below": "point in opposed ways",
        "unclear": "show no common direction",
        "unmeasured": "have no update cosine",
        "noise": "have no more in common than noise would give them",
    }

    def direction(f: Finding) -> tuple[str, str]:
        estimate = results.at(f.model, f.dataset, "update_cosine", "icl-it")
        noise = results.within_noise(f.model, f.dataset, "update_cosine", "icl-it")
        return outcomes["noise" if noise else side(estimate)], f"{f.dataset} (update cosine {with_interval(estimate)})"

    parts = [direction(f) for f in findings]
    return "What demonstrations and what tuning add to the anchor state " + _grouped(parts)


def _control(results: Results, findings: Sequence[Finding], control: str) -> str:
    outcomes = {
        "above": "larger than the control's",
        "below": "smaller than the control's",
        "unclear": "not to be told apart from the control's",
        "unmeasured": "not measured for both",
    }

    def margins(f: Finding) -> str:
        other = results.at(control, f.dataset, "margin", "icl-it")
        return f"{f.dataset} ({with_interval(f.margin)} against {with_interval(other)})"

    parts = [(outcomes[f.control], margins(f)) for f in findings if f.control is not None]
    if not parts:
        return f"The untrained control, {control}, was not run on these data sets."
    text = f"{control} has the same architecture and no training. The trained model's margin is {_grouped(parts)}"
    if all(f.control in (None, "above") for f in findings):
        return text
    return text + " Where it is not larger, the similarity does not show anything that training brought about."


def _answers(results: Results, findings: Sequence[Finding]) -> str:
    def outcome(f: Finding) -> str:
        better = [arm.upper() for arm, gain in f.gains.items() if gain == "above"]
        return {
            0: "neither arm answers better than the anchor",
            1: f"only {''.join(better)} answers better than the anchor",
        }.get(len(better), "both arms answer better than the anchor")

    def accuracies(f: Finding) -> str:
        anchor, icl, it = (results.at(f.model, f.dataset, "accuracy", c) for c in ("anchor", "icl", "it"))
        same = results.at(f.model, f.dataset, "agreement", "icl-it").mean
        return (
            f"{f.dataset} (accuracy {number(anchor.mean, 2)} anchor, {with_interval(icl)} ICL, {with_interval(it)} IT; "
            f"agreement of ICL and IT {number(same, 2)})"
        )

    text = _grouped([(outcome(f), accuracies(f)) for f in findings])
    return text[0].upper() + text[1:]
