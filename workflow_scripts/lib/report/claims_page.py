"""docs/findings.md: every claim with what the study shows of it, from its artifacts.

`python -m workflow_scripts.lib.report.claims_page TARGET`, from the project's root, after a run.
"""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from workflow_scripts.lib.artifacts.tables import read_origin
from workflow_scripts.lib.models.sources import controls
from workflow_scripts.lib.report.claims import Told, told
from workflow_scripts.lib.report.conclusions import effect_in_words
from workflow_scripts.lib.report.seen import Row, Seen
from workflow_scripts.lib.report.wording import NOTHING, begun, listed, with_interval
from workflow_scripts.lib.results.results import Results, read_results
from workflow_scripts.lib.study.settings import read_study

TABLES = [Path("artifacts/aggregate_similarity") / f"{name}.parquet" for name in ("similarity", "parts", "effects")]
WHOSE = {"paper": "The paper", "reviewers": "Its reviewers", "later work": "Later work"}
PREFACE = """\
# Findings

What others found or asked, and what the study of `params.yaml` shows of each; `make findings` writes this page from the
study's artifacts. Numbers are means over draws with their intervals, at the reference setting and the last layer unless
said otherwise. A claim *agrees* or *disagrees* where intervals leave no doubt, else the study *cannot tell*; what is
called little (.05 of a cosine) is ours to say. All of it is of one very small model in a generated world: it shows what
the tool can tell, and nothing of large models.
"""


def page(results: Results, controls: Mapping[str, str | None]) -> str:
    """The page; `controls` maps an untrained model to the model that it is the control of."""
    return "\n".join([PREFACE, *map(_section, told(results, controls))])


def _section(one: Told) -> str:
    claim = one.claim
    lines = [f"## {claim.about}", "", f"{WHOSE[claim.whose]}: {claim.says}.".replace("?.", "?"), ""]
    whys = dict.fromkeys(seen.why for _, seen in one.by_case if seen.why)
    lines += [" ".join([f"**{one.outcome}.**", *(f"{begun(why)}." for why in whys)]), ""]
    lines += _table(one.by_case)
    return "\n".join([*lines, f"In the report: {listed(claim.where)}.", ""])


def _table(by_case: Sequence[tuple[str, Seen]]) -> list[str]:
    """A column for each case and a row for each quantity; an effect belongs to the row above it."""
    longest = max((seen.rows for _, seen in by_case), key=len)
    if not longest:
        return []
    columns = [_column(seen.rows) for _, seen in by_case]
    names = dict.fromkeys(key for column in [_column(longest), *columns] for key in column)
    lines = [["", *(case for case, _ in by_case)], ["---"] * (len(by_case) + 1)]
    lines += [["", *(f"*{seen.verdict}*" for _, seen in by_case)]]
    lines += [[name, *(column.get((above, name), NOTHING) for column in columns)] for above, name in names]
    return [*(f"| {' | '.join(line)} |" for line in lines), ""]


def _column(rows: Sequence[Row]) -> dict[tuple[str, str], str]:
    """(the row that an effect belongs to, the row's name) -> its cell."""
    cells, above = {}, ""
    for row in rows:
        above = above if row.effect else row.name
        cells[above, row.name] = effect_in_words(row.estimate) if row.effect else with_interval(row.estimate)
    return cells


def main(target: str) -> None:
    """Write the page of the study that was made here."""
    settings = read_origin(TABLES[0])["settings"]
    results = read_results(*TABLES, levels=settings["levels"], reference=settings["reference"])
    text = page(results, controls(read_study(Path("params.yaml")).models))
    Path(target).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
