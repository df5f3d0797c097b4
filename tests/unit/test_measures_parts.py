"""Parts of the update similarity: they add up, find what is planted, and are without bias for few draws."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from workflow_scripts.lib.measures.parts import PARTS, Products, parts_of, products_of
from workflow_scripts.lib.measures.workers import workers

FOUR = PARTS[:-1]


def normal(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape)


def products(x, y, anchor=None):
    anchor = np.zeros(x.shape[1:]) if anchor is None else anchor
    with workers(1) as some:
        found = products_of({"x": x, "y": y}, anchor, some)
    return found["x", "y"], found["x", "x"], found["y", "y"]


def parts(x, y):
    return parts_of(*products(x, y))


def test_products_are_those_of_loops():
    anchor, x, y = normal(0, 3, 4), normal(1, 2, 3, 4), normal(2, 2, 3, 4)
    together, alone, _ = products(x, y, anchor)
    for s in range(2):
        for s2 in range(2):
            u, v = x[s] - anchor, y[s2] - anchor
            assert together.same_query[s, s2] == pytest.approx(np.mean([u[q] @ v[q] for q in range(3)]))
            assert together.all_queries[s, s2] == pytest.approx(u.mean(0) @ v.mean(0))
            assert alone.same_query[s, s2] == pytest.approx(np.mean([u[q] @ (x[s2] - anchor)[q] for q in range(3)]))


def test_parts_by_hand():
    # one dimension, two sets, two queries: u = general 2, query +-1, set +-3, interaction +-5, and the other arm's
    sign = np.array([1.0, -1.0])
    x = (2 + sign[None, :] + 3 * sign[:, None] + 5 * np.outer(sign, sign))[..., None]
    found = parts(x, x)
    whole = 4 + 1 + 9 + 25
    # sums over s != s2 of two sets with effects +-3: the product of different sets is -9, so set gives 9 - -9 = 18
    expected = {"general": 4 - 9, "query": 1 - 25, "set": 18, "interaction": 50}
    assert {name: float(found[name].contribution * whole) for name in FOUR} == pytest.approx(expected)


states = arrays(np.float64, (3, 4, 5), elements=st.floats(-5, 5, width=16))


@given(states, states)
def test_contributions_add_up_to_the_pooled_update_cosine(x, y):
    norms = np.sqrt((x**2).sum() * (y**2).sum())
    if norms == 0:
        return
    found = parts(x, y)
    pooled = (x * y).sum() / norms
    assert sum(found[name].contribution for name in FOUR) == pytest.approx(pooled, abs=1e-9)
    assert found["whole"].contribution == pytest.approx(pooled, abs=1e-9)
    assert found["whole"].alignment == pytest.approx(pooled, abs=1e-9)
    assert sum(found[name].share_one for name in FOUR) == pytest.approx(1)


def planted(seed, draws=12, queries=30, d=200):
    dice = np.random.default_rng(seed)
    sizes = {"general": (1, 1), "query": (1, queries), "set": (draws, 1), "interaction": (draws, queries)}
    return {name: dice.normal(size=(*shape, d)) / np.sqrt(d) for name, shape in sizes.items()}


def test_planted_parts_are_found():
    shared, own = planted(0), planted(1)
    weights = {"general": 9, "query": 1, "set": 2, "interaction": 4}  # squared norms
    x = sum(np.sqrt(weights[name]) * shared[name] for name in FOUR)
    aligned = {"general": shared, "query": shared, "set": own, "interaction": shared}
    y = sum(np.sqrt(weights[name]) * aligned[name][name] for name in FOUR)
    found = parts(x, y)
    for name in FOUR:
        assert found[name].share_one == pytest.approx(weights[name] / 16, abs=0.05)
        assert found[name].alignment == pytest.approx(0 if name == "set" else 1, abs=0.1)
        assert found[name].contribution == pytest.approx(0 if name == "set" else weights[name] / 16, abs=0.05)


@pytest.mark.parametrize("draws", [2, 3, 10])
def test_arms_of_noise_alone_have_no_part_but_interaction_whatever_the_number_of_draws(draws):
    seeds = range(200)
    found = [parts(*normal(seed, 2, draws, 5, 10)) for seed in seeds]
    for name in FOUR:
        contributions = [float(one[name].contribution) for one in found]
        shares = [float(one[name].share_one) for one in found]
        error = 4 * np.std(contributions) / np.sqrt(len(seeds))
        assert np.mean(contributions) == pytest.approx(0, abs=error)
        # The set part of noise is not zero: its mean over a few queries is what the set did to them.
        expected = {"general": 0, "query": 0, "set": 1 / 5, "interaction": 4 / 5}[name]
        assert np.mean(shares) == pytest.approx(expected, abs=4 * np.std(shares) / np.sqrt(len(seeds)))


def test_what_two_arms_share_of_the_task_is_not_counted_larger_with_fewer_draws():
    task = normal(3, 1, 5, 10)
    shares = {}
    for draws in (2, 20):
        found = [parts(*(task + 3 * normal(10 * seed + i, draws, 5, 10) for i in (1, 2))) for seed in range(300)]
        shares[draws] = np.mean([one["general"].contribution + one["query"].contribution for one in found])
    assert shares[2] == pytest.approx(shares[20], abs=0.02)
    assert shares[20] > 0.05


def test_an_alignment_without_a_positive_norm_on_both_sides_is_undefined():
    opposite = np.stack([np.ones((3, 4)), -np.ones((3, 4))])  # nothing in common between draws: J0 is negative
    found = parts(opposite, opposite)
    assert found["general"].share_one < 0
    assert np.isnan(found["general"].alignment)


def test_one_draw_shows_the_whole_only():
    found = parts(*normal(4, 2, 1, 5, 6))
    assert not np.isnan(found["whole"].contribution)
    assert all(np.isnan(found[name].contribution) for name in FOUR)


def test_arms_that_did_not_move_have_no_parts():
    found = parts(np.zeros((3, 4, 5)), normal(5, 3, 4, 5))
    assert all(np.isnan(part.contribution) and np.isnan(part.share_one) for part in found.values())


def test_layers_and_replicates_are_worked_out_at_once():
    layers = [products(*normal(seed, 2, 4, 5, 6)) for seed in range(3)]
    stacked = [Products(*map(np.stack, zip(*of_two, strict=True))) for of_two in zip(*layers, strict=True)]
    together = parts_of(*(of_two.without_each_draw() for of_two in stacked))
    for number, of_layer in enumerate(layers):
        for left in range(4):
            kept = np.delete(np.arange(4), left)
            alone = parts_of(*(Products(*(m[np.ix_(kept, kept)] for m in of_two)) for of_two in of_layer))
            for name in PARTS:
                for values, value in zip(together[name], alone[name], strict=True):
                    assert values[number, left] == pytest.approx(value, nan_ok=True)
