"""docs/findings.md: every claim with what the study shows of it, from its artifacts.

`python -m workflow_scripts.lib.report.claims_page TARGET`, from the project's root, after a run.
"""

import sys
from collections.abc import Mapping
from pathlib import Path

from workflow_scripts.lib.artifacts.tables import read_origin
from workflow_scripts.lib.models.sources import controls
from workflow_scripts.lib.report.claims import Told, told
from workflow_scripts.lib.report.wording import begun
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
    claim, texts = one.claim, dict.fromkeys(seen.numbers for _, seen in one.by_case)
    lines = [f"## {claim.about}", "", f"{WHOSE[claim.whose]}: {claim.says}.".replace("?.", "?"), ""]
    lines += [f"**{one.outcome}.**"]
    if len(texts) == 1:
        lines[-1] += f" {begun(next(iter(texts)))}."
    else:
        lines += ["", *(f"- {case} ({seen.verdict}): {seen.numbers}." for case, seen in one.by_case)]
    return "\n".join([*lines, "", f"In the report: {claim.where}.", ""])


def main(target: str) -> None:
    """Write the page of the study that was made here."""
    settings = read_origin(TABLES[0])["settings"]
    results = read_results(*TABLES, levels=settings["levels"], reference=settings["reference"])
    text = page(results, controls(read_study(Path("params.yaml")).models))
    Path(target).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
