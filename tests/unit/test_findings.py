import pytest

from workflow_scripts.lib.report.findings import apart, side
from workflow_scripts.lib.results import ABSENT, Estimate


@pytest.mark.parametrize(
    ("estimate", "expected"),
    [
        (Estimate(0.2, 0.1, 0.3), "above"),
        (Estimate(-0.2, -0.3, -0.1), "below"),
        (Estimate(0.2, -0.1, 0.5), "unclear"),
        (Estimate(-0.2, -0.5, 0.1), "unclear"),
        (Estimate(0.2), "unclear"),
        (ABSENT, "unmeasured"),
    ],
)
def test_a_side_is_taken_only_by_a_whole_interval(estimate, expected):
    assert side(estimate) == expected


def test_a_side_of_another_number():
    assert [side(Estimate(0.2, 0.1, 0.3), of) for of in (0.05, 0.15, 0.35, None)] == [
        "above",
        "unclear",
        "below",
        "unmeasured",
    ]


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
