"""The sections of the page, in reading order, and the tables that stand in each."""

from collections.abc import Sequence
from typing import NamedTuple

from workflow_scripts.lib.report import answer_tables, patched, state_tables
from workflow_scripts.lib.report.cases import Case
from workflow_scripts.lib.report.findings import findings
from workflow_scripts.lib.report.outcomes import outcomes_table
from workflow_scripts.lib.report.table import Table
from workflow_scripts.lib.report.tidy import moments
from workflow_scripts.lib.report.tuning import Adapters, tuning_table
from workflow_scripts.lib.results.results import Results
from workflow_scripts.lib.study.factors import factor_named


class Section(NamedTuple):
    """A name for its address, its heading, a sentence beneath, and what a list of sections calls it."""

    name: str
    heading: str
    intro: str = ""
    called: str = ""


class Placed(NamedTuple):
    """A table, what its file is called, and the section that it stands in."""

    section: str
    name: str
    table: Table


TABLES = (
    ("layers", "parts", state_tables.parts_table),
    ("layers", "to-anchor", state_tables.anchor_table),
    ("arms", "similarities", state_tables.similarities_table),
    ("arms", "changes", state_tables.changes_table),
    ("patching", "patched", patched.patched_table),
    ("behaviour", "accuracies", answer_tables.accuracies_table),
    ("behaviour", "distances", answer_tables.distances_table),
    ("behaviour", "by-answer", state_tables.split_table),
    ("tuning", "ground", state_tables.ground_table),
)


def sections_of(results: Results) -> list[Section]:
    """Every section that a study may have; those with nothing in them are left out later."""
    along = moments(results.factors)
    return [
        Section("layers", "Layers"),
        Section("path", "The path of tuning"),
        *(_of_factor(factor) for factor in results.factors if factor not in along),
        Section("arms", "Arms and ceilings"),
        Section(
            "patching",
            "Causal patching",
            "The anchor's run goes on from a state of an arm in place of its own, at the last prompt token of one "
            "layer: states that are alike need not do alike.",
        ),
        Section("behaviour", "Behaviour"),
        Section("tuning", "Tuning"),
        Section("prompts", "One prompt of each arm"),
    ]


def _of_factor(name: str) -> Section:
    factor = factor_named(name)
    return Section(
        f"factor-{name}", f"Factor: {name}", f"{factor.says[:1].upper()}{factor.says[1:]}." if factor else "", name
    )


def tables_of(every: Sequence[Case], results: Results, adapters: Adapters) -> list[Placed]:
    """The tables that have rows; one for each factor among them."""
    along = moments(results.factors)
    here = {(case.model, case.dataset) for case in every}
    tuned = tuning_table({case: rows for case, rows in adapters.items() if case in here})
    found = [Placed("answer", "outcomes", outcomes_table(findings(every)))]
    found += [Placed(section, name, make(every)) for section, name, make in TABLES]
    found.append(Placed("tuning", "tuning", tuned))
    for factor in results.factors:
        section = "path" if factor in along else f"factor-{factor}"
        found.append(Placed(section, f"effects-{factor}", answer_tables.effects_table(every, factor)))
    return [one for one in found if one.table.rows]
