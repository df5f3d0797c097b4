"""Contrasts: each against loops over draws and queries, and what one arm is matched with."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workflow_scripts.lib.data.partners import next_of_other_label, next_of_same_label
from workflow_scripts.lib.measures import COSINE, DEBIASED_CKA, SIMILARITIES, UPDATE_COSINE
from workflow_scripts.lib.measures.blocks import ArmStates, Memory
from workflow_scripts.lib.measures.contrasts import (
    CONTRASTS,
    DIFFERENCES,
    OTHER_DRAW,
    OTHER_LABEL,
    OWN,
    RANDOM,
    SAME_LABEL,
    Contrast,
)
from workflow_scripts.lib.measures.layer import Layer
from workflow_scripts.lib.measures.similarities import chance, random_directions, similarity_of
from workflow_scripts.lib.measures.workers import workers

LABELS = np.array([0, 1, 0, 2, 1, 0, 2, 3])
DRAWS, QUERIES, D = 4, len(LABELS), 6


def normal(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def found(similarity, contrasts, states, anchor, labels=LABELS, number=0, span=None):
    layer = Layer(anchor, labels, span=span, number=number)
    draws = len(next(iter(states.values())))
    with workers(1) as some:
        arms = ArmStates(layer, "anchor", states, some, Memory())
        rows = similarity_of(
            similarity, arms, contrasts, chance(arms, random_directions(arms.shape, range(draws), some))
        )
        return {(row.one, row.other, row.contrast.name): row.values for row in rows}


@pytest.fixture
def two():
    return normal(0, QUERIES, D), {"x": normal(1, DRAWS, QUERIES, D), "y": normal(2, DRAWS, QUERIES, D)}


def cos(x, y):
    x, y = np.asarray(x, float), np.asarray(y, float)
    return x @ y / np.sqrt(x @ x * (y @ y))


def update(anchor, states, s, q):
    return states[s, q].astype(float) - anchor[q]


def test_own_is_the_same_set_and_query(two):
    anchor, states = two
    values = found(UPDATE_COSINE, [OWN], states, anchor)["x", "y", "own"]
    x, y = states.values()
    loops = [[cos(update(anchor, x, s, q), update(anchor, y, s, q)) for q in range(QUERIES)] for s in range(DRAWS)]
    assert values == pytest.approx(np.array(loops), abs=1e-12)


def jackknife(table):
    """What each draw is worth in the mean off the diagonal of table [draw of one, draw of the other]."""
    draws = range(len(table))

    def mean_without(left_out):
        kept = [s for s in draws if s != left_out]
        return np.mean([table[s][other] for s in kept for other in kept if s != other])

    return [len(table) * mean_without(None) - (len(table) - 1) * mean_without(s) for s in draws]


def test_other_draw_is_what_a_draw_is_worth_in_the_mean_over_all_other_draws(two):
    anchor, states = two
    values = found(UPDATE_COSINE, [OTHER_DRAW], states, anchor)["x", "y", "other-draw"]
    x, y = ([[update(anchor, arm, s, q) for q in range(QUERIES)] for s in range(DRAWS)] for arm in states.values())
    for q in range(QUERIES):
        table = [[cos(x[s][q], y[other][q]) for other in range(DRAWS)] for s in range(DRAWS)]
        assert values[:, q] == pytest.approx(jackknife(table), abs=1e-12)
        apart = [table[s][other] for s in range(DRAWS) for other in range(DRAWS) if s != other]
        assert values[:, q].mean() == pytest.approx(np.mean(apart), abs=1e-12)


def test_a_draw_without_an_update_is_left_out_of_other_draws(two):
    anchor, states = two
    states["y"][2, 3] = anchor[3]
    values = found(UPDATE_COSINE, [OTHER_DRAW], states, anchor)["x", "y", "other-draw"]
    assert np.isnan(values).sum() == 1
    assert np.isnan(values[2, 3])


def test_two_draws_have_the_mean_of_both_ways(two):
    anchor, states = two
    both = {arm: array[:2] for arm, array in states.items()}
    values = found(COSINE, [OTHER_DRAW], both, anchor)["x", "y", "other-draw"]
    ways = [cos(states["x"][s, 0], states["y"][1 - s, 0]) for s in range(2)]
    assert values[:, 0] == pytest.approx([np.mean(ways)] * 2, abs=1e-12)


def test_other_draw_of_a_measure_over_all_queries(two):
    anchor, states = two
    values = found(DEBIASED_CKA, [OWN, OTHER_DRAW], states, anchor)["x", "y", "other-draw"]
    table = [
        [
            found(DEBIASED_CKA, [OWN], {"x": states["x"][[s]], "y": states["y"][[other]]}, anchor)["x", "y", "own"][0]
            for other in range(DRAWS)
        ]
        for s in range(DRAWS)
    ]
    assert values == pytest.approx(jackknife(table), abs=1e-12)


def test_what_either_arms_draw_adds_shows_in_the_spread_over_draws():
    """Rows alone would show nothing of what the other arm's draw does."""
    anchor, shared = np.zeros((2, 40)), normal(1, 40)
    still, wild = (shared + size * normal(seed, 6, 2, 40) for seed, size in ((2, 0.01), (3, 1.5)))
    for x, y in ((still, wild), (wild, still)):
        states = {"x": x.astype(np.float32), "y": y.astype(np.float32)}
        values = found(COSINE, [OWN, OTHER_DRAW], states, anchor + 1e-9)
        spread = {name: values["x", "y", name].mean(axis=1).std() for name in ("own", "other-draw")}
        assert spread["other-draw"] == pytest.approx(spread["own"], rel=0.2)


@pytest.mark.parametrize(("contrast", "keeps"), [(SAME_LABEL, True), (OTHER_LABEL, False)])
def test_other_query_is_one_other_query_of_the_same_draw(two, contrast, keeps):
    anchor, states = two
    values = found(COSINE, [contrast], states, anchor)["x", "y", contrast.name]
    partner = (next_of_same_label if keeps else next_of_other_label)(tuple(LABELS.tolist()))
    for s in range(DRAWS):
        for q in range(QUERIES):
            if partner[q] < 0:
                assert np.isnan(values[s, q])
                continue
            assert partner[q] != q
            assert (LABELS[partner[q]] == LABELS[q]) == keeps
            assert values[s, q] == pytest.approx(cos(states["x"][s, q], states["y"][s, partner[q]]), abs=1e-12)


labels = st.lists(st.integers(0, 4), min_size=1, max_size=40).map(np.array)


@given(labels)
def test_partners_of_the_same_label_are_a_derangement_but_for_labels_with_one_query(gold):
    partner = next_of_same_label(tuple(gold.tolist()))
    counts = np.bincount(gold)
    assert ((partner < 0) == (counts[gold] == 1)).all()
    some = np.flatnonzero(partner >= 0)
    assert (partner[some] != some).all()
    assert (gold[partner[some]] == gold[some]).all()
    assert sorted(partner[some]) == some.tolist()


@given(labels)
def test_partners_of_another_label_are_as_many_as_there_can_be(gold):
    partner = next_of_other_label(tuple(gold.tolist()))
    some = np.flatnonzero(partner >= 0)
    assert (gold[partner[some]] != gold[some]).all()
    assert len(set(partner[some].tolist())) == len(some)
    assert len(some) == min(len(gold), 2 * (len(gold) - np.bincount(gold).max()))


def test_a_random_direction_goes_as_far_as_the_other_arm_and_has_no_similarity():
    anchor = np.zeros((50, 400), np.float32)
    x = normal(3, 30, 50, 400)
    values = found(UPDATE_COSINE, [RANDOM, OWN], {"x": x, "y": 2 * x}, anchor, np.zeros(50, int))
    assert values["x", "y", "own"] == pytest.approx(np.ones((30, 50)))
    assert values["x", "y", "random"].mean() == pytest.approx(0, abs=4 / np.sqrt(400 * 1500))
    assert values["x", "y", "random"].std() == pytest.approx(1 / np.sqrt(400), rel=0.1)


def test_a_random_direction_has_the_length_of_the_update():
    anchor, other = np.full((1, 4096), 1, np.float32), np.full((1, 1, 4096), 4, np.float32)
    other[0, 0, ::2] = -2  # an update of 3 in every dimension, so that |anchor + random|^2 = |anchor|^2 (1 + 9)
    values = found(COSINE, [RANDOM], {"x": anchor[None], "y": other}, anchor, np.zeros(1, int))
    assert values["x", "y", "random"][0, 0] == pytest.approx(1 / np.sqrt(10), abs=0.05)


def random_states(draws, number):
    layer = Layer(np.ones((2, 8)), np.zeros(2, int), number=number)
    with workers(1) as some:
        arms = ArmStates(layer, "anchor", {"x": np.full((len(draws), 2, 8), 3, np.float32)}, some, Memory())
        drawn = random_directions(arms.shape, draws, some)
        return chance(arms, drawn).states("x", (slice(None), slice(None)), layer)


def test_random_states_are_those_of_their_draw():
    three, last, elsewhere = random_states([4, 5, 6], 1), random_states([6], 1), random_states([6], 2)
    assert (three[2] == last[0]).all()
    assert (three[1] != last[0]).all()
    assert (elsewhere == last).all(), "the same direction at every layer"
    assert np.linalg.norm(three - 1, axis=-1) == pytest.approx(np.full((3, 2), 2 * np.sqrt(8)), rel=1e-6)


def test_one_draw_has_no_other(two):
    anchor, states = two
    one = {arm: array[:1] for arm, array in states.items()}
    for similarity in SIMILARITIES:
        values = found(similarity, CONTRASTS, one, anchor, span=np.eye(D)[:1])
        assert np.isnan(values["x", "y", "other-draw"]).all()
        assert not np.isnan(values["x", "y", "own"]).all()


def test_the_anchor_has_no_updates_and_no_random_direction(two):
    anchor, states = two
    rows = COSINE, UPDATE_COSINE, DEBIASED_CKA
    of_states, of_updates, over_all = (found(row, CONTRASTS, states, anchor) for row in rows)
    assert {name for one, _, name in of_states if one == "anchor"} == {row.name for row in CONTRASTS} - {"random"}
    assert {(one, other) for one, other, _ in of_updates} == {("x", "y")}
    assert {name for *_, name in over_all} == {"own", "other-draw"}


def test_other_draws_of_an_arm_beside_the_anchor(two):
    anchor, states = two
    values = found(COSINE, [OTHER_DRAW], states, anchor)["anchor", "y", "other-draw"]
    own = [cos(anchor[0], states["y"][draw, 0]) for draw in range(DRAWS)]
    assert values[:, 0] == pytest.approx(own, abs=1e-12), "the anchor is the same in every draw"


def test_sets_that_say_nothing_of_their_own_have_the_same_value_for_own_and_other_draw():
    anchor, task = normal(4, QUERIES, 500), 3 * normal(5, QUERIES, 500)
    states = {arm: anchor + task + normal(seed, 20, QUERIES, 500) for seed, arm in enumerate(("x", "y"), 6)}
    values = found(UPDATE_COSINE, [OWN, OTHER_DRAW], states, anchor)
    difference = values["x", "y", "own"] - values["x", "y", "other-draw"]
    assert values["x", "y", "own"].mean() == pytest.approx(0.9, abs=0.02)
    assert difference.mean() == pytest.approx(0, abs=0.005)


def test_a_contrast_is_a_function_and_a_row(two):
    def next_draw(other, at):
        return np.roll(other.units, -1, axis=0)[at]

    anchor, states = two
    values = found(COSINE, [Contrast("next", "the next draw's set", next_draw, "control")], states, anchor)
    assert values["x", "y", "next"][3, 0] == pytest.approx(cos(states["x"][3, 0], states["y"][0, 0]), abs=1e-12)


def test_differences_are_of_contrasts_that_there_are():
    assert {row for difference in DIFFERENCES for row in (difference.of, difference.less)} <= set(CONTRASTS)
    names = [row.name for row in (*CONTRASTS, *DIFFERENCES)]
    assert len(set(names)) == len(names)
