"""Vectors in the last axis: inner products, norms, units; float64. Imports nothing of ours."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]
Bools = NDArray[np.bool_]

# Below this a component of a unit vector is the rounding of states stored as float32, and has no direction.
RESOLUTION = float(np.finfo(np.float32).eps)


def floats(x: ArrayLike) -> Floats:
    """The array in float64."""
    return np.asarray(x, dtype=np.float64)


def dot(x: Floats, y: Floats) -> Floats:
    """Inner products over the last axis; the axes before it broadcast."""
    return np.vecdot(x, y)


def norm(x: Floats) -> Floats:
    """Euclidean lengths over the last axis."""
    return np.sqrt(dot(x, x))


def ratio(x: Floats, y: Floats) -> Floats:
    """The ratio x / y; NaN where y is not above zero."""
    return x / np.where(y > 0, y, np.nan)


def unit(x: Floats, out: Floats | None = None) -> Floats:
    """Vectors of length one; NaN where a vector is zero."""
    lengths = norm(x)
    return np.multiply(x, ratio(np.ones_like(lengths), lengths)[..., None], out=out)  # to divide is far slower


def directed(x: Floats, scale: Floats | float = 1.0) -> Floats:
    """The vectors, but zero where they are no longer than rounding would make them beside vectors of length `scale`."""
    long = norm(x) > RESOLUTION * scale
    return x if long.all() else x * long[..., None]


def defined(units: Floats) -> Bools:
    """Which of the vectors have a direction: one that has none is NaN throughout."""
    return ~np.isnan(units[..., 0])
