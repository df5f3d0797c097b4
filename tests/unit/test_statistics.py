import numpy as np
import pytest
from scipy.stats import bootstrap

from workflow_scripts.lib.statistics import cluster_bootstrap

SETTINGS = {"confidence": 0.95, "resamples": 2000, "seed": 3}


def test_interval_of_two_draws_by_hand():
    # The resampled mean is 0, 1 or 2 with probability 1/4, 1/2, 1/4.
    wide = cluster_bootstrap(np.array([[0.0, 2.0]]), **SETTINGS)
    assert (wide.mean[0], wide.low[0], wide.high[0], wide.draws[0]) == (1.0, 0.0, 2.0, 2)
    narrow = cluster_bootstrap(np.array([[0.0, 2.0]]), **{**SETTINGS, "confidence": 0.4})
    assert (narrow.low[0], narrow.high[0]) == (1.0, 1.0)


@pytest.mark.parametrize("method", ["percentile", "basic"])
def test_interval_is_scipys(method):
    values = np.random.default_rng(0).normal(size=10)
    rng = np.random.default_rng([3, 10])
    expected = bootstrap((values,), np.mean, n_resamples=2000, method=method, rng=rng).confidence_interval
    ours = cluster_bootstrap(values[None], method=method, **SETTINGS)
    assert (ours.low[0], ours.high[0]) == pytest.approx(tuple(expected))


def test_default_is_the_percentile_interval():
    values = np.random.default_rng(1).exponential(size=(1, 6))
    default, named = (cluster_bootstrap(values, **SETTINGS, **m) for m in ({}, {"method": "percentile"}))
    assert (default.low[0], default.high[0]) == (named.low[0], named.high[0])
    assert default.low[0] != cluster_bootstrap(values, method="basic", **SETTINGS).low[0]


def test_one_draw_has_a_mean_and_no_interval():
    result = cluster_bootstrap(np.array([[0.5], [0.7]]), **SETTINGS)
    assert result.mean.tolist() == [0.5, 0.7]
    assert np.isnan(result.low).all()
    assert np.isnan(result.high).all()


def test_draws_without_a_value_are_left_out_and_counted():
    values = np.array([[1.0, np.nan, 3.0], [np.nan, np.nan, np.nan], [1.0, 2.0, 6.0]])
    result = cluster_bootstrap(values, **SETTINGS)
    assert result.draws.tolist() == [2, 0, 3]
    assert result.mean.tolist()[::2] == [2.0, 3.0]
    assert np.isnan([result.mean[1], result.low[1], result.high[1]]).all()
    assert (result.low[0], result.high[0]) == (1.0, 3.0)


def test_rows_share_the_resampled_draws_and_do_not_disturb_each_other():
    values = np.random.default_rng(2).normal(size=(150, 5))
    together = cluster_bootstrap(values, **SETTINGS)
    order = np.random.default_rng(3).permutation(150)
    shuffled = cluster_bootstrap(values[order], **SETTINGS)
    assert together.low[order].tolist() == shuffled.low.tolist()
    assert together.high[order].tolist() == shuffled.high.tolist()
    shifted = cluster_bootstrap(values + 1, **SETTINGS)
    assert shifted.low == pytest.approx(together.low + 1)


def test_the_seed_decides():
    values = np.random.default_rng(4).normal(size=(1, 8))
    one, same, other = (cluster_bootstrap(values, **{**SETTINGS, "seed": seed}).low[0] for seed in (1, 1, 2))
    assert one == same != other


def test_a_row_of_draws_is_required():
    with pytest.raises(ValueError, match=r"\(rows, draws\)"):
        cluster_bootstrap(np.zeros(3), **SETTINGS)
