"""Measures of answers, by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import entropy

from workflow_scripts.lib.measures import on_answers as measure
from workflow_scripts.lib.measures.on_answers import Answers, Asked


def answers(*of_queries, written=None):
    """Of one draw, from probabilities."""
    scores = np.log(np.array([of_queries]))
    return Answers(scores, np.zeros(scores.shape[:2], int) if written is None else np.array([written]))


def asked(labels, anchor=None):
    return Asked(np.array(labels), anchor)


def test_accuracy_is_within_the_label_set():
    found = measure.accuracy(answers([0.2, 0.1, 0.3], [0.6, 0.1, 0.1], [0.1, 0.5, 0.1]), asked([2, 1, 1]))
    assert found.tolist() == [[1.0, 0.0, 1.0]]


def test_open_accuracy_is_over_the_vocabulary():
    found = measure.open_accuracy(answers([1.0], [1.0], [1.0], written=[0, -1, 1]), asked([0, 0, 0]))
    assert found.tolist() == [[1.0, 0.0, 0.0]]


def test_agreement_counts_equal_predictions_right_or_wrong():
    one, other = answers([0.9, 0.1], [0.4, 0.6]), answers([0.6, 0.4], [0.7, 0.3])
    assert measure.agreement(one, other, asked([1, 1])).tolist() == [[1.0, 0.0]]


def test_divergences_are_in_bits_and_of_distributions_over_the_labels():
    one, anchor = answers([0.25, 0.25]), answers([0.3, 0.1])  # half and half; three quarters and a quarter
    kl = measure.kl_from_anchor(one, asked([0], anchor))
    assert kl == pytest.approx(np.array([[0.5 * np.log2(0.5 / 0.75) + 0.5 * np.log2(0.5 / 0.25)]]))
    certain, other = answers([1.0, 1e-300]), answers([1e-300, 1.0])
    assert measure.jensen_shannon(certain, other, asked([0])) == pytest.approx(np.array([[1.0]]))


def test_the_anchor_has_one_draw_and_an_arm_many():
    scores = np.random.default_rng(0).normal(size=(3, 4, 2))
    arm, anchor = Answers(scores, np.zeros((3, 4))), Answers(scores[:1], np.zeros((1, 4)))
    question = Asked(np.zeros(4, int), anchor)
    kl = measure.kl_from_anchor(arm, question)
    assert kl.shape == measure.jensen_shannon(anchor, arm, question).shape == (3, 4)
    assert kl[0] == pytest.approx(np.zeros(4))


log_probs = arrays(np.float64, (2, 3, 4), elements=st.floats(-20, 0, width=32))


@given(log_probs, log_probs)
def test_divergences_equal_scipys(x, y):
    one, other = Answers(x, np.zeros((2, 3))), Answers(y, np.zeros((2, 3)))
    p, q = (np.exp(scores) for scores in (x, y))
    shares = [x / x.sum(axis=-1, keepdims=True) for x in (p, q)]
    apart, middle = sum(entropy(x, base=2, axis=-1) for x in shares) / 2, entropy(sum(shares), base=2, axis=-1)
    js = measure.jensen_shannon(one, other, asked([0, 0, 0]))
    assert js == pytest.approx(middle - apart, abs=1e-7)
    assert js == pytest.approx(measure.jensen_shannon(other, one, asked([0, 0, 0])), abs=1e-12)
    assert ((js >= 0) & (js <= 1 + 1e-12)).all()
    kl = measure.kl_from_anchor(one, asked([0, 0, 0], other))
    assert kl == pytest.approx(entropy(p, q, base=2, axis=-1), abs=1e-7)


def test_a_label_without_any_probability_counts_nothing():
    one, other = Answers(np.array([[[0.0, -np.inf]]]), np.zeros((1, 1))), answers([0.5, 0.5])
    assert measure.jensen_shannon(one, one, asked([0])) == pytest.approx(np.zeros((1, 1)))
    assert measure.kl_from_anchor(one, asked([0], other)) == pytest.approx(np.ones((1, 1)))


def test_recall_of_tuning_is_over_what_tuning_gained():
    right, wrong = [0.9, 0.1], [0.1, 0.9]
    #                query: gained by both, by IT alone, known before, lost, by ICL alone
    anchor = answers(wrong, wrong, right, right, wrong)
    icl = answers(right, wrong, right, wrong, right)
    it = answers(right, right, right, wrong, wrong)
    found = measure.recall_of_tuning(icl, it, asked([0] * 5, anchor))
    assert np.nan_to_num(found, nan=-1).tolist() == [[1.0, 0.0, -1.0, -1.0, -1.0]]
    assert np.nanmean(found) == 0.5


def test_recall_of_tuning_is_undefined_where_tuning_gained_nothing():
    anchor = answers([0.9, 0.1])
    assert np.isnan(measure.recall_of_tuning(anchor, anchor, asked([0], anchor))).all()
