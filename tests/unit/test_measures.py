"""Similarities, changes and noise: numbers worked out by hand, and properties that hold for any states."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from workflow_scripts.lib.measures import (
    COSINE,
    DEBIASED_CKA,
    LABEL_FREE_UPDATE_COSINE,
    MEASURES,
    MUTUAL_NEIGHBOURS,
    PARTIAL_COSINE,
    SIMILARITIES,
    STANDARDISED_COSINE,
    UPDATE_COSINE,
    named,
)
from workflow_scripts.lib.measures import on_states as measure
from workflow_scripts.lib.measures.layer import Layer, label_span
from workflow_scripts.lib.measures.noise import noise_share, shared_noise
from workflow_scripts.lib.measures.vectors import dot, unit

BY_QUERY = [similarity for similarity in SIMILARITIES if similarity.by_query]
A = [[1.0, 0.0, 0.0]]


def layer_of(anchor, **more):
    anchor = np.asarray(anchor, dtype=float)
    return Layer(anchor, np.zeros(len(anchor), dtype=int), **more)


def similarity(row, one, other, layer):
    """Of states [queries, d]: [queries], or one number."""
    x, y = (unit(row.represent(np.asarray(states, dtype=float)[None], layer)) for states in (one, other))
    return dot(x, y)[0]


def normal(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape)


def rotation(d):
    return np.linalg.qr(normal(99, d, d))[0]


def test_cosine_of_known_angles():
    x, y = [[3.0, 0.0], [1.0, 1.0], [2.0, 0.0]], [[0.0, 2.0], [1.0, 0.0], [-5.0, 0.0]]
    assert similarity(COSINE, x, y, layer_of(x)) == pytest.approx([0.0, np.sqrt(0.5), -1.0])


def test_update_cosine_by_hand():
    assert similarity(UPDATE_COSINE, [[1.0, 2.0, 0.0]], [[1.0, 3.0, 4.0]], layer_of(A)) == pytest.approx([0.6])


def test_unrelated_noise_has_no_update_cosine_though_normalising_first_gives_a_quarter():
    anchor, r, s = normal(0, 3, 64, 4096)
    h_i, h_t = anchor + np.sqrt(3) * r, anchor + np.sqrt(3) * s
    a, i, t = (unit(x) for x in (anchor, h_i, h_t))
    assert similarity(UPDATE_COSINE, i, t, layer_of(a)).mean() == pytest.approx(0.25, abs=0.01)
    assert similarity(UPDATE_COSINE, h_i, h_t, layer_of(anchor)).mean() == pytest.approx(0.0, abs=0.01)


def test_partial_cosine_is_that_of_the_parts_orthogonal_to_the_anchor():
    found = similarity(PARTIAL_COSINE, [[5.0, 1.0, 0.0]], [[-2.0, 1.0, 1.0]], layer_of(A))
    assert found == pytest.approx([np.sqrt(0.5)])


def test_partial_cosine_equals_its_formula():
    a, i, t = normal(1, 3, 50, 8)
    layer = layer_of(a)
    s_ai, s_at, s_it = (similarity(COSINE, x, y, layer) for x, y in ((a, i), (a, t), (i, t)))
    formula = (s_it - s_ai * s_at) / np.sqrt((1 - s_ai**2) * (1 - s_at**2))
    assert similarity(PARTIAL_COSINE, i, t, layer) == pytest.approx(formula)


def test_partial_cosine_keeps_its_digits_close_to_the_anchor():
    found = similarity(PARTIAL_COSINE, [[1.0, 1e-6, 0.0]], [[1.0, 1e-6, 1e-6]], layer_of(A))
    assert found == pytest.approx([np.sqrt(0.5)], rel=1e-6)


def test_a_state_on_the_anchors_line_has_no_partial_cosine():
    anchor = normal(2, 20, 64)
    assert np.isnan(similarity(PARTIAL_COSINE, 3 * anchor, anchor + normal(3, 20, 64), layer_of(anchor))).all()


def test_standardised_cosine_scales_by_the_held_out_half_of_the_anchor():
    anchor = [[0.0, 0.0], [1.0, 10.0], [9.0, 4.0], [3.0, 30.0]]  # odd queries: mean 2 and 20, sd 1 and 10
    h_i, h_t = np.array(anchor), np.array(anchor)
    h_i[0], h_t[0] = [3.0, 20.0], [3.0, 30.0]  # z-scores (1, 0) and (1, 1)
    found = similarity(STANDARDISED_COSINE, h_i, h_t, layer_of(anchor))
    assert found[0] == pytest.approx(np.sqrt(0.5))


def test_standardised_cosine_knows_nothing_of_the_query_itself():
    anchor, i, t = normal(4, 3, 12, 5)
    before = similarity(STANDARDISED_COSINE, i, t, layer_of(anchor))
    anchor[0] *= 100
    after = similarity(STANDARDISED_COSINE, i, t, layer_of(anchor))
    assert before[0::2] == pytest.approx(after[0::2], rel=1e-12)
    assert not np.isclose(before[1::2], after[1::2]).any()


def test_a_dimension_that_dwarfs_the_others_rules_cosine_and_not_standardised_cosine():
    anchor, i, t = normal(5, 3, 200, 32)
    for states in (anchor, i, t):
        states[:, 0] += 500
    assert similarity(COSINE, i, t, layer_of(anchor)).min() > 0.99
    assert similarity(STANDARDISED_COSINE, i, t, layer_of(anchor)).mean() == pytest.approx(0, abs=0.05)


def test_a_dimension_without_variance_has_no_standardised_value():
    same = np.ones((6, 4))
    assert np.isnan(similarity(STANDARDISED_COSINE, same + 1, same + 2, layer_of(same))).all()


def test_what_tells_the_labels_apart_is_centred():
    span = label_span(np.array([[5.0, 2.0, 0.0, 0.0], [5.0, -2.0, 0.0, 0.0], [5.0, 0.0, 3.0, 0.0]]))
    assert span @ span.T == pytest.approx(np.eye(2))
    assert np.abs(span[:, [0, 3]]).max() == pytest.approx(0, abs=1e-12)


def test_words_of_one_first_token_have_no_span():
    assert label_span(np.ones((3, 4))) is None
    assert label_span(normal(8, 1, 4)) is None


def test_label_free_update_cosine_is_of_what_the_labels_leave():
    layer = layer_of([[0.0, 0.0, 0.0]], span=np.array([[1.0, 0.0, 0.0]]))
    found = similarity(LABEL_FREE_UPDATE_COSINE, [[7.0, 1.0, 0.0]], [[7.0, 0.0, 2.0]], layer)
    assert found == pytest.approx([0.0])
    assert similarity(UPDATE_COSINE, [[7.0, 1.0, 0.0]], [[7.0, 0.0, 2.0]], layer)[0] > 0.9


def test_an_update_towards_a_label_alone_has_no_label_free_cosine():
    rows = normal(6, 3, 16)
    layer = layer_of(np.zeros((1, 16)), span=label_span(rows))
    assert np.isnan(similarity(LABEL_FREE_UPDATE_COSINE, rows[:1] - rows[1:2], normal(7, 1, 16), layer)).all()


def test_alignment_is_the_share_of_the_squared_update_inside_the_labels_span():
    layer = layer_of([[1.0, 1.0, 1.0]] * 2, span=np.array([[1.0, 0.0, 0.0]]))
    found = measure.label_alignment(np.array([[[2.0, 3.0, 1.0], [1.0, 1.0, 1.0]]]), layer)[0]
    assert found[0] == pytest.approx(0.2)
    assert np.isnan(found[1])


def test_movement_is_relative_to_the_anchors_norm():
    assert measure.movement(np.array([[[3.0, 1.0]]]), layer_of([[3.0, 4.0]])) == pytest.approx(np.array([[0.6]]))


def test_zero_updates_have_no_update_cosine():
    anchor = [[1.0, 2.0], [1.0, 2.0], [1.0, 2.0]]
    h_i, h_t = [[1.0, 3.0], [2.0, 2.0], [1.0, 2.0]], [[1.0, 4.0], [1.0, 2.0], [1.0, 2.0]]
    values = similarity(UPDATE_COSINE, h_i, h_t, layer_of(anchor))
    assert np.isnan(values).tolist() == [False, True, True]
    assert values[0] == pytest.approx(1)


def hsic_1(k, ell):
    """Unbiased HSIC as Song et al. 2012 write it (equation 5): kernels without their diagonals, traces and sums."""
    n = len(k)
    k, ell = k * (1 - np.eye(n)), ell * (1 - np.eye(n))
    one = np.ones(n)
    whole = (one @ k @ one) * (one @ ell @ one) / ((n - 1) * (n - 2))
    return (np.trace(k @ ell) + whole - 2 / (n - 2) * (one @ k @ ell @ one)) / (n * (n - 3))


def published_cka(x, y):
    k, ell = x @ x.T, y @ y.T
    return hsic_1(k, ell) / np.sqrt(hsic_1(k, k) * hsic_1(ell, ell))


@pytest.mark.parametrize(("queries", "d"), [(4, 3), (5, 40), (30, 8), (60, 300)])
def test_debiased_cka_equals_the_published_formula(queries, d):
    x = normal(8, queries, d) + 3
    y = 0.5 * x + normal(9, queries, d)
    assert similarity(DEBIASED_CKA, x, y, layer_of(x)) == pytest.approx(published_cka(x, y), rel=1e-9)


def test_debiased_cka_of_unrelated_states_is_zero_where_the_biased_form_is_near_one():
    pairs = [normal(seed, 2, 12, 2000) for seed in range(40)]
    centre = np.eye(12) - 1 / 12
    x, y = (centre @ states @ states.T @ centre for states in pairs[0])
    assert (x * y).sum() / np.sqrt((x**2).sum() * (y**2).sum()) > 0.9
    assert np.mean([similarity(DEBIASED_CKA, *pair, layer_of(pair[0])) for pair in pairs]) == pytest.approx(0, abs=0.06)


@pytest.mark.parametrize("row", [DEBIASED_CKA, MUTUAL_NEIGHBOURS])
def test_states_that_are_equal_but_for_rounding_have_no_geometry(row):
    same = np.full((20, 16), 0.1, dtype=np.float32)
    nearly = same * (1 + np.float32(1e-8) * normal(10, 20, 16)).astype(np.float32)
    assert np.isnan(similarity(row, same, normal(11, 20, 16), layer_of(same)))
    assert np.isnan(similarity(row, nearly, normal(11, 20, 16), layer_of(same)))


def brute_neighbours(x, k):
    cosines = unit(x) @ unit(x).T
    return [set(sorted((j for j in range(len(x)) if j != i), key=lambda j: -cosines[i, j])[:k]) for i in range(len(x))]


@pytest.mark.parametrize(("queries", "k"), [(50, 10), (21, 10), (20, 9), (5, 2), (3, 1)])
def test_mutual_neighbours_are_counted_one_by_one(queries, k):
    x = normal(12, queries, 6) + 2
    y = x + normal(13, queries, 6)
    both = [len(a & b) / k for a, b in zip(brute_neighbours(x, k), brute_neighbours(y, k), strict=True)]
    assert similarity(MUTUAL_NEIGHBOURS, x, y, layer_of(x)) == pytest.approx(np.mean(both))


def test_unrelated_states_have_as_many_neighbours_in_common_as_chance_gives():
    layer = layer_of(np.ones((101, 30)))
    found = [similarity(MUTUAL_NEIGHBOURS, *normal(seed, 2, 101, 30), layer) for seed in range(20)]
    assert np.mean(found) == pytest.approx(10 / 100, abs=0.01)


@pytest.mark.parametrize(("row", "least"), [(DEBIASED_CKA, 4), (MUTUAL_NEIGHBOURS, 3)])
def test_too_few_queries_have_no_geometry(row, least):
    for queries in range(1, least + 1):
        x, y = normal(14, 2, queries, 5)
        assert np.isnan(similarity(row, x, y, layer_of(x))) == (queries < least)


states = arrays(np.float64, (3, 6, 4), elements=st.floats(-10, 10, width=16))


@pytest.mark.parametrize("row", SIMILARITIES)
@given(three=states)
def test_a_similarity_is_between_minus_one_and_one_or_undefined(row, three):
    anchor, one, other = three
    layer = layer_of(anchor, span=np.eye(4)[:1])
    values, back = (np.atleast_1d(similarity(row, *two, layer)) for two in ((one, other), (other, one)))
    assert (np.isnan(values) | (np.abs(values) <= 1 + 1e-12)).all()
    assert back == pytest.approx(values, nan_ok=True, abs=1e-12)


@pytest.mark.parametrize("row", SIMILARITIES)
def test_identical_arms_are_as_similar_as_can_be(row):
    anchor, one = normal(15, 2, 30, 8)
    assert similarity(row, one, one, layer_of(anchor, span=np.eye(8)[:2])) == pytest.approx(1)


@pytest.mark.parametrize("row", [row for row in SIMILARITIES if row is not STANDARDISED_COSINE])
@pytest.mark.parametrize("scale", [1.0, 1e-3, 1e4])
def test_rotating_and_scaling_all_states_changes_nothing(row, scale):
    anchor, one, other = normal(16, 3, 30, 8)
    turn = scale * rotation(8)
    before = similarity(row, one, other, layer_of(anchor, span=np.eye(8)[:2]))
    after = similarity(row, one @ turn, other @ turn, layer_of(anchor @ turn, span=rotation(8)[:2]))
    assert after == pytest.approx(before, abs=1e-9)


def test_scaling_and_shifting_each_dimension_changes_no_standardised_cosine():
    anchor, one, other = normal(17, 3, 30, 8)
    scale, shift = np.exp(normal(18, 8)), normal(19, 8)
    moved = [states * scale + shift for states in (anchor, one, other)]
    before = similarity(STANDARDISED_COSINE, one, other, layer_of(anchor))
    assert similarity(STANDARDISED_COSINE, *moved[1:], layer_of(moved[0])) == pytest.approx(before, abs=1e-9)


@pytest.mark.parametrize("row", [row for row in SIMILARITIES if row is not STANDARDISED_COSINE])
def test_the_order_of_queries_does_not_matter(row):
    anchor, one, other = normal(20, 3, 30, 8)
    order, span = np.random.default_rng(21).permutation(30), np.eye(8)[:2]
    before = similarity(row, one, other, layer_of(anchor, span=span))
    after = similarity(row, one[order], other[order], layer_of(anchor[order], span=span))
    assert after == pytest.approx(before[order] if row.by_query else before)


def test_noise_is_the_farthest_of_the_runs_that_should_be_equal():
    h_a = np.array([[1.0, 0.0], [0.0, 0.0]])
    repeats = [h_a + np.array(noise) for noise in ([[0.3, 0.4], [0.0, 0.0]], [[0.0, 0.1], [0.0, 2.0]])]
    assert layer_of(h_a, repeats=repeats).noise == pytest.approx([0.5, 2.0])


def test_noise_is_relative_to_the_update_and_a_zero_update_has_none():
    layer = layer_of(A * 2, repeats=[np.array([[1.0, 0.5, 0.0], [1.0, 0.5, 0.0]])])
    share = noise_share(np.array([[[1.0, 2.0, 0.0], [1.0, 0.0, 0.0]]]), layer)[0]
    assert share[0] == 0.25
    assert np.isnan(share[1])


def test_the_product_of_the_shares_is_the_update_cosine_of_unrelated_updates_from_one_noisy_anchor():
    clean, icl, it, noise = normal(0, 4, 64, 4096)
    layer = layer_of(clean + 2 * noise, repeats=[clean])
    shares = [noise_share((clean + x)[None], layer) for x in (icl, it)]
    measured = similarity(UPDATE_COSINE, clean + icl, clean + it, layer)
    assert measured.mean() == pytest.approx(shared_noise(*shares).mean(), abs=0.01)
    assert measured.mean() > 0.7


def test_shared_noise_is_at_most_one():
    assert shared_noise(np.array([3.0, 0.5]), np.array([2.0, 0.5])).tolist() == [1.0, 0.25]


def test_no_two_measures_have_a_name_in_common_and_each_is_found_by_its_name():
    names = [row.name for row in MEASURES]
    assert len(set(names)) == len(names)
    assert named(MEASURES, [MEASURES[3].name, MEASURES[1].name]) == [MEASURES[1], MEASURES[3]]
    with pytest.raises(KeyError, match=r"nothing.*there are.*cosine"):
        named(MEASURES, ["nothing"])
