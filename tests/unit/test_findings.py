from itertools import product

import pytest

from workflow_scripts.lib.report.findings import apart, beyond_zero, outcome_of, part_of_whole, side
from workflow_scripts.lib.results.estimates import ABSENT, Estimate, Part
from workflow_scripts.lib.results.permutation import least_p

ABOVE, BELOW, UNCLEAR = Estimate(0.2, 0.1, 0.3, p=0.01), Estimate(-0.2, -0.3, -0.1, p=0.01), Estimate(0.2, -0.1, 0.5)
UNTESTED = Estimate(0.2, 0.1, 0.3, p=least_p(5))
ALL = (ABOVE, BELOW, UNCLEAR, Estimate(0.2), UNTESTED)


@pytest.mark.parametrize(
    ("estimate", "expected"),
    [
        (ABOVE, "above"),
        (BELOW, "below"),
        (UNCLEAR, "unclear"),
        (Estimate(-0.2, -0.5, 0.1), "unclear"),
        (Estimate(0.2, 0.0, 0.4), "unclear"),
        (Estimate(0.2), "unclear"),
        (ABSENT, "unmeasured"),
    ],
)
def test_a_side_is_taken_only_by_a_whole_interval(estimate, expected):
    assert side(estimate) == expected


@pytest.mark.parametrize(
    ("estimate", "expected"),
    [
        (ABOVE, "above"),
        (BELOW, "below"),
        (UNTESTED, "unclear"),
        (Estimate(0.2, 0.1, 0.3), "unclear"),
        (ABSENT, "unmeasured"),
    ],
)
def test_a_difference_counts_by_its_interval_and_its_test(estimate, expected):
    assert beyond_zero(estimate) == expected


def test_a_side_of_another_number():
    assert [side(ABOVE, of) for of in (0.05, 0.15, 0.35, None)] == ["above", "unclear", "below", "unmeasured"]


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        (Estimate(0.5, 0.4, 0.6), "above"),
        (Estimate(0.99, 0.95, 1.0), "below"),
        (Estimate(0.7, 0.6, 0.85), "unclear"),
        (Estimate(0.95, 0.85, 1.0), "unclear"),
        (ABSENT, "unmeasured"),
    ],
)
def test_intervals_are_apart_only_without_overlap(other, expected):
    assert apart(Estimate(0.8, 0.7, 0.9), other) == expected


def test_without_an_interval_nothing_is_apart():
    assert apart(Estimate(0.9), Estimate(0.1, 0.0, 0.2)) == "unclear"
    assert apart(Estimate(0.9, 0.8, 1.0), Estimate(0.1)) == "unclear"


@pytest.mark.parametrize(
    ("own", "other_draw", "effect", "expected"),
    [
        (ABOVE, ABOVE, ABOVE, "demonstrations"),
        (ABOVE, UNCLEAR, ABOVE, "demonstrations"),
        (ABOVE, ABOVE, UNCLEAR, "task"),
        (ABOVE, ABOVE, BELOW, "task"),
        (ABOVE, ABOVE, UNTESTED, "task"),
        (ABOVE, ABOVE, Estimate(0.2, 0.1, 0.3, p=0.01, p_holm=0.06), "task"),
        (ABOVE, UNCLEAR, UNCLEAR, "shared"),
        (UNCLEAR, UNCLEAR, UNCLEAR, "neither"),
        (BELOW, BELOW, ABOVE, "neither"),
        (ABOVE, ABSENT, ABSENT, "unmeasured"),
        (ABSENT, ABSENT, ABSENT, "unmeasured"),
    ],
)
def test_what_three_update_cosines_allow_to_say(own, other_draw, effect, expected):
    assert outcome_of(own, other_draw, effect, noise=False) == expected


@pytest.mark.parametrize(("own", "other_draw", "effect", "noise"), [*product(ALL, ALL, ALL, (False, True))])
def test_its_own_demonstrations_are_claimed_only_where_the_effect_is_above_zero(own, other_draw, effect, noise):
    outcome = outcome_of(own, other_draw, effect, noise=noise)
    assert (outcome == "demonstrations") == (own in (ABOVE, UNTESTED) and effect == ABOVE and not noise)
    assert outcome != "task" or (other_draw in (ABOVE, UNTESTED) and not noise)
    assert outcome != "shared" or own in (ABOVE, UNTESTED)


@pytest.mark.parametrize(
    ("part", "whole", "expected"),
    [(0.1, ABOVE, 0.5), (-0.1, ABOVE, -0.5), (0.1, UNCLEAR, None), (0.1, BELOW, None), (None, ABOVE, None)],
)
def test_a_share_is_one_of_a_similarity_above_zero(part, whole, expected):
    parts = {name: Part(one, ABSENT, ABSENT, ABSENT) for name, one in (("set", Estimate(part)), ("whole", whole))}
    assert part_of_whole(parts, "set") == expected
