"""What others found or asked, against hand-made estimates whose answer is known."""

import re
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.synthetic_estimates import ALIKE, OF_TASK, Made, results_of
from workflow_scripts.lib.arms import ANCHOR, ICL, IT
from workflow_scripts.lib.patching.measures import ACCURACY as PATCHED_ACCURACY
from workflow_scripts.lib.patching.measures import LOG_PROB
from workflow_scripts.lib.report.claims import CLAIMS, FIRST, told
from workflow_scripts.lib.report.claims_page import PREFACE, page
from workflow_scripts.lib.report.says import says
from workflow_scripts.lib.report.sections import sections_of
from workflow_scripts.lib.report.seen import not_varied
from workflow_scripts.lib.study.factors import FACTORS
from workflow_scripts.lib.study.grid import BY_QUERY

ROOT = Path(__file__).parents[2]
NEAR = {(ANCHOR.name, ICL.name): 0.9, (ANCHOR.name, IT.name): 0.9, (ICL.name, IT.name): 0.8}


def outcomes(*made, controls=None):
    return {one.claim.about: one.outcome for one in told(results_of(*made), controls or {})}


def test_every_claim_is_answered_for_every_case():
    made = Made(**ALIKE), Made(dataset="topics")
    for one in told(results_of(*made), {}):
        assert len(one.by_case) == 2
        assert all(seen.rows or seen.why for _, seen in one.by_case)
        assert one.outcome


def test_verdicts_follow_the_estimates():
    found = outcomes(Made(**ALIKE))
    assert found["Similarity"] == "Agrees"
    assert found["Its own demonstrations"] == "Agrees"
    assert found["Labels"] == "Disagrees"  # the hand-made effect of flipped labels is -.1, and .05 is little
    assert found["Shots"] == "Cannot tell"
    assert found["Layers"] == "Agrees"
    assert found["Size"] == "Cannot tell"
    assert {found[one] for one in ("Task", "Relevance", "Tuning path", "Other tokens")} == {"Not measured"}
    assert found["Other ways of tuning"] == "Shown"
    other = outcomes(Made(**OF_TASK, cosines=NEAR))
    assert other["Similarity"] == other["Its own demonstrations"] == "Disagrees"


def test_an_untrained_control_that_shows_as_much_speaks_for_the_claim():
    trained, control = Made(**OF_TASK), Made("raw", own=0.9, other_draw=0.9)
    assert outcomes(trained, control, controls={"raw": "pocket"})["Training"] == "Agrees"
    weak = Made("raw", own=0.1, other_draw=0.1, other_query=0.1)
    assert outcomes(trained, weak, controls={"raw": "pocket"})["Training"] == "Disagrees"
    assert outcomes(trained)["Training"] == "Not measured"


def test_cases_that_differ_are_counted():
    assert outcomes(Made(**ALIKE), Made(dataset="topics", **OF_TASK))["Its own demonstrations"] == (
        "Agrees in 1 of 2 and disagrees in 1 of 2"
    )


@pytest.mark.parametrize("draws", [1, 10])
def test_the_page_has_a_section_for_each_claim_and_none_is_empty(draws):
    text = page(results_of(Made(draws=draws), Made(dataset="topics", draws=draws)), {})
    sections = text.split("\n## ")[1:]
    assert [section.splitlines()[0] for section in sections] == [claim.about for claim in CLAIMS]
    assert all("**" in section and "In the report: " in section for section in sections)
    assert f"{not_varied(BY_QUERY).why}.".capitalize() in text
    assert "?." not in text
    assert "None" not in text


def test_the_report_has_the_sections_that_claims_point_to():
    everything = SimpleNamespace(factors=[factor.name for factor in FACTORS])
    headings = {one.heading for one in sections_of(everything)} | {FIRST}
    assert {place for claim in CLAIMS for place in claim.where} <= headings


def test_the_findings_that_are_written_down_are_of_these_claims():
    """Their numbers are the default study's; `make findings` writes them anew."""
    head, *sections = (ROOT / "docs" / "findings.md").read_text(encoding="utf-8").split("\n## ")
    assert head.strip() == PREFACE.strip()
    made = page(results_of(Made(), Made(dataset="topics")), {}).split("\n## ")[1:]
    for section, now in zip(sections, made, strict=True):
        assert section.split("\n**")[0] == now.split("\n**")[0]
        assert section.strip().splitlines()[-1] == now.strip().splitlines()[-1]
        assert re.search(r"^\*\*[A-Z].*\*\*", section, re.MULTILINE)


def test_a_figure_of_labels_and_of_texts_says_each_apart():
    keys = {"above": 0, "match": "own-state"}
    rows = [{**keys, "measure": PATCHED_ACCURACY.heading, "mean": 0.9}]
    alone = says("patched", rows)
    assert alone == "At the last layer the arm's state 0.90."
    rows.append({**keys, "measure": LOG_PROB.heading, "mean": -2.5})
    assert says("patched", rows) == (
        f"Accuracy, patched: {alone} Log-probability per token, patched: "
        "At the last layer the arm's state \N{MINUS SIGN}2.50."
    )
