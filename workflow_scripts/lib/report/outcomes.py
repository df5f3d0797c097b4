"""The table that answers for every case: does it hold, of how much, at which layers, against which control."""

from collections.abc import Sequence

from workflow_scripts.lib.arms import CEILINGS, QUESTION
from workflow_scripts.lib.measures import HEADLINE, NOISE
from workflow_scripts.lib.measures.contrasts import OTHER_DRAW, OTHER_LABEL, OWN, OWN_DEMONSTRATION_EFFECT
from workflow_scripts.lib.report.cases import Case, together
from workflow_scripts.lib.report.findings import Finding, Outcome, Side, beyond_zero
from workflow_scripts.lib.report.state_tables import CASE, heads
from workflow_scripts.lib.report.table import Cell, Column, Head, Row, Table, cell, table
from workflow_scripts.lib.report.wording import NOTHING, magnitude, percent

IN_SHORT: dict[Outcome, str] = {
    "demonstrations": "its own demonstrations",
    "task": "the task alone",
    "shared": "a direction, of neither",
    "neither": "nothing shown",
    "unmeasured": "not measured",
}
AGAINST: dict[Side | None, str] = {
    None: "",
    "above": "more than untrained",
    "below": "less than untrained",
    "unclear": "not told from untrained",
    "unmeasured": "untrained: not measured",
}


def outcomes_table(findings: Sequence[Finding]) -> Table:
    """A row of every studied case: the outcome in three words, and the numbers that it rests on."""
    columns = [Column(HEADLINE.heading, match.heading) for match in (OWN, OTHER_DRAW, OTHER_LABEL)]
    columns += [
        Column(OWN_DEMONSTRATION_EFFECT.heading, name)
        for name in ("effect", "of own", "layers", "elsewhere", "untrained")
    ]
    columns += [Column("ceilings", together(*arms)) for arms in CEILINGS]
    columns += [Column(NOISE.heading, "shared")]
    caption = (
        f"What ICL and IT share, case by case; {HEADLINE.heading} at the last layer. Layers and elsewhere: where the "
        f"{OWN_DEMONSTRATION_EFFECT.heading} is above zero."
    )
    return table(caption, [*CASE, "they share"], columns, [_row(finding) for finding in findings])


def _row(finding: Finding) -> Row:
    case = finding.case
    shared = Head(IN_SHORT[finding.outcome], AGAINST[finding.control])
    similarities = [finding.own, finding.other_draw, case.alike(HEADLINE, OTHER_LABEL.name)]
    untrained = finding.untrained.alike(HEADLINE, OWN_DEMONSTRATION_EFFECT.name) if finding.untrained else None
    return Row(
        [*heads(case), shared],
        [
            *map(cell, similarities),
            cell(finding.effect),
            Cell(percent(finding.part_of_own)),
            Cell(layers_above(case)),
            Cell(levels_above(case)),
            cell(untrained) if untrained else Cell(NOTHING),
            *(cell(case.of(HEADLINE, *arms)) for arms in CEILINGS),
            Cell(magnitude(case.of(NOISE, *QUESTION).mean)),
        ],
    )


def layers_above(case: Case) -> str:
    """Layers at which the own-demonstration effect's simultaneous band is above zero: `2 to 4 of 4`, or `none`."""
    names = [arm.name for arm in QUESTION]
    layers = case.results.layers(case.model, case.dataset)
    match = OWN_DEMONSTRATION_EFFECT.name
    lows = {
        layer: case.results.at(case.model, case.dataset, HEADLINE.name, *names, match=match, layer=layer).band_low
        for layer in layers
    }
    if all(low is None for low in lows.values()):
        return NOTHING
    above = [layer for layer, low in lows.items() if low is not None and low > 0]
    return f"{', '.join(runs(above))} of {layers[-1]}" if above else "none"


def levels_above(case: Case) -> str:
    """Levels of factors at which the own-demonstration effect is above zero, by its interval and its test."""
    effects = case.at_levels(HEADLINE, OWN_DEMONSTRATION_EFFECT.name)
    if not effects:
        return NOTHING
    return ", ".join(level for level, effect in effects.items() if beyond_zero(effect) == "above") or "none"


def runs(numbers: Sequence[int]) -> list[str]:
    """Whole numbers in ascending order as `1`, `3 to 5`."""
    found: list[list[int]] = []
    for number in numbers:
        if found and number == found[-1][-1] + 1:
            found[-1].append(number)
        else:
            found.append([number])
    return [str(run[0]) if len(run) == 1 else f"{run[0]} to {run[-1]}" for run in found]
