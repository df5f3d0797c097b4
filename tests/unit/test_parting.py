"""Pool and queries out of one file: by seed, by text and by label, with nothing on both sides."""

from collections import Counter

import pytest

from workflow_scripts.lib.data.examples import Example
from workflow_scripts.lib.data.parting import apart, distinct, nearly, normalised, set_aside
from workflow_scripts.lib.data.rows import DataError


def examples(*texts, label="a"):
    return [Example(f"{i:06d}", {"text": text}, label) for i, text in enumerate(texts)]


def many(counts):
    made = [(f"{label} text {i}", label) for label, count in counts.items() for i in range(count)]
    return [Example(f"{i:06d}", {"text": text}, label) for i, (text, label) in enumerate(made)]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Fine film", "fine  film"),
        ("a fine film .", "A fine film."),
        ("it\u2019s fine", "it's fine!"),
        ("\u201cfine\u201d", '"fine"'),
        ("caf\u00e9", "cafe\u0301"),
        ("\uff46ine", "fine"),
    ],
)
def test_texts_that_are_nearly_the_same(one, other):
    first, second = examples(one, other)
    assert nearly(first) == nearly(second)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("5 * 3", "5 / 3"),
        ("good \U0001f600", "good \U0001f621"),
        ("\u0915\u093f", "\u0915\u0940"),
        (":)", ":("),
        ("...", "!"),
        ("not fine", "fine"),
    ],
)
def test_texts_that_are_not(one, other):
    first, second = examples(one, other)
    assert nearly(first) != nearly(second)


def test_within_a_split_only_equal_texts_count_as_one():
    assert [one.fields["text"] for one in distinct(examples("Fine", "fine", "fine!"))] == ["Fine", "fine!"]


def test_the_pool_loses_what_is_nearly_a_query():
    assert [one.fields["text"] for one in apart(examples("Fine .", "dull"), examples("fine"))] == ["dull"]


@pytest.mark.parametrize(("wanted", "expected"), [(0.2, {"a": 16, "b": 3, "c": 1}), (7, {"a": 6, "b": 1})])
def test_labels_have_the_same_shares_on_both_sides(wanted, expected):
    every = many({"a": 80, "b": 15, "c": 5})
    pool, queries = set_aside(every, wanted, seed=0)
    assert Counter(one.label for one in queries) == expected
    assert sorted(pool + queries, key=lambda one: one.id) == every


def test_which_are_set_aside_depends_on_the_seed_alone():
    every = many({"a": 30, "b": 30})
    assert set_aside(every, 0.5, seed=0) == set_aside(every, 0.5, seed=0)
    assert set_aside(every, 0.5, seed=0) != set_aside(every, 0.5, seed=1)


@pytest.mark.parametrize("seed", range(10))
def test_nearly_equal_texts_go_to_one_side(seed):
    every = [
        Example(f"{2 * i + j}", {"text": f"text {i}{end}"}, "ab"[i % 2])
        for i in range(20)
        for j, end in enumerate(".!")
    ]
    pool, queries = set_aside(distinct(every), 0.3, seed=seed)
    assert {normalised(one) for one in every} == {normalised(one) for one in pool + queries}
    assert not set(map(nearly, pool)) & set(map(nearly, queries))
    assert len(queries) == 12


def test_every_label_keeps_a_text_in_the_pool():
    pool, queries = set_aside(many({"a": 10, "b": 1}), 0.9, seed=0)
    assert {one.label for one in pool} == {"a", "b"}
    assert {one.label for one in queries} == {"a"}


@pytest.mark.parametrize("wanted", [4, 9, 0.01])
def test_both_sides_need_some(wanted):
    with pytest.raises(DataError, match="both sides need some"):
        set_aside(many({"a": 2, "b": 2}), wanted, seed=0)
