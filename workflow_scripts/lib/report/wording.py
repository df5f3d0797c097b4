"""Numbers and enumerations as the report writes them."""

from collections.abc import Sequence

from workflow_scripts.lib.measures.parts import GENERAL, INTERACTION, QUERY, SET
from workflow_scripts.lib.results.estimates import Estimate

NOTHING = "\N{EN DASH}"
SMALLEST_P = 0.001
PART_SAYS = {
    GENERAL: "what any set of the task does to any query",
    QUERY: "what any set does to this query",
    SET: "what this set does to any query",
    INTERACTION: "what this set does to this query",
}

PART_SHORT = {
    GENERAL: "any set, any query",
    QUERY: "any set, this query",
    SET: "this set, any query",
    INTERACTION: "this set, this query",
}


def number(value: float | None, digits: int = 3) -> str:
    """A number with a true minus sign, or a dash where there is none."""
    if value is None:
        return NOTHING
    return f"{round(value, digits) + 0.0:.{digits}f}".replace("-", "\N{MINUS SIGN}")  # + 0.0 turns -0.0 into 0.0


def magnitude(value: float | None) -> str:
    """A number that may be very small: two decimals, or one digit and a power of ten."""
    if value is None:
        return NOTHING
    if value == 0 or value >= 0.01:
        return number(value, 2)
    digit, exponent = f"{value:.0e}".split("e")
    return f"{digit}e{int(exponent)}".replace("-", "\N{MINUS SIGN}")


def percent(fraction: float | None) -> str:
    """A fraction in whole hundredths."""
    return NOTHING if fraction is None else f"{number(100 * fraction, 0)} %"


def percents(fractions: Sequence[float]) -> str:
    """`5 %`, or `5 to 62 %` from the smallest to the largest of several."""
    ends = dict.fromkeys(number(100 * end, 0) for end in (min(fractions), max(fractions)))
    return f"{' to '.join(ends)} %"


def p_value(p: float | None, name: str = "p") -> str:
    """`p = 0.042`, or nothing where there is no test."""
    if p is None:
        return ""
    return f"{name} < {SMALLEST_P}" if p < SMALLEST_P else f"{name} = {number(p)}"


def interval(estimate: Estimate, digits: int = 3) -> str:
    """`low to high`, or nothing where there is no interval."""
    if estimate.low is None or estimate.high is None:
        return ""
    return f"{number(estimate.low, digits)} to {number(estimate.high, digits)}"


def digits_of(estimate: Estimate, fewest: int = 3, most: int = 5) -> int:
    """As many digits as show on which side of zero the ends of an interval are."""
    ends = [end for end in (estimate.low, estimate.high) if end]
    return next((d for d in range(fewest, most) if all(round(end, d) for end in ends)), most)


def with_interval(estimate: Estimate, digits: int = 2) -> str:
    """A mean and, in brackets, its interval."""
    ends = interval(estimate, digits)
    return number(estimate.mean, digits) + (f" [{ends}]" if ends else "")


def listed(parts: Sequence[str]) -> str:
    """`a, b and c`."""
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)


def begun(sentence: str) -> str:
    """A sentence with a capital at its beginning."""
    return sentence[:1].upper() + sentence[1:]
