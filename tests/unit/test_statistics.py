import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import t as student

from workflow_scripts.lib.results.statistics import FEWEST, bands, intervals

SETTINGS = {"confidence": 0.95, "resamples": 2000, "seed": 3}
noise = np.random.default_rng(0).normal


def by_loops(values, confidence, resamples, seed):
    """Bootstrap-t of one row, a resample at a time."""
    draws, mean = len(values), np.mean(values)
    drawn = np.random.default_rng([seed, draws]).integers(draws, size=(resamples, draws))
    t = [(np.mean(values[some]) - mean) / (np.std(values[some], ddof=1) / np.sqrt(draws)) for some in drawn]
    error = np.std(values, ddof=1) / np.sqrt(draws)
    low, high = np.quantile(t, [(1 - confidence) / 2, (1 + confidence) / 2])
    return mean - high * error, mean - low * error, np.quantile(np.abs(t), confidence) * error


def test_the_interval_of_two_draws_by_hand():
    # Mean 1, standard error 1; Student's t with one degree of freedom leaves 5 % outside 12.706.
    two = intervals(np.array([[0.0, 2.0]]), **SETTINGS)
    assert (two.mean[0], two.draws[0]) == (1.0, 2)
    assert (two.low[0], two.high[0]) == pytest.approx((1 - 12.7062, 1 + 12.7062), abs=1e-4)


def test_the_interval_of_many_draws_is_bootstrap_t():
    values = np.random.default_rng(1).exponential(size=12)
    low, high, half = by_loops(values, **SETTINGS)
    found = intervals(values[None], **SETTINGS)
    assert (found.low[0], found.high[0]) == pytest.approx((low, high), rel=1e-9)
    assert found.high[0] - found.mean[0] != pytest.approx(found.mean[0] - found.low[0], rel=0.05)
    band = bands(values[None, None], **SETTINGS)
    assert (band.low[0, 0], band.high[0, 0]) == pytest.approx((values.mean() - half, values.mean() + half), rel=1e-9)


def test_few_draws_have_students_interval():
    values = noise(size=FEWEST - 1)
    half = student.isf(0.025, FEWEST - 2) * values.std(ddof=1) / np.sqrt(FEWEST - 1)
    found = intervals(values[None], **SETTINGS)
    assert (found.low[0], found.high[0]) == pytest.approx((values.mean() - half, values.mean() + half))


def test_so_do_draws_that_are_nearly_all_equal():
    # A third of all resamples of these has no spread, so that nothing is known of the tails.
    values = np.array([0.99, 0.98, *[0.99] * 8])
    half = student.isf(0.025, 9) * values.std(ddof=1) / np.sqrt(10)
    found = intervals(values[None], **SETTINGS)
    assert (found.low[0], found.high[0]) == pytest.approx((values.mean() - half, values.mean() + half))


@pytest.mark.parametrize("swapped", [1, 2, 3])
def test_so_do_draws_that_fall_into_two_groups(swapped):
    """As those of two labels permuted do: identity, and swap. Resamples of one group have hardly any spread."""
    values = np.where(np.arange(10) < swapped, 0.3, 0.9) + 0.004 * np.random.default_rng(0).normal(size=10)
    half = student.isf(0.025, 9) * values.std(ddof=1) / np.sqrt(10)
    found = intervals(values[None], **SETTINGS)
    assert (found.low[0], found.high[0]) == pytest.approx((values.mean() - half, values.mean() + half))
    low, high, _ = by_loops(values, **SETTINGS)
    assert high - low > 3 * (found.high[0] - found.low[0]), "bootstrap-t's own would be absurd"
    band = bands(values[None, None], **SETTINGS)
    assert band.high[0, 0] == pytest.approx(found.high[0])


def test_groups_that_resamples_mix_keep_bootstrap_t():
    values = np.repeat([0.3, 0.9], 15) + 0.004 * np.random.default_rng(0).normal(size=30)
    low, high, _ = by_loops(values, **SETTINGS)
    found = intervals(values[None], **SETTINGS)
    assert (found.low[0], found.high[0]) == pytest.approx((low, high), rel=1e-9)


def test_one_draw_has_a_mean_and_no_interval():
    found = intervals(np.array([[0.5], [0.7]]), **SETTINGS)
    assert found.mean.tolist() == [0.5, 0.7]
    assert np.isnan([found.low, found.high]).all()
    assert np.isnan(bands(np.array([[[0.5], [0.7]]]), **SETTINGS)).all()


def test_equal_draws_have_an_interval_and_a_band_of_no_width():
    found = intervals(np.full((2, 10), 0.3), **SETTINGS)
    assert [found.low, found.high] == [pytest.approx([0.3, 0.3])] * 2
    assert bands(np.full((1, 2, 10), 0.3), **SETTINGS).low == pytest.approx(np.full((1, 2), 0.3))


def test_draws_without_a_value_are_left_out_and_counted():
    values = noise(size=(1, 11))
    holed = np.insert(values, [2, 7], np.nan, axis=1)
    nothing = np.full((1, 13), np.nan)
    found = intervals(np.concatenate([holed, nothing]), **SETTINGS)
    whole = intervals(values, **SETTINGS)
    assert found.draws.tolist() == [11, 0]
    assert (found.mean[0], found.low[0], found.high[0]) == (whole.mean[0], whole.low[0], whole.high[0])
    assert np.isnan([found.mean[1], found.low[1], found.high[1]]).all()


def test_rows_share_the_resampled_draws_and_do_not_disturb_each_other():
    values = noise(size=(700, 9))
    together = intervals(values, **SETTINGS)
    order = np.random.default_rng(3).permutation(700)
    shuffled = intervals(values[order], **SETTINGS)
    assert together.low[order] == pytest.approx(shuffled.low, abs=1e-12)
    assert intervals(values[5:6], **SETTINGS).high == pytest.approx(together.high[5:6], abs=1e-12)


@given(st.integers(0, 1000), st.floats(0.01, 100), st.floats(-10, 10))
def test_intervals_and_bands_move_with_the_values(seed, scale, shift):
    values = np.random.default_rng(seed).normal(size=(2, 3, 9))
    settings = SETTINGS | {"resamples": 100}
    for make, some in ((intervals, values[0]), (bands, values)):
        one, moved = make(some, **settings), make(scale * some + shift, **settings)
        assert moved.low == pytest.approx(scale * one.low + shift, rel=1e-6, abs=1e-6)
        assert moved.high == pytest.approx(scale * one.high + shift, rel=1e-6, abs=1e-6)


def test_the_seed_decides():
    values = noise(size=(1, 9))
    one, same, other = (intervals(values, **{**SETTINGS, "seed": seed}).low[0] for seed in (1, 1, 2))
    assert one == same != other


def test_a_band_of_few_draws_is_students_corrected_for_its_points():
    values = noise(size=(1, 4, 5))
    half = student.isf(0.05 / 8, 4) * values.std(axis=-1, ddof=1) / np.sqrt(5)
    found = bands(values, **SETTINGS)
    assert found.high == pytest.approx(values.mean(axis=-1) + half)
    assert found.low == pytest.approx(values.mean(axis=-1) - half)


def test_a_band_is_as_wide_as_the_points_that_vary_need():
    values = noise(size=(1, 1, 10))
    alone = bands(values, **SETTINGS)
    still = np.concatenate([np.full((1, 1, 10), 1.0), values, np.full((1, 1, 10), np.nan), 2 * values], axis=1)
    found = bands(still, **SETTINGS)
    assert found.low[0, 0] == found.high[0, 0] == 1.0
    assert np.isnan([found.low[0, 2], found.high[0, 2]]).all()
    # A curve whose points go up and down together needs no wider band than one of them.
    assert (found.low[0, 1], found.high[0, 3]) == pytest.approx((alone.low[0, 0], 2 * alone.high[0, 0]))
    apart = bands(noise(size=(1, 9, 10)), **SETTINGS)
    single = bands(noise(size=(1, 1, 10)), **SETTINGS)
    assert np.ptp(apart, axis=0).mean() > 1.2 * np.ptp(single, axis=0).mean()


def test_a_band_whose_points_lack_different_draws_is_students():
    values = noise(size=(1, 2, 10))
    values[0, 0, 3] = np.nan
    found = bands(values, **SETTINGS)
    errors = [np.nanstd(row, ddof=1) / np.sqrt(np.isfinite(row).sum()) for row in values[0]]
    halves = [student.isf(0.0125, freedom) * error for freedom, error in zip((8, 9), errors, strict=True)]
    assert (found.high - found.low)[0] / 2 == pytest.approx(halves)
    values[0, 1, 3] = np.nan
    same = bands(values, **SETTINGS)
    assert same.low == pytest.approx(bands(np.delete(values, 3, axis=2), **SETTINGS).low)


@pytest.mark.parametrize(("make", "shape"), [(intervals, r"\(rows, draws\)"), (bands, r"\(curves, points, draws\)")])
def test_an_array_of_the_right_shape_is_required(make, shape):
    with pytest.raises(ValueError, match=shape):
        make(np.zeros(3), **SETTINGS)
