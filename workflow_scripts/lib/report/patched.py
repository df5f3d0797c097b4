"""What the report shows of states that were put into the anchor's run."""

from collections.abc import Iterator, Sequence

from workflow_scripts.lib.arms import ANCHOR, ARMS, Arm
from workflow_scripts.lib.patching.measures import HOW_WELL, PATCH_MEASURES, PatchMeasure
from workflow_scripts.lib.patching.patches import PATCH_DIFFERENCES, PATCHES, Patch, PatchDifference
from workflow_scripts.lib.report.cases import Case
from workflow_scripts.lib.report.state_tables import CASE, heads
from workflow_scripts.lib.report.table import Cell, Column, Head, Row, Table, cell, table
from workflow_scripts.lib.results.results import Results

# Of the last layer's number; chosen before anything was seen, as the best of the layers would flatter every patch.
DEPTHS = {"a quarter up": 1 / 4, "half": 1 / 2, "three quarters": 3 / 4, "last layer": 1.0}


def patched_arms(results: Results) -> list[Arm]:
    """The arms whose states were put in, in the study's order."""
    found = {
        other
        for cell_ in results.cells()
        for patch in PATCHES
        for measure in HOW_WELL
        for _, other in results.arms_of(*cell_, measure.name, match=patch.name)
    }
    return [arm for arm in ARMS if arm.name in found]


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
