from itertools import product

import numpy as np
import pytest
from scipy.stats import permutation_test

from workflow_scripts.lib.results.permutation import (
    ALPHA,
    EXACT,
    FEWEST_TESTED,
    FLIPS,
    holm,
    least_p,
    sign_flip,
)


def by_hand(differences):
    """Share of all choices of signs whose sum is as far from zero."""
    sums = [abs(np.dot(signs, differences)) for signs in product((1, -1), repeat=len(differences))]
    return np.mean([one >= abs(sum(differences)) - 1e-12 for one in sums])


@pytest.mark.parametrize(("differences", "p"), [([1, 1], 0.5), ([1, 2, 3], 0.25), ([1, -1], 1.0), ([0, 0, 0], 1.0)])
def test_few_differences_by_hand(differences, p):
    assert sign_flip(np.array([differences], dtype=float), seed=0)[0] == p
    assert by_hand(differences) == p


def test_up_to_twelve_draws_are_exact():
    rng = np.random.default_rng(0)
    for draws in (5, EXACT):
        values = np.round(rng.normal(0.3, 1, size=(20, draws)), 1)  # with ties
        assert sign_flip(values, seed=0) == pytest.approx([by_hand(row) for row in values])
        assert sign_flip(values, seed=0).tolist() == sign_flip(values, seed=1).tolist()


def test_more_draws_are_sampled_near_the_exact_p():
    values = np.random.default_rng(1).normal(0.4, 1, size=(3, 15))
    found = sign_flip(values, seed=0)
    for row, p in zip(values, found, strict=True):
        exact = permutation_test((row,), np.mean, permutation_type="samples", n_resamples=np.inf).pvalue
        assert p == pytest.approx(exact, abs=4 * np.sqrt(exact * (1 - exact) / FLIPS))
    assert found.tolist() == sign_flip(values, seed=0).tolist()


def test_p_is_never_zero():
    assert sign_flip(np.full((1, 30), 1.0), seed=0)[0] == 1 / (FLIPS + 1)
    assert sign_flip(np.full((1, 10), 1.0), seed=0)[0] == 2 / 2**10


@pytest.mark.parametrize("draws", [2, 5, 6, 8, EXACT, 30])
def test_the_least_p_is_that_of_differences_of_one_sign(draws):
    found = sign_flip(np.arange(1.0, draws + 1)[None], seed=0)
    assert found[0] == least_p(draws)
    assert holm(np.append(found, [1.0, 1.0]), np.zeros(3, int))[0] == least_p(draws, 3)


def test_fewer_draws_than_the_fewest_allow_no_test():
    assert [least_p(draws) <= ALPHA for draws in range(2, 9)] == [False] * 4 + [True] * 3
    assert FEWEST_TESTED == 6
    assert (least_p(6, 2), least_p(2, 3)) == (0.0625, 1.0), "tests of a family need more"


def test_missing_draws_are_left_out_and_one_draw_shows_nothing():
    holed = np.array([[1.0, np.nan, 2.0, 3.0], [5.0, np.nan, np.nan, np.nan], [np.nan] * 4])
    found = sign_flip(holed, seed=0)
    assert found[0] == 0.25
    assert np.isnan(found[1:]).all()


def test_without_a_difference_p_is_uniform():
    p = sign_flip(np.random.default_rng(2).exponential(size=(4000, 10)) * [[1, -1] * 5], seed=0)
    rejected = sign_flip(np.random.default_rng(2).normal(size=(4000, 10)), seed=0)
    assert (rejected <= 0.05).mean() == pytest.approx(0.05, abs=0.011)
    assert (p <= 0.05).mean() < 0.08  # skewed differences are no null of the test, and do it little harm


def test_holm_by_hand():
    # Sorted: .01 x 3, .03 x 2, .04 x 1, and never below the one before.
    assert holm(np.array([0.04, 0.01, 0.03]), np.zeros(3, int)) == pytest.approx([0.06, 0.03, 0.06])
    assert holm(np.array([0.5, 0.9]), np.zeros(2, int)).tolist() == [1.0, 1.0]


def test_families_are_corrected_apart_and_what_has_no_p_counts_for_nothing():
    p = np.array([0.01, 0.02, np.nan, 0.01, 0.03])
    found = holm(p, np.array([0, 1, 0, 1, 0]))
    assert found[[0, 1, 3, 4]] == pytest.approx([0.02, 0.02, 0.02, 0.03])
    assert np.isnan(found[2])
    assert holm(np.array([]), np.array([], int)).size == 0
