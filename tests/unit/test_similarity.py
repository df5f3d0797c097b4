from typing import get_args

import numpy as np
import pytest

from workflow_scripts.lib import similarity
from workflow_scripts.lib.settings import Measure

A = np.array([[1.0, 0.0, 0.0]])


def test_cosine_of_known_angles():
    x = np.array([[3.0, 0.0], [1.0, 1.0], [2.0, 0.0]])
    y = np.array([[0.0, 2.0], [1.0, 0.0], [-5.0, 0.0]])
    assert similarity.cosine(x, y) == pytest.approx([0.0, np.sqrt(0.5), -1.0])


def test_cosine_is_computed_in_float64():
    x = np.array([[1e4, 1.0]], dtype=np.float32)
    y = np.array([[-1e-4, 1.0 + 2**-20]], dtype=np.float32)
    exact = float(x[0].astype(float) @ y[0].astype(float))
    assert similarity.cosine(x, y)[0] * np.linalg.norm(x.astype(float)) * np.linalg.norm(
        y.astype(float)
    ) == pytest.approx(exact, rel=1e-9)


def test_update_cosine_by_hand():
    h_i, h_t = np.array([[1.0, 2.0, 0.0]]), np.array([[1.0, 3.0, 4.0]])
    assert similarity.update_cosine(A, h_i, h_t) == pytest.approx([0.6])


def test_unrelated_noise_has_no_update_cosine_though_normalising_first_gives_a_quarter():
    rng = np.random.default_rng(0)
    d = 4096
    anchor, r, s = (rng.normal(size=(64, d)) for _ in range(3))
    h_i, h_t = anchor + np.sqrt(3) * r, anchor + np.sqrt(3) * s
    a, i, t = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (anchor, h_i, h_t))
    assert similarity.update_cosine(a, i, t).mean() == pytest.approx(0.25, abs=0.01)
    assert similarity.update_cosine(anchor, h_i, h_t).mean() == pytest.approx(0.0, abs=0.01)


def test_partial_cosine_is_that_of_the_parts_orthogonal_to_the_anchor():
    h_i, h_t = np.array([[5.0, 1.0, 0.0]]), np.array([[-2.0, 1.0, 1.0]])
    assert similarity.partial_cosine(A, h_i, h_t) == pytest.approx([np.sqrt(0.5)])


def test_partial_cosine_equals_its_formula():
    a, i, t = np.random.default_rng(1).normal(size=(3, 50, 8))
    s_ai, s_at, s_it = similarity.cosine(a, i), similarity.cosine(a, t), similarity.cosine(i, t)
    formula = (s_it - s_ai * s_at) / np.sqrt((1 - s_ai**2) * (1 - s_at**2))
    assert similarity.partial_cosine(a, i, t) == pytest.approx(formula)


def test_partial_cosine_keeps_its_digits_close_to_the_anchor():
    h_i, h_t = np.array([[1.0, 1e-6, 0.0]]), np.array([[1.0, 1e-6, 1e-6]])
    assert similarity.partial_cosine(A, h_i, h_t) == pytest.approx([np.sqrt(0.5)], rel=1e-6)


def test_a_state_on_the_anchors_line_has_no_partial_cosine():
    anchor = np.random.default_rng(2).normal(size=(20, 64))
    other = anchor + np.random.default_rng(3).normal(size=(20, 64))
    assert np.isnan(similarity.partial_cosine(anchor, 3 * anchor, other)).all()


def test_movement_is_relative_to_the_anchors_norm():
    assert similarity.movement([[3.0, 4.0]], [[3.0, 1.0]]) == pytest.approx([0.6])


def test_zero_updates_are_excluded_and_counted():
    anchor = np.array([[1.0, 2.0], [1.0, 2.0], [1.0, 2.0]])
    h_i = np.array([[1.0, 3.0], [2.0, 2.0], [1.0, 2.0]])
    h_t = np.array([[1.0, 4.0], [1.0, 2.0], [1.0, 2.0]])
    values = similarity.update_cosine(anchor, h_i, h_t)
    assert np.isnan(values).tolist() == [False, True, True]
    assert similarity.mean_and_counts(values) == (1.0, 1, 2)


def test_a_measure_that_nothing_has_is_none_and_not_zero():
    assert similarity.mean_and_counts(np.array([np.nan, np.nan])) == (None, 0, 2)


def test_the_order_of_rows_does_not_matter():
    a, i, t = np.random.default_rng(4).normal(size=(3, 30, 5))
    order = np.random.default_rng(5).permutation(30)
    for name in ("update_cosine", "partial_cosine"):
        measure = getattr(similarity, name)
        assert measure(a, i, t)[order] == pytest.approx(measure(a[order], i[order], t[order]))


def test_noise_is_the_farthest_of_the_runs_that_should_be_equal():
    h_a = np.array([[1.0, 0.0], [0.0, 0.0]])
    repeated = [h_a + np.array(noise) for noise in ([[0.3, 0.4], [0.0, 0.0]], [[0.0, 0.1], [0.0, 2.0]])]
    assert similarity.noise_norm(h_a, repeated) == pytest.approx([0.5, 2.0])


def test_noise_is_relative_to_the_update_and_a_zero_update_has_none():
    h_x = np.array([[1.0, 2.0, 0.0], [1.0, 0.0, 0.0]])
    share = similarity.noise_share([0.5, 0.5], np.repeat(A, 2, axis=0), h_x)
    assert share[0] == 0.25
    assert np.isnan(share[1])


def test_the_product_of_the_shares_is_the_update_cosine_of_unrelated_updates_from_one_noisy_anchor():
    rng = np.random.default_rng(0)
    clean, icl, it, noise = rng.normal(size=(4, 64, 4096))
    h_a = clean + 2 * noise
    seen = similarity.noise_norm(h_a, [clean])
    shares = [similarity.noise_share(seen, h_a, clean + x) for x in (icl, it)]
    measured = similarity.update_cosine(h_a, clean + icl, clean + it)
    assert measured.mean() == pytest.approx((shares[0] * shares[1]).mean(), abs=0.01)
    assert measured.mean() > 0.7


def test_accuracy_is_within_the_label_set():
    scores = np.log([[0.2, 0.1, 0.3], [0.6, 0.1, 0.1], [0.1, 0.5, 0.1]])
    assert similarity.accuracy(scores, [2, 1, 1]).tolist() == [1.0, 0.0, 1.0]


def test_open_accuracy_is_over_the_vocabulary():
    assert similarity.open_accuracy([7, 9], [7, 8]).tolist() == [1.0, 0.0]


def test_agreement_counts_equal_predictions_right_or_wrong():
    one, other = np.log([[0.9, 0.1], [0.4, 0.6]]), np.log([[0.6, 0.4], [0.7, 0.3]])
    assert similarity.agreement(one, other).tolist() == [1.0, 0.0]


def test_every_measure_of_the_settings_is_a_function():
    assert [name for name in get_args(Measure) if not callable(getattr(similarity, name, None))] == []
