"""Measures on hidden states and on answers: arrays in, one value a query out. Imports nothing of ours.

h_A, h_I and h_T are the states of the anchor, ICL and IT conditions at one layer, each (queries, d); computed in
float64. NaN says that a measure is undefined for a query; the caller counts such queries and leaves them out.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

# Below this a component of a unit vector is the rounding of states stored as float32, and has no direction.
RESOLUTION = float(np.finfo(np.float32).eps)


def cosine(x: ArrayLike, y: ArrayLike) -> Floats:
    """x.y / (|x||y|) of each pair of rows: (queries, d), (queries, d) -> (queries,); NaN where a norm is zero.

    Applied to states, the measure of arXiv 2311.10367.
    """
    a, b = _floats(x), _floats(y)
    return _ratio(_dot(a, b), _norm(a) * _norm(b))


def update_cosine(h_a: ArrayLike, h_i: ArrayLike, h_t: ArrayLike) -> Floats:
    """cos(h_I - h_A, h_T - h_A): (queries, d) each -> (queries,); NaN where an update is zero.

    The updates are those of the states as they are. Normalising the states first lets the anchor into both updates,
    and unrelated noise of |r|^2 = 3 |z|^2 then scores 0.25 (Deutch et al. 2024, on the SimAOU of Dai et al. 2023).
    """
    anchor = _floats(h_a)
    return cosine(_floats(h_i) - anchor, _floats(h_t) - anchor)


def partial_cosine(h_a: ArrayLike, h_i: ArrayLike, h_t: ArrayLike) -> Floats:
    """Cosine of the parts of h_I and h_T that are orthogonal to h_A: (queries, d) each -> (queries,).

    Equals (s_IT - s_AI s_AT) / sqrt((1 - s_AI^2)(1 - s_AT^2)), the partial correlation's formula with cosines, but
    keeps its digits where a state hardly left the anchor's direction. NaN where it did not leave it.
    """
    anchor = _unit(h_a)
    icl, it = _orthogonal(_unit(h_i), anchor), _orthogonal(_unit(h_t), anchor)
    return cosine(_directed(icl), _directed(it))


def movement(h_a: ArrayLike, h_x: ArrayLike) -> Floats:
    """|h_X - h_A| / |h_A|: (queries, d), (queries, d) -> (queries,); NaN where h_A is zero."""
    anchor = _floats(h_a)
    return _ratio(_norm(_floats(h_x) - anchor), _norm(anchor))


def noise_norm(h_a: ArrayLike, repeated: Sequence[ArrayLike]) -> Floats:
    """|n|: how far the anchor's state is from that of a run that should give the same, the farthest: -> (queries,).

    `repeated` holds the states (queries, d) of such runs: other batches, or higher precision. Of two runs that are
    equally noisy the difference has both noises in it, so this is not less than one run's.
    """
    anchor = _floats(h_a)
    return np.max([_norm(_floats(other) - anchor) for other in repeated], axis=0)


def noise_share(noise: ArrayLike, h_a: ArrayLike, h_x: ArrayLike) -> Floats:
    """|n| / |h_X - h_A|: (queries,), (queries, d), (queries, d) -> (queries,); NaN where the update is zero.

    At 1 an update is as long as the noise in the anchor that it is measured from. The product of ICL's and IT's
    shares is the update cosine that noise alone would give: both updates have the anchor's noise in them, so that
    E[(h_I - h_A).(h_T - h_A)] = |n|^2 where nothing else is common to them.
    """
    return _ratio(_floats(noise), _norm(_floats(h_x) - _floats(h_a)))


def accuracy(label_log_probs: ArrayLike, labels: ArrayLike) -> Floats:
    """1 where the gold label is the likeliest of the label set: (queries, labels), (queries,) -> (queries,)."""
    return (predicted(label_log_probs) == np.asarray(labels)).astype(np.float64)


def open_accuracy(top_token_id: ArrayLike, label_token_id: ArrayLike) -> Floats:
    """1 where the likeliest token of the whole vocabulary begins the gold label: (queries,) each -> (queries,)."""
    return (np.asarray(top_token_id) == np.asarray(label_token_id)).astype(np.float64)


def agreement(label_log_probs: ArrayLike, others: ArrayLike) -> Floats:
    """1 where two conditions predict the same label, right or wrong: (queries, labels) each -> (queries,)."""
    return (predicted(label_log_probs) == predicted(others)).astype(np.float64)


def predicted(label_log_probs: ArrayLike) -> NDArray[np.intp]:
    """Index of the likeliest label, the first of equals: (queries, labels) -> (queries,)."""
    return np.asarray(label_log_probs).argmax(axis=1)


def mean_and_counts(values: Floats) -> tuple[float | None, int, int]:
    """Mean over the queries with a value (None if none has), how many have one, how many are excluded (NaN)."""
    used = values[~np.isnan(values)]
    return (float(used.mean()) if used.size else None), used.size, values.size - used.size


def _floats(x: ArrayLike) -> Floats:
    return np.asarray(x, dtype=np.float64)


def _dot(x: Floats, y: Floats) -> Floats:
    return np.einsum("qd,qd->q", x, y)


def _norm(x: Floats) -> Floats:
    return np.sqrt(_dot(x, x))


def _ratio(x: Floats, y: Floats) -> Floats:
    return np.divide(x, y, out=np.full(x.shape, np.nan), where=y > 0)


def _unit(x: ArrayLike) -> Floats:
    rows = _floats(x)
    norms = _norm(rows)[:, None]
    return np.divide(rows, norms, out=np.full(rows.shape, np.nan), where=norms > 0)


def _orthogonal(x: Floats, unit: Floats) -> Floats:
    return x - _dot(x, unit)[:, None] * unit


def _directed(x: Floats) -> Floats:
    return np.where(_norm(x)[:, None] > RESOLUTION, x, 0.0)
