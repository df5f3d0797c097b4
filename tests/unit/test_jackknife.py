import numpy as np
import pytest
from scipy.stats import t as student

from workflow_scripts.lib.results.jackknife import jackknife


def test_of_a_mean_it_is_students_interval():
    values = np.random.default_rng(0).normal(size=(3, 8))
    without = (values.sum(axis=1, keepdims=True) - values) / 7
    low, high = jackknife(values.mean(axis=1), without, confidence=0.9)
    half = student.isf(0.05, 7) * values.std(axis=1, ddof=1) / np.sqrt(8)
    assert low == pytest.approx(values.mean(axis=1) - half)
    assert high == pytest.approx(values.mean(axis=1) + half)


def test_two_draws_by_hand():
    # Pseudo-values 2 x 5 - 4 = 6 and 2 x 5 - 8 = 2: standard error 2, and 12.706 of them on both sides.
    low, high = jackknife(5.0, [4.0, 8.0], confidence=0.95)
    assert (low, high) == pytest.approx((5 - 2 * 12.7062, 5 + 2 * 12.7062), abs=1e-3)


def test_what_fails_without_a_draw_has_no_interval():
    assert np.isnan(jackknife(5.0, [4.0, np.nan, 6.0], confidence=0.95)).all()
    assert np.isnan(jackknife(5.0, [4.0], confidence=0.95)).all()
