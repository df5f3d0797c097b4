"""Tables of answers at the reference setting, and of what each level of a factor changes."""

from collections.abc import Iterator, Sequence

from workflow_scripts.lib.arms import ANCHOR, ARMS, QUESTION, Arm
from workflow_scripts.lib.measures import ACCORDS, BEHAVIOURS, HEADLINE, HOW_WELL, RELEVANCE
from workflow_scripts.lib.measures.contrasts import CONTRASTS, OWN, OWN_DEMONSTRATION_EFFECT
from workflow_scripts.lib.measures.kinds import Measure
from workflow_scripts.lib.report.cases import ICL_IT, Case, together
from workflow_scripts.lib.report.state_tables import CASE, heads
from workflow_scripts.lib.report.table import Cell, Column, Head, Row, Table, cell, table
from workflow_scripts.lib.report.wording import number

Asked = tuple[Measure, tuple[Arm, ...]]


def accuracies_table(cases: Sequence[Case]) -> Table:
    """How well each arm answers."""
    asked: list[Asked] = [(measure, (arm,)) for measure in BEHAVIOURS if not measure.of_updates for arm in ARMS]
    return _answers("How well each arm answers. The anchor has no demonstrations, hence no interval.", cases, asked)


def distances_table(cases: Sequence[Case]) -> Table:
    """How far the arms' answers are from the anchor's and from each other's."""
    two = [(ANCHOR, QUESTION[0]), (ANCHOR, QUESTION[1]), QUESTION]
    asked: list[Asked] = [(measure, arms) for measure in ACCORDS for arms in two]
    asked += [(measure, (arm,)) for measure in BEHAVIOURS if measure.of_updates for arm in ARMS]
    return _answers("How far the arms' answers are from each other's.", cases, asked)


def _answers(caption: str, cases: Sequence[Case], asked: Sequence[Asked]) -> Table:
    columns = [Column(measure.heading, together(*arms)) for measure, arms in asked]
    rows = (Row(heads(case), [cell(case.of(measure, *arms)) for measure, arms in asked]) for case in cases)
    return table(caption, CASE, columns, rows)


def effects_table(cases: Sequence[Case], factor: str) -> Table:
    """What each level changes against the reference, paired by draw."""
    matches = [(match.name, match.heading) for match in (*CONTRASTS, OWN_DEMONSTRATION_EFFECT)]
    columns = [Column(f"{HEADLINE.heading}, {ICL_IT}", heading) for _, heading in matches]
    columns += [Column(measure.heading, arm.heading) for measure in HOW_WELL for arm in QUESTION]

    asked: list[tuple[Measure, tuple[Arm, ...], str]] = [(HEADLINE, QUESTION, match) for match, _ in matches]
    asked += [(measure, (arm,), OWN.name) for measure in HOW_WELL for arm in QUESTION]

    def cells(case: Case, level: str) -> list[Cell]:
        return [cell(case.effect(factor, level, *one), test="Holm p") for one in asked]

    caption = f"What each level of {factor} changes: level minus reference."
    rows = (
        Row([*heads(c), Head(level, _by_query(c, factor, level))], cells(c, level))
        for c, level in _levels(cases, factor)
    )
    return table(caption, [*CASE, "level"], columns, rows)


def _by_query(case: Case, factor: str, level: str) -> str:
    """How alike queries and their demonstrations are, and of how many queries, where each has sets of its own."""
    found = case.results.at(case.model, case.dataset, RELEVANCE.name, QUESTION[0].name, factor=factor, level=level)
    if found.mean is None:
        return ""
    return f"{RELEVANCE.heading} {number(found.mean)}, of {found.queries // found.draws} queries"


def _levels(cases: Sequence[Case], factor: str) -> Iterator[tuple[Case, str]]:
    for case in cases:
        yield from ((case, level) for level in case.results.levels(case.model, case.dataset, factor))
