"""The report's tables as text: every (model, data set) at the reference setting and the last layer."""

from collections.abc import Mapping
from typing import NamedTuple

from workflow_scripts.lib.lineage import Lineage
from workflow_scripts.lib.report.wording import interval, magnitude, number
from workflow_scripts.lib.results import CONDITIONS, DIRECTIONS, PAIRS, Estimate, Results

LABELS = {"anchor": "anchor", "icl": "ICL", "it": "IT"}
LABELS |= {"anchor-icl": "anchor-ICL", "anchor-it": "anchor-IT", "icl-it": "ICL-IT"}

STAGES = ["prepare_dataset", "prepare_model", "sample_demonstrations", "tune_lora", "dump_hidden_states"]
STAGES += ["compare_hidden_states", "aggregate_similarity", "render_report"]


class Group(NamedTuple):
    """Columns under one heading."""

    heading: str
    columns: list[str]


class Cell(NamedTuple):
    """A number and, beneath it, its interval."""

    value: str
    beneath: str = ""


class Table(NamedTuple):
    """Rows are (model, what it is, data set, setting, cells)."""

    groups: list[Group]
    rows: list[tuple[str, str, str, str, list[Cell]]]


Measures = list[tuple[str, tuple[str, ...]]]  # each with its pairs or conditions
STATES: Measures = [("cosine", PAIRS), ("update_cosine", ("icl-it",)), ("partial_cosine", ("icl-it",))]
STATES += [("movement", ("anchor-icl", "anchor-it"))]
ANSWERS: Measures = [("accuracy", CONDITIONS), ("open_accuracy", CONDITIONS), ("agreement", PAIRS)]


def states_table(results: Results, controls: Mapping[str, str]) -> Table:
    """Cosines, update and partial cosine, movement."""
    groups = [
        Group("cosine", [LABELS[pair] for pair in PAIRS]),
        Group("update cosine", ["ICL-IT"]),
        Group("partial cosine", ["ICL-IT"]),
        Group("movement", ["ICL", "IT"]),
    ]
    rows = [(*_head(results, controls, *cell), _cells(results, *cell, STATES)) for cell in results.cells()]
    return Table(groups, rows)


def ground_table(results: Results, controls: Mapping[str, str]) -> Table:
    """What the states' numbers rest on: noise; draws, queries left out, adapters that did not move."""
    groups = [
        Group("noise", ["of ICL", "of IT", "shared"]),
        Group("counts", ["draws", "excluded", "not moved"]),
    ]
    rows = [
        (*_head(results, controls, *cell), [*_noise(results, *cell), *_counts(results, *cell)])
        for cell in results.cells()
    ]
    return Table(groups, rows)


def answers_table(results: Results, controls: Mapping[str, str]) -> Table:
    """Accuracy within the label set and over the vocabulary, and agreement."""
    groups = [
        Group("accuracy, label set", [LABELS[c] for c in CONDITIONS]),
        Group("accuracy, open", [LABELS[c] for c in CONDITIONS]),
        Group("agreement", [LABELS[pair] for pair in PAIRS]),
    ]
    rows = [(*_head(results, controls, *cell), _cells(results, *cell, ANSWERS)) for cell in results.cells()]
    return Table(groups, rows)


def _head(results: Results, controls: Mapping[str, str], model: str, dataset: str) -> tuple[str, str, str, str]:
    control = f"untrained control of {controls[model]}" if model in controls else ""
    return model, control, dataset, " ".join(results.setting(model, dataset))


def _cells(results: Results, model: str, dataset: str, measures: Measures) -> list[Cell]:
    return [_cell(results, model, dataset, measure, pair) for measure, pairs in measures for pair in pairs]


def _cell(results: Results, model: str, dataset: str, measure: str, pair: str) -> Cell:
    estimate = results.at(model, dataset, measure, pair)
    noise = "within the noise" if results.within_noise(model, dataset, measure, pair) else ""
    return Cell(number(estimate.mean), ", ".join(filter(None, [interval(estimate), noise])))


def _noise(results: Results, model: str, dataset: str) -> list[Cell]:
    return [Cell(magnitude(results.at(model, dataset, "noise", pair).mean)) for pair in PAIRS]


def _counts(results: Results, model: str, dataset: str) -> list[Cell]:
    moved = results.at(model, dataset, "moved", "it")
    directed = [results.at(model, dataset, name, "icl-it") for name in DIRECTIONS]
    most = max(directed, key=lambda estimate: estimate.excluded)
    still = results.adapters_not_moved(model, dataset)
    return [Cell(str(moved.draws)), Cell(str(most.excluded), _of(most)), Cell(str(still))]


def _of(estimate: Estimate) -> str:
    total = estimate.queries + estimate.excluded
    return f"of {total}" if total else ""


def provenance_rows(lineage: Lineage) -> list[tuple[str, str, str, str]]:
    """Stage, digests of its code and of its settings, its libraries' versions; in the workflow's order."""
    order = {stage: place for place, stage in enumerate(STAGES)}
    return [
        (
            stage,
            ", ".join(lineage[stage]["code"]),
            ", ".join(lineage[stage]["settings"]),
            ", ".join(f"{name} {' / '.join(found)}" for name, found in sorted(lineage[stage]["versions"].items())),
        )
        for stage in sorted(lineage, key=lambda stage: (order.get(stage, len(order)), stage))
    ]
