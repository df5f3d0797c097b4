"""Tables of states at the reference setting and the last layer, with rows for every (model, data set)."""

from collections.abc import Callable, Iterator, Sequence

from workflow_scripts.lib.arms import ANCHOR, ARMS, CEILINGS, IMITATIONS, IT, QUESTION, Arm
from workflow_scripts.lib.measures import CHANGES, COSINE, MARGIN, MOVED, NOISE, SIMILARITIES
from workflow_scripts.lib.measures.contrasts import CONTRASTS, DIFFERENCES, OTHER_DRAW, OTHER_LABEL, OWN
from workflow_scripts.lib.measures.kinds import Measure, Similarity
from workflow_scripts.lib.report.cases import ICL_IT, Case, together
from workflow_scripts.lib.report.findings import part_of_whole
from workflow_scripts.lib.report.table import Cell, Column, Head, Row, Table, cell, table
from workflow_scripts.lib.report.wording import PART_SAYS, magnitude, number, percent
from workflow_scripts.lib.results.estimates import Estimate

CASE = ["model", "data set"]


def heads(case: Case) -> list[Head]:
    """Which model and which data set a row is of."""
    return [Head(case.model, case.kind), Head(case.dataset)]


def parts_table(cases: Sequence[Case]) -> Table:
    """What the pooled update cosine is made of."""
    columns = [Column("pooled update cosine", "contribution"), Column("pooled update cosine", "of the whole")]
    columns += [Column("the parts themselves", "alignment")]
    columns += [Column("share of the squared update", arm.heading) for arm in QUESTION]
    caption = f"The {ICL_IT} similarity of updates and the parts that add up to it."
    return table(caption, [*CASE, "part"], columns, (row for case in cases for row in _part_rows(case)))


def _part_rows(case: Case) -> Iterator[Row]:
    parts = case.parts()
    for name, part in parts.items():
        says = PART_SAYS.get(name, "their sum: any set, any query")
        share = Cell(percent(part_of_whole(parts, name)))
        contribution, *others = (cell(estimate) for estimate in part)
        yield Row([*heads(case), Head(name, says)], [contribution, share, *others])


def similarities_table(cases: Sequence[Case]) -> Table:
    """Every similarity of the two arms with its controls, its ceilings, its imitations and its differences."""
    columns = [Column(ICL_IT, contrast.heading) for contrast in CONTRASTS]
    columns += [Column("ceilings", again.heading) for _, again in CEILINGS]
    columns += [Column(f"{one.heading} with", imitation.heading) for one, imitation in IMITATIONS]
    columns += [Column("differences", difference.heading) for difference in DIFFERENCES]
    caption = "How alike the two arms' states are, and how alike the controls are."
    return table(caption, [*CASE, "measure"], columns, _by_measure(cases, SIMILARITIES, _similarities))


def _similarities(case: Case, measure: Similarity) -> list[Cell]:
    contrasts = [cell(case.alike(measure, contrast.name)) for contrast in CONTRASTS]
    beside = [_controlled(case, measure, *arms) for arms in (*CEILINGS, *IMITATIONS)]
    return [*contrasts, *beside, *(cell(case.alike(measure, difference.name)) for difference in DIFFERENCES)]


def _controlled(case: Case, measure: Similarity, *arms: Arm) -> Cell:
    controls = [(match.heading, case.of(measure, *arms, match=match.name)) for match in (OTHER_DRAW, OTHER_LABEL)]
    beneath = [f"{heading} {number(control.mean)}" for heading, control in controls if control.mean is not None]
    return cell(case.of(measure, *arms), *beneath)


def anchor_table(cases: Sequence[Case]) -> Table:
    """The paper's comparison: each arm's cosine with the anchor and theirs with each other."""
    compared = [(ANCHOR, QUESTION[0]), (ANCHOR, QUESTION[1]), QUESTION]
    columns = [Column(together(*arms), contrast.heading) for arms in compared for contrast in CONTRASTS]
    columns.append(Column(MARGIN.heading, ICL_IT))

    def cells(case: Case) -> list[Cell]:
        cosines = [_marked(case, COSINE, arms, c.name) for arms in compared for c in CONTRASTS]
        return [*cosines, cell(case.alike(MARGIN))]

    caption = f"The {COSINE.heading} between the two arms and the anchor."
    return table(caption, CASE, columns, (Row(heads(case), cells(case)) for case in cases))


def changes_table(cases: Sequence[Case]) -> Table:
    """How far each arm's states are from the anchor's, and how much of that is in the labels' directions."""
    given = [arm for arm in ARMS if arm is not ANCHOR]
    columns = [Column(change.heading, arm.heading) for change in CHANGES for arm in given]
    rows = (Row(heads(c), [_marked(c, change, (arm,)) for change in CHANGES for arm in given]) for c in cases)
    return table("How far each arm moves from the anchor, and where to.", CASE, columns, rows)


def _marked(case: Case, measure: Measure, arms: Sequence[Arm], match: str = OWN.name) -> Cell:
    """An estimate, marked where noise alone would give it."""
    noise = match == OWN.name and case.within_noise(measure, *arms)
    return cell(case.of(measure, *arms, match=match), "within the noise" if noise else "")


def split_table(cases: Sequence[Case]) -> Table:
    """Similarities of queries for which the two arms predict the same label, and of the others."""
    split = {"same": "the same label", "different": "different labels"}
    columns = [Column(f"{OWN.heading}; they predict", heading) for heading in split.values()]
    columns += [Column("all queries", contrast.heading) for contrast in CONTRASTS]

    def cells(case: Case, measure: Similarity) -> list[Cell]:
        of_some = [_counted(case.alike(measure, answers=which)) for which in split]
        return [*of_some, *(cell(case.alike(measure, contrast.name)) for contrast in CONTRASTS)]

    by_query = [measure for measure in SIMILARITIES if measure.by_query]
    caption = "Where the two arms predict the same label, and where they do not."
    return table(caption, [*CASE, "measure"], columns, _by_measure(cases, by_query, cells))


def _counted(estimate: Estimate) -> Cell:
    return cell(estimate, f"{estimate.queries} queries")


def ground_table(cases: Sequence[Case]) -> Table:
    """What the states' numbers rest on: noise; draws, queries left out, and adapters not to count on."""
    of = [*((arm,) for arm in QUESTION), QUESTION]
    columns = [Column(NOISE.heading, name) for name in (*(f"of {arm.heading}" for arm in QUESTION), "shared")]
    columns += [Column("counts", name) for name in ("draws", "excluded", "not moved, or loss not fallen")]
    rows = (Row(heads(c), [*(Cell(magnitude(c.of(NOISE, *arms).mean)) for arms in of), *_counts(c)]) for c in cases)
    return table("What these numbers rest on.", CASE, columns, rows)


def _counts(case: Case) -> list[Cell]:
    directed = [case.alike(measure) for measure in SIMILARITIES if measure.of_updates]
    most = max(directed, key=lambda estimate: estimate.excluded)
    total = most.queries + most.excluded
    excluded = Cell(str(most.excluded), (f"of {total}",) if total else ())
    return [Cell(str(case.of(MOVED, IT).draws)), excluded, Cell(str(case.adapters_not_moved()))]


def _by_measure(
    cases: Sequence[Case], measures: Sequence[Similarity], cells: Callable[[Case, Similarity], list[Cell]]
) -> Iterator[Row]:
    for case in cases:
        yield from (Row([*heads(case), Head(measure.heading)], cells(case, measure)) for measure in measures)
