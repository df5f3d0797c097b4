"""Intervals of what is made of products of draws, by leaving each draw out. Imports nothing of ours."""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import t as student

Floats = NDArray[np.float64]


def jackknife(whole: ArrayLike, without_each: ArrayLike, *, confidence: float) -> tuple[Floats, Floats]:
    """Interval about an estimate: the estimate (...) and the same without each draw (..., draws) -> its ends (...).

    Student's t on pseudo-values, S * whole - (S - 1) * without (Tukey 1958; Efron and Tibshirani 1993, chapter 11).
    Means of products of different draws must not be bootstrapped: a resample holds draws twice, and the product of a
    draw with itself has its noise squared. NaN with one draw, and where the estimate fails without one of the draws.
    """
    estimate, replicates = np.asarray(whole, dtype=np.float64), np.asarray(without_each, dtype=np.float64)
    draws = replicates.shape[-1]
    if draws < 2:
        return np.full(estimate.shape, np.nan), np.full(estimate.shape, np.nan)
    spread = replicates - replicates.mean(axis=-1, keepdims=True)
    error = np.sqrt((draws - 1) / draws * (spread**2).sum(axis=-1))
    half = student.isf((1 - confidence) / 2, draws - 1) * error
    return estimate - half, estimate + half
