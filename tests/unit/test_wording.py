from workflow_scripts.lib.report.wording import interval, listed, magnitude, number, with_interval
from workflow_scripts.lib.results import Estimate


def test_numbers_have_a_true_minus_and_no_negative_zero():
    assert [number(x, 2) for x in (0.126, -0.126, -0.001, None)] == [
        "0.13",
        "\N{MINUS SIGN}0.13",
        "0.00",
        "\N{EN DASH}",
    ]


def test_a_small_number_keeps_a_digit():
    assert [magnitude(x) for x in (0.0, 0.5, 3.2, 2.4e-6, None)] == [
        "0.00",
        "0.50",
        "3.20",
        "2e\N{MINUS SIGN}6",
        "\N{EN DASH}",
    ]


def test_an_interval_that_is_none_is_not_written():
    assert interval(Estimate(0.5)) == ""
    assert with_interval(Estimate(0.5)) == "0.50"
    assert with_interval(Estimate(0.5, 0.25, 0.75)) == "0.50 [0.25 to 0.75]"


def test_enumerations():
    assert [listed(["a", "b", "c"][:n]) for n in (1, 2, 3)] == ["a", "a and b", "a, b and c"]
