"""Measures as a script has them, written out and not shared with the workflow, so that they are a check of it."""

from itertools import combinations
from typing import NamedTuple

import numpy as np


class Answers(NamedTuple):
    """What one arm gives for all queries."""

    states: np.ndarray  # [query, layer, d_model]
    labels: np.ndarray  # [query], index of the likeliest label
    tokens: np.ndarray  # [query], likeliest token


def norm(x: np.ndarray) -> np.ndarray:
    """Length of the last axis."""
    return np.linalg.norm(x, axis=-1)


def cosine(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Cosine along the last axis; NaN where a vector is zero."""
    return (x * y).sum(-1) / (norm(x) * norm(y))


def measured(anchor: Answers, icl: Answers, it: Answers) -> dict[str, np.ndarray]:
    """Measure and arms -> its mean over queries at each layer."""
    a, i, t = (one.states.astype(np.float64) for one in (anchor, icl, it))
    ai, at, both = cosine(a, i), cosine(a, t), cosine(i, t)
    values = {
        "cosine anchor_icl": ai,
        "cosine anchor_it": at,
        "cosine icl_it": both,
        "update_cosine icl_it": cosine(i - a, t - a),
        "partial_cosine icl_it": (both - ai * at) / np.sqrt((1 - ai**2) * (1 - at**2)),
        "movement icl": norm(i - a) / norm(a),
        "movement it": norm(t - a) / norm(a),
    }
    means = {name: np.nanmean(value, axis=0) for name, value in values.items()}
    larger = np.maximum(means["cosine anchor_icl"], means["cosine anchor_it"])
    return means | {"margin icl_it": means["cosine icl_it"] - larger}


def answered(anchor: Answers, icl: Answers, it: Answers, gold: np.ndarray, gold_tokens: np.ndarray) -> dict[str, float]:
    """Accuracies of every arm, and how often two of them agree."""
    arms = {"anchor": anchor, "icl": icl, "it": it}
    values = {f"accuracy {name}": float((one.labels == gold).mean()) for name, one in arms.items()}
    values |= {f"open_accuracy {name}": float((one.tokens == gold_tokens).mean()) for name, one in arms.items()}
    agree = {(x, y): float((arms[x].labels == arms[y].labels).mean()) for x, y in combinations(arms, 2)}
    return values | {f"agreement {x}_{y}": value for (x, y), value in agree.items()}


def held_against_other_draws(icl: list[np.ndarray], it: list[np.ndarray]) -> dict[str, float]:
    """Update cosines of the same draw and of every two different ones, from updates [query, d_model] of each draw.

    And the pooled cosine: of the updates of all draws and queries as one vector.
    """
    own = [float(np.mean(cosine(x, y))) for x, y in zip(icl, it, strict=True)]
    other = [float(np.mean(cosine(x, y))) for i, x in enumerate(icl) for j, y in enumerate(it) if i != j]
    one, two = np.stack(icl), np.stack(it)
    pooled = float((one * two).sum() / np.sqrt((one**2).sum() * (two**2).sum()))
    return {"own": float(np.mean(own)), "other-draw": float(np.mean(other)), "whole": pooled}
