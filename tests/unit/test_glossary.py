"""What the glossary says of differences, held against numbers."""

import numpy as np
import pytest

from workflow_scripts.lib.data.partners import next_of_other_label, next_of_same_label
from workflow_scripts.lib.report.glossary import glossary

D = 400
TWO = (0, 1) * 20


def updates_of(labels, spread):
    """Updates (queries, d) of a general part and a query part: a direction of each label, and one of each query."""
    rng = np.random.default_rng(0)
    of_label, of_query = rng.normal(size=(max(labels) + 1, D)), rng.normal(size=(len(labels), D))
    return rng.normal(size=D) + of_label[list(labels)] + spread * of_query


def query_part(updates):
    return ((updates - updates.mean(axis=0)) ** 2).sum() / (updates**2).sum()


def own_less_another(updates, partners):
    """The pooled update cosine of two equal arms, less the same with each query's partner in its place."""
    return (updates * (updates - updates[partners])).sum() / (updates**2).sum()


@pytest.mark.parametrize(
    ("labels", "spread", "times"),
    [(TWO, 0, 2), ((0, 1, 2) * 14, 0, 3 / 2), (TWO, 1, 4 / 3), (tuple(range(40)), 0, 1)],
    ids=["two labels", "three labels", "much of it each query's own", "a label each"],
)
def test_own_query_less_one_of_another_label_is_more_than_the_query_part(labels, spread, times):
    updates = updates_of(labels, spread)
    found = own_less_another(updates, next_of_other_label(labels))
    assert found == pytest.approx(times * query_part(updates), rel=0.05)


def test_own_query_less_one_of_the_same_label_is_less_than_the_query_part():
    updates = updates_of(TWO, 1)
    found = own_less_another(updates, next_of_same_label(TWO))
    assert found == pytest.approx(2 / 3 * query_part(updates), rel=0.05)


def test_the_glossary_says_by_how_much():
    said = next(entry.meaning for entry in glossary("95 %", "some") if entry.term.startswith("Parts"))
    assert "own query less another, other label is more than query and interaction, with two labels up to twice" in said
    assert "Own query less another, same label is less than they are" in said
