"""What the report shows of states that were put into the anchor's run."""

from collections.abc import Iterator, Sequence
from itertools import cycle

from workflow_scripts.lib.arms import ANCHOR, ARMS, Arm
from workflow_scripts.lib.measures import ACCURACY
from workflow_scripts.lib.patching.measures import ACCURACY as PATCHED_ACCURACY
from workflow_scripts.lib.patching.measures import PATCH_MEASURES, PatchMeasure
from workflow_scripts.lib.patching.patches import PATCH_DIFFERENCES, PATCHES, Patch, PatchDifference
from workflow_scripts.lib.report.cases import Case
from workflow_scripts.lib.report.figures import Drawn, Series, drawn_strip
from workflow_scripts.lib.report.panels import STYLES, Style
from workflow_scripts.lib.report.state_tables import CASE, heads
from workflow_scripts.lib.report.table import Cell, Column, Head, Row, Table, cell, table
from workflow_scripts.lib.results.results import Results

# Of the last layer's number; chosen before anything was seen, as the best of the layers would flatter every patch.
DEPTHS = {"a quarter up": 1 / 4, "half": 1 / 2, "three quarters": 3 / 4, "last layer": 1.0}
OWN_RUNS = (STYLES[-1], Style("#222222", "-", ""))  # of the anchor and of the arm itself, which patches lie between

# Accuracy asks for no set: what is only another draw's has by construction the mean of the draws' own.
DRAWN = [patch for patch in PATCHES if patch not in {difference.less for difference in PATCH_DIFFERENCES}]


def patched_arms(results: Results) -> list[Arm]:
    """The arms whose states were put in, in the study's order."""
    found = {
        other
        for cell_ in results.cells()
        for patch in PATCHES
        for _, other in results.arms_of(*cell_, PATCHED_ACCURACY.name, match=patch.name)
    }
    return [arm for arm in ARMS if arm.name in found]


def strips(results: Results) -> list[Drawn]:
    """For each of these arms, the accuracy of every patch over layers, beside the anchor's and the arm's own."""
    return [
        drawn_strip(f"accuracy, with {arm.heading}'s", (-0.03, 1.03), _series(arm)) for arm in patched_arms(results)
    ]


def _series(arm: Arm) -> list[Series]:
    patches = [
        Series(patch.heading, style, PATCHED_ACCURACY, (ANCHOR, arm), patch.name)
        for patch, style in zip(DRAWN, cycle(STYLES), strict=False)
    ]
    runs = zip((ANCHOR, arm), OWN_RUNS, strict=True)
    return [*patches, *(Series(f"{one.heading}, not patched", style, ACCURACY, (one,)) for one, style in runs)]


def patched_table(cases: Sequence[Case]) -> Table:
    """Every measure of every patch at a few layers."""
    columns = [Column(measure.heading, depth) for measure in PATCH_MEASURES for depth in DEPTHS]
    caption = "What the anchor answers with a state put in place of its own, at layers of four depths."
    return table(caption, [*CASE, "arm", "put in"], columns, (row for case in cases for row in _rows(case)))


def _rows(case: Case) -> Iterator[Row]:
    for arm in patched_arms(case.results):
        for patch in (*PATCHES, *PATCH_DIFFERENCES):
            cells = [_cell(case, measure, arm, patch, depth) for measure in PATCH_MEASURES for depth in DEPTHS.values()]
            yield Row([*heads(case), Head(arm.heading), Head(patch.heading)], cells)


def _cell(case: Case, measure: PatchMeasure, arm: Arm, patch: Patch | PatchDifference, depth: float) -> Cell:
    of, where = (case.model, case.dataset), (ANCHOR.name, arm.name)
    layers = case.results.layers(*of)
    layer = min(layers, key=lambda one: abs(one - depth * layers[-1]))
    return cell(case.results.at(*of, measure.name, *where, match=patch.name, layer=layer))
