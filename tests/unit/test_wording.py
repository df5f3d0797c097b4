from workflow_scripts.lib.report.wording import (
    begun,
    interval,
    listed,
    magnitude,
    number,
    p_value,
    percent,
    percents,
    with_interval,
)
from workflow_scripts.lib.results.estimates import Estimate

MINUS, DASH = "\N{MINUS SIGN}", "\N{EN DASH}"


def test_numbers_have_a_true_minus_and_no_negative_zero():
    assert [number(x, 2) for x in (0.126, -0.126, -0.001, None)] == ["0.13", f"{MINUS}0.13", "0.00", DASH]


def test_a_small_number_keeps_a_digit():
    assert [magnitude(x) for x in (0.0, 0.5, 3.2, 2.4e-6, None)] == ["0.00", "0.50", "3.20", f"2e{MINUS}6", DASH]


def test_fractions_are_hundredths():
    assert [percent(x) for x in (0.126, -0.034, -0.001, 1.2, None)] == ["13 %", f"{MINUS}3 %", "0 %", "120 %", DASH]


def test_several_fractions_are_told_from_the_smallest_to_the_largest():
    assert [percents(some) for some in ([0.5], [0.3, -0.02, 0.1], [0.101, 0.099])] == [
        "50 %",
        f"{MINUS}2 to 30 %",
        "10 %",
    ]


def test_a_p_is_never_zero():
    assert [p_value(p) for p in (0.0421, 0.001, 0.0009, 0.0, None)] == [
        "p = 0.042",
        "p = 0.001",
        "p < 0.001",
        "p < 0.001",
        "",
    ]
    assert p_value(0.2, "Holm p") == "Holm p = 0.200"


def test_an_interval_that_is_none_is_not_written():
    assert interval(Estimate(0.5)) == ""
    assert with_interval(Estimate(0.5)) == "0.50"
    assert with_interval(Estimate(0.5, 0.25, 0.75)) == "0.50 [0.25 to 0.75]"


def test_enumerations_and_beginnings():
    assert [listed(["a", "b", "c"][:n]) for n in (1, 2, 3)] == ["a", "a and b", "a, b and c"]
    assert [begun(text) for text in ("ab Cd", "ICL", "")] == ["Ab Cd", "ICL", ""]
