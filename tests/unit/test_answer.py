import re

import pytest

from tests.synthetic_estimates import ALIKE, APART, COSINES, OF_TASK, Made, results_of
from workflow_scripts.lib.arms import ANCHOR, ICL, IT
from workflow_scripts.lib.measures import HEADLINE, SIMILARITIES
from workflow_scripts.lib.measures.contrasts import CONTRASTS, OTHER_DRAW, OWN, OWN_DEMONSTRATION_EFFECT
from workflow_scripts.lib.measures.parts import SET
from workflow_scripts.lib.report.answer import answer

THESE = "ICL moves states as tuning on its own demonstrations does"
TASK = "ICL moves states as tuning on the task does"
NOT_SHOWN = "that it is these demonstrations is not shown"
NEITHER = "No direction that ICL and tuning share is shown"
EITHER = "share a direction, which is not shown to be the task's"
MINUS = "\N{MINUS SIGN}"


def told(*cases, controls=None):
    """The verdict, and all that is said."""
    found = answer(results_of(*cases), controls or {})
    points = [f"{point.about}: {point.text}" for paragraph in found.paragraphs for point in paragraph.points]
    return found.verdict, "\n".join([found.summary, found.made_of, *points])


def claims(text):
    return [claim for claim in (THESE, TASK, NEITHER, EITHER) if claim in text]


@pytest.mark.parametrize(
    ("values", "verdict", "said"),
    [
        (ALIKE, "Yes.", THESE),
        (OF_TASK, "Like tuning on the task, not shown for its demonstrations.", TASK),
        (APART, "Not shown.", NEITHER),
        ({"own": 0.5, "other_draw": 0.6}, "Like tuning on the task, not shown for its demonstrations.", TASK),
        ({"own": 0.03, "other_draw": 0.02}, "Not shown.", EITHER),
        ({"own": -0.3, "other_draw": -0.3}, "Not shown.", "the two point in opposed ways"),
    ],
)
def test_the_answer_is_what_the_intervals_allow(values, verdict, said):
    found, text = told(Made(**values))
    assert found == verdict
    assert said in text
    assert len(claims(text)) == 1


def at_level(made, level, mean, low, high):
    """Change the own-demonstration effect of a level at the last layer."""
    for row in made.similarity:
        place = (row["measure"], row["match"], row["level"], row["one"], row["other"], row["layer"])
        if place == (HEADLINE.name, OWN_DEMONSTRATION_EFFECT.name, level, ICL.name, IT.name, 4):
            row |= {"mean": mean, "low": low, "high": high, "p": 0.002}
    return made


def test_levels_where_sets_say_something_of_their_own_are_named_beside_the_untrained_control():
    case = at_level(Made(**OF_TASK), "1", 0.2, 0.1, 0.3)
    untrained = at_level(Made(model="raw", **OF_TASK), "1", 0.05, -0.01, 0.11)
    text = told(case, untrained, controls={"raw": "pocket"})[1]
    effect = (
        f"shots 1 (0.200 [0.100 to 0.300], p = 0.002, 40 % of the similarity; untrained 0.050 [{MINUS}0.010 to 0.110])"
    )
    assert f"At other levels the own-demonstration effect is above zero: {effect}." in text
    assert "At other levels" not in told(at_level(Made(**OF_TASK), "1", 0.2, -0.1, 0.3))[1]


@pytest.mark.parametrize(
    ("other_draw", "effect"),
    [
        (0.49, f"0.010 [{MINUS}0.010 to 0.030], p = 0.004, includes zero"),
        (0.6, f"{MINUS}0.100 [{MINUS}0.120 to {MINUS}0.080], p = 0.004, is below zero"),
    ],
)
def test_what_is_not_shown_is_said_with_its_interval(other_draw, effect):
    text = told(Made(own=0.5, other_draw=other_draw))[1]
    assert f"{NOT_SHOWN}: the own-demonstration effect, {effect}" in text
    assert "its own demonstrations" not in text


def test_an_effect_that_is_shown_is_told_against_the_similarity_itself():
    text = told(Made(own=0.6, other_draw=0.54))[1]
    assert "the own-demonstration effect is 0.060 [0.040 to 0.080], p = 0.004, which is 10 % of the similarity" in text
    assert "this own-demonstration effect is 10 % of the update cosine" in text


def test_no_sentence_goes_further_than_a_wide_interval():
    text = told(Made(**ALIKE, spread=0.7))[1]
    assert NEITHER in text
    assert "their update cosine includes zero" in text
    assert "%" not in text
    assert claims(text) == [NEITHER]
    assert "above both" not in text
    assert "Neither arm answers better or worse than the anchor" in text


def test_one_draw_shows_nothing():
    verdict, text = told(Made(**ALIKE, draws=1))
    assert verdict == "Not measured."
    assert "One draw has no other draw beside it" in text
    assert "One draw does not tell the parts of the update similarity apart" in text
    assert claims(text) == []


@pytest.mark.parametrize(
    "left_out",
    [
        {"measures": [HEADLINE.name]},
        {"matches": [OTHER_DRAW.name, OWN_DEMONSTRATION_EFFECT.name]},
        {"measures": [measure.name for measure in SIMILARITIES]},
    ],
)
def test_without_what_the_answer_needs_there_is_none(left_out):
    verdict, text = told(Made(**ALIKE).without(**left_out))
    assert verdict == "Not measured."
    assert "the study does not have what the answer needs" in text
    assert claims(text) == []


def test_the_answer_starts_from_the_parts():
    text = told(Made(own=0.6, other_draw=0.5, other_query=0.4))[1]
    assert "Of the pooled update cosine of ICL-IT at the last layer, 60 % is what any set of the task" in text
    assert (
        "The pooled update cosine of ICL-IT is 0.60 [0.58 to 0.62]: 0.36 [0.34 to 0.38] (60 %) is what any set" in text
    )
    for share in ("(23 %) is what any set does to", "(4 %) is what this set does to any", "(12 %) is what this set"):
        assert share in text


def test_no_share_is_told_of_a_similarity_that_is_not_above_zero():
    text = told(Made(**APART))[1]
    assert f"0.00 [{MINUS}0.02 to 0.02] is what any set of the task does to any query" in text
    assert "%" not in text


def test_several_cases_are_counted():
    cases = [Made(**ALIKE), Made(dataset="topics", **OF_TASK), Made(dataset="moods", **OF_TASK)]
    verdict, text = told(*cases)
    assert verdict == "In part."
    assert f"In 1 of 3 cases {THESE}" in text
    assert f"in 2 of 3 cases {TASK}, and {NOT_SHOWN}" in text
    every = told(Made(**ALIKE), Made(dataset="topics", **ALIKE))
    assert every[0] == "Yes."
    assert f"In all 2 cases {THESE}" in every[1]


def test_a_similarity_never_stands_without_its_controls():
    values = {"own": 0.71, "other_draw": 0.52, "other_query": 0.23}
    text = told(Made(**values, cosines={**COSINES, (ICL.name, IT.name): 0.84}))[1]
    controls = [f"; {contrast.heading} " for contrast in CONTRASTS[1:]]
    for own in (f"{OWN.heading} 0.71", f"{OWN.heading} 0.84"):
        (told_with,) = re.findall(rf"{own}[^()]*?(?=margin|\. ICL)", text)
        assert [control for control in controls if control not in told_with] == []
    # Whatever else is a similarity is the pooled one, whose parts follow, and nothing else.
    assert len(re.findall(r"0\.71|0\.84", text)) == 3


def test_parts_that_are_its_sets_own_are_told_against_the_conclusion():
    made = Made(**OF_TASK)
    for row in made.parts:
        if row["part"] == SET:
            row.update(contribution=0.1, contribution_low=0.05, contribution_high=0.15)
    text = told(made)[1]
    assert claims(text) == [TASK]
    assert "Yet in the pooled one, what this set does to any query is above zero" in text
    assert "Yet" not in told(Made(**OF_TASK))[1] + told(Made(**ALIKE))[1]


def test_the_papers_pattern_is_told_beside():
    cosines = {(ANCHOR.name, ICL.name): 0.9, (ANCHOR.name, IT.name): 0.3, (ICL.name, IT.name): 0.8}
    above = told(Made(**OF_TASK))[1]
    below = told(Made(**OF_TASK, cosines=cosines))[1]
    assert "ICL-IT similarity is above both anchor similarities on reviews" in above
    assert "ICL-IT similarity is below the larger anchor similarity on reviews" in below
    assert "margin 0.400 [0.380 to 0.420], p = 0.002; own-demonstration effect 0.000" in above


def test_what_noise_would_give_shows_nothing():
    verdict, text = told(Made(**ALIKE, noise=1.0))
    assert verdict == "Not shown."
    assert "what they have in common is no more than noise would give" in text
    assert THESE not in text


def test_a_control_that_does_as_well_takes_the_answer_away():
    cases = [Made(**ALIKE), Made("raw", **ALIKE)]
    as_model = told(*cases)
    as_control = told(*cases, controls={"raw": "pocket"})
    assert as_model[0] == "Yes."
    assert as_control[0] == "No more than in an untrained model."
    assert "The trained model shows no more of it than its untrained control" in as_control[1]
    assert "it does not show anything that training brought about" in as_control[1]


def test_a_control_is_mentioned_only_where_there_is_one():
    alone = told(Made(**ALIKE), controls={"raw": "pocket"})[1]
    both = told(Made(**ALIKE), Made("raw", **APART), controls={"raw": "pocket"})[1]
    assert "untrained" not in alone
    assert "control" not in alone
    assert "raw has the same architecture and no training" in both
    assert (
        "own-demonstration effect is larger than the control's on reviews (0.100 [0.080 to 0.120] against 0.000" in both
    )
    assert "The trained model shows more of it than its untrained control" in both


def test_a_control_on_some_data_sets_is_compared_there():
    cases = [Made(**ALIKE), Made(dataset="topics", **OF_TASK), Made(dataset="moods", **OF_TASK)]
    some = [Made("raw", **APART), Made("raw", "topics", **OF_TASK)]
    verdict, text = told(*cases, *some, controls={"raw": "pocket"})
    assert verdict == "In part."
    assert told(*cases, Made("raw", **ALIKE), controls={"raw": "pocket"})[0].startswith("Like tuning on the task")
    assert "In 1 of the 2 that have an untrained control, the trained model shows more of it than the control" in text


def test_arms_that_answer_no_better_are_said_to():
    assert "ICL answers better than the anchor on reviews" in told(Made(accuracies=(0.5, 0.9, 0.5)))[1]
    text = told(Made(accuracies=(0.5, 0.9, 0.2)))[1]
    assert "ICL answers better and IT answers worse than the anchor on reviews" in text
    assert "Without intervals no arm is said to answer better or worse" in told(Made(draws=1))[1]


def test_what_its_test_leaves_to_chance_is_not_claimed():
    case = Made(**ALIKE)
    for row in case.similarity:
        row |= {"p": 0.064} if row["match"] == OWN_DEMONSTRATION_EFFECT.name else {}
    verdict, text = told(case)
    assert verdict == "Like tuning on the task, not shown for its demonstrations."
    assert "p = 0.064, is above zero by its interval and not by its test" in text
    assert claims(text) == [TASK]


def test_an_untrained_model_without_a_trained_twin_is_no_case_of_its_own():
    text = told(Made(**OF_TASK), Made(model="raw", **ALIKE), controls={"raw": None})[1]
    assert "the one case studied" in text
    assert "untrained" not in text
    assert len(answer(results_of(Made(**OF_TASK), Made(model="raw", **ALIKE)), {"raw": None}).paragraphs) == 1
    found = answer(results_of(Made(model="raw", **ALIKE)), {"raw": None})
    assert [paragraph.heading for paragraph in found.paragraphs] == ["raw (untrained)"]


def test_levels_below_zero_are_named_too():
    text = told(at_level(Made(**OF_TASK), "1", -0.2, -0.3, -0.1))[1]
    assert f"At other levels the own-demonstration effect is below zero: shots 1 ({MINUS}0.200" in text


def test_adapters_that_did_not_move_or_learn_are_named():
    assert "Some did not move, or their loss did not fall (2 on reviews)." in told(Made(still=2))[1]
    assert "did not move" not in told(Made())[1]


@pytest.mark.parametrize(
    ("draws", "said"),
    [
        (1, "This study is without another draw's set, an untrained model and intervals, with one draw."),
        (2, "no test can tell a difference from chance: its p is at least 0.500, whatever is found"),
        (5, "With 5 draws no test can tell a difference from chance: its p is at least 0.062"),
    ],
)
def test_too_few_draws_for_a_test_are_said(draws, said):
    assert said in lacking(draws)
    assert ("That takes 6 draws." in lacking(draws)) == (draws > 1)


def test_draws_that_allow_a_test_are_no_lack():
    assert lacking(6) == lacking(10) == "This study is without an untrained model."


def lacking(draws):
    return answer(results_of(Made(**OF_TASK, draws=draws)), {}).lacks
