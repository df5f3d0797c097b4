"""Numbers and enumerations as the report writes them."""

from collections.abc import Sequence

from workflow_scripts.lib.results import Estimate

NOTHING = "\N{EN DASH}"


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


def interval(estimate: Estimate, digits: int = 3) -> str:
    """`low to high`, or nothing where there is no interval."""
    if estimate.low is None or estimate.high is None:
        return ""
    return f"{number(estimate.low, digits)} to {number(estimate.high, digits)}"


def with_interval(estimate: Estimate) -> str:
    """A mean and, in brackets, its interval."""
    ends = interval(estimate, 2)
    return number(estimate.mean, 2) + (f" [{ends}]" if ends else "")


def listed(parts: Sequence[str]) -> str:
    """`a, b and c`."""
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)
