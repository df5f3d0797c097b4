"""Tests of paired differences, and their correction for many. Imports nothing of ours."""

from itertools import count, product

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

ALPHA = 0.05  # what p, corrected for the tests of a family, is at most where a difference counts
EXACT = 12  # draws up to which every choice of signs is tried
FLIPS = 10_000  # choices of signs that are drawn with more
NUMBERS_AT_ONCE = 1 << 20  # bounds the flipped means held at a time
ROUNDING = 1e-12  # by which sums of equal numbers in another order may differ, against the sum of their sizes


def sign_flip(values: Floats, *, seed: int) -> Floats:
    """Two-sided p of "the differences are symmetric about zero": (rows, draws) -> (rows,).

    Share of choices of signs whose mean is as far from zero as that of the differences themselves (Fisher's test). All
    choices with up to `EXACT` draws; with more, `FLIPS` of them and the differences' own, which keeps p above zero
    (Phipson and Smyth 2010). NaN marks a draw without a difference. With fewer than two draws p is NaN.
    """
    if values.ndim != 2:
        raise ValueError(f"values must be (rows, draws), and are {values.shape}")
    present = ~np.isnan(values)
    differences = np.where(present, values, 0)[:, present.any(axis=0)]  # the sign of a zero changes no mean
    signs = _signs(differences.shape[1], seed)
    found = np.full(len(values), np.nan)
    step = max(1, NUMBERS_AT_ONCE // len(signs))
    for start in range(0, len(values), step):
        some = differences[start : start + step]
        flipped, own = np.abs(some @ signs.T), np.abs(some.sum(axis=1, keepdims=True))
        rounding = ROUNDING * np.abs(some).sum(axis=1, keepdims=True)
        found[start : start + step] = (flipped >= own - rounding).mean(axis=1)
    return np.where(present.sum(axis=1) > 1, found, np.nan)


def _signs(draws: int, seed: int) -> Floats:
    """Choices of signs (choices, draws), the first of them all plus; of two that are each other's opposite, one."""
    if draws <= EXACT:
        rest = np.array([*product((1.0, -1.0), repeat=max(draws - 1, 0))])
        return np.concatenate([np.ones((len(rest), min(draws, 1))), rest.reshape(len(rest), -1)], axis=1)
    drawn = np.random.default_rng([seed, draws]).choice((1.0, -1.0), size=(FLIPS, draws))
    return np.concatenate([np.ones((1, draws)), drawn])


def least_p(draws: int, tests: int = 1) -> float:
    """The smallest p that so many draws can give, corrected for a family of so many tests: all differences of one sign.

    Where it is above `ALPHA` no difference can count, however large. `draws` is at least 2; of little more than `EXACT`
    it is so about, as choices of signs are drawn.
    """
    return min(tests * max(2.0 ** (1 - draws), 1 / (FLIPS + 1)), 1.0)


FEWEST_TESTED = next(draws for draws in count(2) if least_p(draws) <= ALPHA)  # draws that allow a test


def holm(p: Floats, families: NDArray[np.integer]) -> Floats:
    """Each test's p, corrected for all tests of its family: (tests,), (tests,) -> (tests,) (Holm 1979).

    `families` numbers the family of each test. The chance of any false finding in a family stays below what p is held
    against. A test whose p is NaN is none: it stays NaN and counts for nothing.
    """
    corrected = np.full(len(p), np.nan)
    tests = np.flatnonzero(~np.isnan(p))
    tests = tests[np.lexsort((p[tests], families[tests]))]
    for family in np.split(tests, np.flatnonzero(np.diff(families[tests])) + 1):
        factors = np.arange(len(family), 0, -1)
        corrected[family] = np.minimum(np.maximum.accumulate(factors * p[family]), 1)
    return corrected
