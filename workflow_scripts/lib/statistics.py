"""Intervals over draws of demonstrations, the unit of replication. Imports nothing of ours."""

from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import bootstrap

ROWS_AT_ONCE = 64  # bounds the resampled values held at a time: rows x resamples x draws x 8 bytes


class Interval(NamedTuple):
    """Mean and interval of each row; NaN where the draws give none."""

    mean: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    draws: NDArray[np.int32]


def cluster_bootstrap(
    values: NDArray[np.float64],
    *,
    confidence: float,
    resamples: int,
    seed: int,
    method: Literal["percentile", "basic"] = "percentile",
) -> Interval:
    """Mean over draws and its bootstrap interval: values (rows, draws) -> four arrays (rows,).

    A value is a draw's mean over its queries, so that resampling draws resamples clusters of queries (Davison and
    Hinkley 1997, section 3.8, first strategy). NaN marks a draw without a value. All rows with the same number of
    draws share one set of resampled indices, hence a row's interval depends on no other row. One draw says nothing
    of the spread between draws: its interval is NaN.
    """
    if values.ndim != 2:
        raise ValueError(f"values must be (rows, draws), and are {values.shape}")
    present = ~np.isnan(values)
    draws = present.sum(axis=1).astype(np.int32)
    mean, low, high = (np.full(len(values), np.nan) for _ in range(3))
    for count in np.unique(draws[draws > 0]):
        rows = np.flatnonzero(draws == count)
        kept = values[rows][present[rows]].reshape(len(rows), count)
        mean[rows] = kept.mean(axis=1)
        if count > 1:
            low[rows], high[rows] = _interval(kept, confidence, resamples, seed, method)
    return Interval(mean, low, high, draws)


def _interval(
    values: NDArray[np.float64], confidence: float, resamples: int, seed: int, method: Literal["percentile", "basic"]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    bounds = []
    for start in range(0, len(values), ROWS_AT_ONCE):
        # scipy draws one set of indices a call, and the same set for the same seed and number of draws.
        result = bootstrap(
            (values[start : start + ROWS_AT_ONCE],),
            np.mean,
            axis=-1,
            n_resamples=resamples,
            confidence_level=confidence,
            method=method,
            rng=np.random.default_rng([seed, values.shape[1]]),
        )
        bounds.append(np.stack(result.confidence_interval))
    low, high = np.concatenate(bounds, axis=1)
    return low, high
