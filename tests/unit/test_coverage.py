"""How often intervals and bands hold what they should: the evidence for what lib/results/statistics.py says."""

import numpy as np
import pytest
from scipy.stats import bootstrap
from scipy.stats import t as student

from workflow_scripts.lib.measures.parts import PARTS, Part, Products, parts_of
from workflow_scripts.lib.results.jackknife import jackknife
from workflow_scripts.lib.results.statistics import bands, intervals

pytestmark = pytest.mark.slow
SETTINGS = {"confidence": 0.95, "resamples": 2000, "seed": 0}
STUDIES, CURVES = 10_000, 2_000


def accuracies(rng, size, mean, alike):
    """Of 100 queries, in steps of .01; `alike` draws differ little in what they make of a query."""
    return rng.binomial(100, rng.beta(alike * mean, alike * (1 - mean), size)) / 100


# Skewness of the cosines near 1 of a study of the embedded model: -0.5 in the mean, -1 and below in a quarter.
SAMPLES = {  # what a draw's value may be, and its mean
    "normal": (lambda rng, size: rng.normal(0.6, 0.05, size), 0.6),
    "cosines near 1 (skewness -1.0)": (lambda rng, size: 1 - rng.gamma(4, 0.005, size), 0.98),
    "cosines near .9 (skewness -0.9)": (lambda rng, size: rng.beta(18, 2, size), 0.9),
    "accuracies near .9": (lambda rng, size: accuracies(rng, size, 0.9, 100), 0.9),
    "accuracies near .98": (lambda rng, size: accuracies(rng, size, 0.98, 500), 0.98),
    "paired differences (skewness 1.4)": (lambda rng, size: rng.gamma(2, 0.004, size), 0.008),
    "cosines near 1 (skewness -2.0)": (lambda rng, size: 1 - rng.exponential(0.02, size), 0.98),
}


def covered(low, high, true):
    """Per cent of intervals that hold the true value."""
    return 100 * np.mean((low <= true + 1e-12) & (true - 1e-12 <= high))


def of_student(values):
    half = student.isf(0.025, values.shape[1] - 1) * values.std(axis=1, ddof=1) / np.sqrt(values.shape[1])
    return values.mean(axis=1) - half, values.mean(axis=1) + half


def of_scipy(values, method):
    rng = np.random.default_rng(0)
    found = [
        bootstrap((some,), np.mean, axis=-1, n_resamples=2000, method=method, rng=rng).confidence_interval
        for some in np.split(values, 20)
    ]
    return np.concatenate(found, axis=1)


@pytest.mark.parametrize("draws", [10, 30])
def test_intervals_cover_93_to_97_percent_and_what_was_not_taken_does_not(draws):
    table = {}
    for name, (sample, true) in SAMPLES.items():
        values = sample(np.random.default_rng(1), (STUDIES, draws))
        ours = intervals(values, **SETTINGS)
        some = values[:2000]
        rivals = {"Student's t": of_student(values)} | {m: of_scipy(some, m) for m in ("percentile", "BCa")}
        table[name] = {"bootstrap-t": (ours.low, ours.high)} | rivals
        table[name] = {kind: covered(*ends, true) for kind, ends in table[name].items()}
    for name, row in table.items():
        print(f"{draws} draws, {name:34s}", *(f"{kind} {value:.1f}" for kind, value in row.items()), sep="  ")
    assert all(93 <= row["bootstrap-t"] <= 97 for row in table.values())
    for rival in ("Student's t", "percentile", "BCa"):
        assert min(row[rival] for row in table.values()) < 93


@pytest.mark.parametrize("draws", [10, 30])
@pytest.mark.parametrize("share", [0.3, 0.5])
@pytest.mark.parametrize("width", [0.002, 0.01, 0.05])
def test_intervals_of_draws_in_two_groups_cover_and_have_a_sane_width(draws, share, width):
    """Two labels, permuted: `share` of the draws have them swapped; `width` of a group against the distance of both."""
    rng = np.random.default_rng(3)
    size = (STUDIES // 5, draws)
    values = (rng.random(size) < share) + width * rng.normal(size=size)
    found = intervals(values, **SETTINGS)
    low, high = of_student(values)
    wider = np.quantile((found.high - found.low) / (high - low), 0.99)
    value = covered(found.low, found.high, share)
    print(f"{draws} draws, {share:.0%} swapped, width {width}: {value:.1f}, at most {wider:.1f} times Student's")
    assert 93 <= value <= 99
    assert wider < 2


def curves(rng, draws, points, skewed):
    """Values whose neighbours are alike (correlation .8), normal or skewed as cosines near 1 are; and their mean."""
    z = rng.normal(size=(CURVES, points, draws))
    for point in range(1, points):
        z[:, point] = 0.8 * z[:, point - 1] + 0.6 * z[:, point]
    return (-np.exp(0.2 * z), -np.exp(0.02)) if skewed else (z, 0.0)


@pytest.mark.parametrize("draws", [5, 10, 30])
def test_bands_hold_whole_curves(draws):
    for points in (5, 33):
        for skewed in (False, True):
            values, true = curves(np.random.default_rng(2), draws, points, skewed)
            band = bands(values, **SETTINGS)
            share = 100 * np.mean(((band.low <= true) & (true <= band.high)).all(axis=1))
            width = np.mean((band.high - band.low) / values.std(axis=-1)) * np.sqrt(draws) / 2
            print(
                f"{draws} draws, {points} points, {'skewed' if skewed else 'normal'}: {share:.1f} ({width:.1f} errors)"
            )
            assert 93 <= share <= 99.5


def planted(rng, studies, draws, shared, sizes, queries=12, width=16):
    """Products of two arms' updates with planted parts, and the parts' true values."""
    fixed = [[rng.normal(size=shape) for _ in range(3)] for shape in ((1, width), (queries, width))]
    fixed[1] = [query - query.mean(axis=0) for query in fixed[1]]
    general, query = ([0.7 * size * (of[0] + one) for one in of[1:]] for of, size in zip(fixed, sizes[:2], strict=True))
    random = []
    for size, share, shape in zip(
        sizes[2:], shared, ((studies, draws, 1, width), (studies, draws, queries, width)), strict=True
    ):
        common, *own = rng.normal(size=(3, *shape))
        random.append([size * (np.sqrt(share) * common + np.sqrt(1 - share) * one) for one in own])
    random[1] = [one - one.mean(axis=2, keepdims=True) for one in random[1]]
    arms = [sum(parts) for parts in zip(general, query, *random, strict=True)]

    def true(i, j):
        known = [(general[i] * general[j]).sum(), (query[i] * query[j]).sum(axis=1).mean()]
        ratio = [1, (queries - 1) / queries]
        known += [
            s**2 * width * r * (1 if i == j else share) for s, r, share in zip(sizes[2:], ratio, shared, strict=True)
        ]
        return np.array([*known, sum(known)])

    between, one, other = true(0, 1), true(0, 0), true(1, 1)
    values = between / np.sqrt(one[-1] * other[-1]), between / np.sqrt(one * other), one / one[-1], other / other[-1]
    return arms, dict(zip(PARTS, zip(*values, strict=True), strict=True))


def products_of(one, other):
    means = (arm.mean(axis=2) for arm in (one, other))
    same = np.einsum("rsqd,rtqd->rst", one, other, optimize=True) / one.shape[2]
    return Products(same, np.einsum("rsd,rtd->rst", *means))


@pytest.mark.parametrize("draws", [10, 30])
@pytest.mark.parametrize(
    ("shared", "sizes"),
    [((0.5, 0.3), (1, 0.6, 0.5, 0.4)), ((0, 0), (1, 0.6, 0.5, 0.4)), ((0.5, 0), (0.3, 0.3, 1, 0.5))],
    ids=["sets shared", "sets not shared", "sets dominate"],
)
def test_intervals_of_planted_parts_cover(draws, shared, sizes):
    hits = {}
    for study in range(15):
        (one, other), true = planted(np.random.default_rng(study), 100, draws, shared, sizes)
        products = [products_of(one, other), products_of(one, one), products_of(other, other)]
        whole, without = parts_of(*products), parts_of(*(some.without_each_draw() for some in products))
        for name in PARTS:
            for field, value, each, right in zip(Part._fields, whole[name], without[name], true[name], strict=True):
                low, high = jackknife(value, each, confidence=0.95)
                known = ~np.isnan(low)
                hits.setdefault((field, name), []).append(covered(low[known], high[known], right))
    table = {key: np.mean(some) for key, some in hits.items()}
    for field in Part._fields:
        print(f"{draws} draws, {field:12s}", *(f"{name} {table[field, name]:.1f}" for name in PARTS), sep="  ")
    assert all(
        93 <= value <= 98.5 for (field, name), value in table.items() if (name != "whole" or "share" not in field)
    )
