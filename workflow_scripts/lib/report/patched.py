"""What the report shows of states that were put into the anchor's run."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from workflow_scripts.lib.arms import ANCHOR, ARMS, Arm
from workflow_scripts.lib.patching.measures import HOW_WELL, PATCH_MEASURES, PatchMeasure
from workflow_scripts.lib.patching.patches import PATCH_DIFFERENCES, PATCHES, Patch, PatchDifference
from workflow_scripts.lib.report.cases import Case
from workflow_scripts.lib.report.state_tables import CASE, heads
from workflow_scripts.lib.report.table import EMPTY, Cell, Column, Head, Row, Table, cell, table
from workflow_scripts.lib.report.wording import listed
from workflow_scripts.lib.results.estimates import ABSENT, Estimate
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
    """Every measure of every patch at a few of the layers that were patched."""
    columns = [Column(measure.heading, depth) for measure in PATCH_MEASURES for depth in DEPTHS]
    caption = (
        "What the anchor answers with a state put in place of its own, at the patched layers nearest to four depths."
    )
    return table(caption, [*CASE, "arm", "put in"], columns, (row for case in cases for row in _rows(case)))


def _rows(case: Case) -> Iterator[Row]:
    last = case.results.layers(case.model, case.dataset)[-1]
    for arm in patched_arms(case.results):
        for patch in (*PATCHES, *PATCH_DIFFERENCES):
            every = [_over_layers(case, measure, arm, patch) for measure in PATCH_MEASURES]
            shown = [at_depths(found, last) for found in every]
            cells = [_cell(found, layer) for found, some in zip(every, shown, strict=True) for layer in some]
            said = [str(layer) for layer in sorted({layer for some in shown for layer in some if layer is not None})]
            yield Row([*heads(case), Head(arm.heading), Head(patch.heading, _of(said, last))], cells)


def _over_layers(case: Case, measure: PatchMeasure, arm: Arm, patch: Patch | PatchDifference) -> dict[int, Estimate]:
    """Layer -> estimate, of the layers that were patched: fewer than are compared, where the study says so."""
    of, where = (case.model, case.dataset), (ANCHOR.name, arm.name)
    layers = case.results.layers(*of)
    every = {one: case.results.at(*of, measure.name, *where, match=patch.name, layer=one) for one in layers}
    return {layer: estimate for layer, estimate in every.items() if estimate != ABSENT}


def at_depths(layers: Collection[int], last: int) -> list[int | None]:
    """The layer nearest to each of `DEPTHS`, of two the lower; None where that layer is nearer to another depth.

    The last layer stands for itself alone.
    """
    depths = [depth * last for depth in DEPTHS.values()]

    def nearest(to: float, among: Iterable[float]) -> float | None:
        some = sorted(one for one in among if (one == last) == (to == last))
        return min(some, key=lambda one: abs(one - to), default=None)

    found = [(depth, nearest(depth, layers)) for depth in depths]
    return [None if layer is None or nearest(layer, depths) != depth else int(layer) for depth, layer in found]


def _cell(found: Mapping[int, Estimate], layer: int | None) -> Cell:
    return EMPTY if layer is None else cell(found[layer])


def _of(layers: Sequence[str], last: int) -> str:
    return f"layer{'s' * (len(layers) > 1)} {listed(layers)} of {last}" if layers else ""
