import os
import subprocess
import sys
from collections import Counter
from dataclasses import replace

import pytest

from workflow_scripts.lib.data.choice import Choice, SampleDemonstrations
from workflow_scripts.lib.data.drawing import PoolError
from workflow_scripts.lib.data.examples import Example, Examples, read_examples, write_examples
from workflow_scripts.lib.data.sampling import sample_sets
from workflow_scripts.lib.data.sets import (
    Demonstration,
    DemonstrationSet,
    OtherTask,
    Place,
    read_sets,
    read_told,
    write_sets,
)
from workflow_scripts.lib.data.shown import (
    Beside,
    ShownError,
    another_task,
    as_drawn,
    as_long_as,
    reordered,
    shuffled_labels,
)
from workflow_scripts.lib.data.template import Template

WORDS = ["red", "green", "blue"]
POOL = [Example(f"pool-{i}", {"text": f"text {i}"}, WORDS[i % 3]) for i in range(30)]
TEMPLATE = Template(query="{text}:")
DATA = Examples(POOL, [], WORDS, TEMPLATE)


def drawn(shots=6, labels="gold", *, data=DATA, draws=4, balanced=True, seed=0, **changes):
    choice = Choice(shots=shots, labels=labels, **changes)
    return sample_sets(data, choice, draws=draws, settings=SampleDemonstrations(balanced=balanced), seed=seed)


def sets(*args, **settings):
    """The set of each draw."""
    by_draw = {place.draw: each.set for each in drawn(*args, **settings) for place in each.serves}
    return [by_draw[draw] for draw in sorted(by_draw)]


def ids(one):
    return [shown.id for shown in one.demonstrations]


def test_fewer_shots_are_the_first_of_more():
    for few, some, many in zip(sets(3), sets(6), sets(12), strict=True):
        assert ids(few) == ids(some)[:3] == ids(many)[:3]


def test_a_draw_depends_on_no_other():
    assert sets(draws=4)[3] == sets(draws=20)[3]
    assert sets() != sets(seed=1)
    assert len({tuple(ids(one)) for one in sets(draws=20)}) == 20


def test_a_draw_does_not_depend_on_the_hash_seed():
    code = "from tests.unit.test_sets import sets; print([one.id for one in sets()])"
    runs = [
        subprocess.run(
            [sys.executable, "-c", code], env=os.environ | {"PYTHONHASHSEED": seed}, capture_output=True, check=True
        ).stdout
        for seed in ("1", "2")
    ]
    assert runs[0] == runs[1]


def test_classes_in_equal_shares_and_no_example_twice():
    for one in [*sets(6, draws=10), *sets(12, draws=10)]:
        counts = Counter(shown.gold for shown in one.demonstrations)
        assert set(counts.values()) == {len(one.demonstrations) // 3}
        assert len(set(ids(one))) == len(one.demonstrations)


def test_a_class_that_runs_out_leaves_room_for_others():
    data = Examples([*POOL[:1], *POOL[1:20:3]], [], WORDS, TEMPLATE)
    (one,) = sets(data=data, draws=1)
    assert Counter(shown.gold for shown in one.demonstrations) == {"green": 5, "red": 1}


def test_label_levels_change_labels_alone():
    gold, flipped, random = (sets(labels=rule, draws=10) for rule in ("gold", "flipped", "random"))
    assert [ids(one) for one in gold] == [ids(one) for one in flipped] == [ids(one) for one in random]
    every = {"gold": gold, "flipped": flipped, "random": random}
    words = {rule: {(d.gold, d.label) for one in some for d in one.demonstrations} for rule, some in every.items()}
    assert words["gold"] == {(word, word) for word in WORDS}
    assert words["flipped"] == {("red", "green"), ("green", "blue"), ("blue", "red")}
    assert words["random"] == {(gold, word) for gold in WORDS for word in WORDS}


def test_an_id_tells_order_and_labels_apart():
    (gold,), (flipped,) = sets(draws=1), sets(labels="flipped", draws=1)
    turned = DemonstrationSet(gold.demonstrations[::-1])
    assert len({gold.id, flipped.id, turned.id}) == 3
    assert gold.id == sets(draws=1)[0].id


def test_draws_that_come_to_the_same_set_share_it():
    data = Examples(POOL[:2], [], WORDS, TEMPLATE)
    made = drawn(1, data=data, draws=10)
    assert len(made) == 2
    assert sorted(place for each in made for place in each.serves) == [Place(draw) for draw in range(10)]


def test_more_shots_than_the_pool_has():
    with pytest.raises(PoolError, match="31 shots are more than the pool's 30"):
        drawn(31)


def test_written_sets_read_back(tmp_path):
    made = drawn(2, "random")
    write_sets(made, tmp_path / "sets.parquet", {})
    assert read_sets(tmp_path / "sets.parquet") == made


# Names of columns of ours, of sets and of examples: a field that is called so must come through whole.
FIELDS = ["id", "split", "label", "level", "draw", "order", "set", "shown", "fields", "gold", "label_word", "serves"]


def test_a_text_field_may_be_called_as_a_column_is(tmp_path):
    template = Template(query=" ".join(f"{{{name}}}" for name in FIELDS if name != "label"))
    pool = [Example(f"pool-{i}", {name: f"{name} {i}" for name in FIELDS}, WORDS[i % 3]) for i in range(6)]
    data = Examples(pool, pool[:2], WORDS, template)
    write_examples(data, tmp_path / "examples.parquet", {})
    assert read_examples(tmp_path / "examples.parquet") == data
    made = drawn(4, data=data)
    write_sets(made, tmp_path / "sets.parquet", {})
    assert read_sets(tmp_path / "sets.parquet") == made
    assert made[0].set.demonstrations[0].fields == data.pool[int(ids(made[0].set)[0].split("-")[1])].fields


def labelled(name, word):
    return Demonstration(name, {"text": name}, word, word)


def test_shuffled_labels_are_the_same_and_some_is_another_ones():
    words = ["good", "good", "bad", "bad"]
    for number in range(200):  # one of six arrangements is the set's own
        one = DemonstrationSet(tuple(labelled(f"{number}-{i}", word) for i, word in enumerate(words)))
        shown = shuffled_labels(one)
        assert [each.id for each in shown] == [each.id for each in one.demonstrations]
        assert sorted(each.label for each in shown) == sorted(words)
        assert [each.label for each in shown] != words
        assert [each.gold for each in shown] == words
    alike = DemonstrationSet((labelled("a", "good"), labelled("b", "good")))
    assert list(shuffled_labels(alike)) == list(alike.demonstrations)


def test_reordered_is_another_order_of_the_same():
    for one in sets(draws=8):
        assert list(as_drawn(one)) == list(one.demonstrations)
        assert sorted(reordered(one), key=str) == sorted(one.demonstrations, key=str)
        assert list(reordered(one)) != list(one.demonstrations)
        assert reordered(one) == reordered(one)
    (alone,) = sets(1, draws=1)
    assert list(reordered(alone)) == list(alone.demonstrations)
    twice = DemonstrationSet(alone.demonstrations * 2)
    assert list(reordered(twice)) == list(twice.demonstrations)


def test_permuted_labels_are_a_mapping_of_each_draws_own():
    made = sets(12, "permuted", draws=20)
    mappings = {tuple(sorted({(one.gold, one.label) for one in each.demonstrations})) for each in made}
    assert all(len(mapping) == 3 == len({label for _, label in mapping}) for mapping in mappings)
    assert len(mappings) == 6
    assert [ids(one) for one in made] == [ids(one) for one in sets(12, draws=20)]
    for few, many in zip(sets(3, "permuted"), sets(12, "permuted"), strict=True):
        assert few.demonstrations == many.demonstrations[:3]


@pytest.mark.parametrize("rule", ["shuffled-words", "random-words"])
def test_inputs_without_sense_keep_number_of_words_labels_and_order(rule):
    pool = [Example(f"pool-{i}", {"text": f"w{i} x{i} y{i}", "other": f"z{i}"}, WORDS[i % 3]) for i in range(12)]
    data = Examples(pool, [], WORDS, Template(query="{text} {other}"))
    every = {name: {word for one in pool for word in one.fields[name].split()} for name in ("text", "other")}
    changed = 0
    for real, made in zip(sets(6, data=data), sets(6, data=data, inputs=rule), strict=True):
        for one, other in zip(real.demonstrations, made.demonstrations, strict=True):
            assert (one.id, one.label) == (other.id, other.label)
            own, shown = ({name: text.split() for name, text in each.fields.items()} for each in (one, other))
            changed += own != shown
            for name in own:
                assert len(own[name]) == len(shown[name])
                assert set(shown[name]) <= every[name]
                assert rule == "random-words" or sorted(own[name]) == sorted(shown[name])
    assert changed > 12
    assert sets(6, data=data, inputs=rule) == sets(6, data=data, inputs=rule)


def test_orders_are_others_of_the_same_demonstrations():
    drawn_order, first, second = (sets(6, order=number, draws=8) for number in (0, 1, 2))
    for plain, one, other in zip(drawn_order, first, second, strict=True):
        assert sorted(ids(plain)) == sorted(ids(one)) == sorted(ids(other))
        assert plain.demonstrations not in (one.demonstrations, other.demonstrations)
    assert first != second


def test_demonstrations_of_another_task_are_that_ones_without_the_queries():
    words = ["hot", "cold"]
    pool = [Example(f"pool-{i}", {"line": f"text {i}"}, words[i % 2]) for i in range(12)]
    theirs = OtherTask("weather", Examples(pool, [], words, Template(query="{line} =", label=" {label}")))
    asked = replace(DATA, queries=[Example("query-0", {"text": "Text  3."}, "red")])
    made = sample_sets(asked, Choice(shots=4), draws=10, settings=SampleDemonstrations(), seed=0, other=theirs)
    shown = [one for each in made for one in each.set.demonstrations]
    assert {one.task for one in shown} == {"weather"}
    assert {one.label for one in shown} == set(words)
    assert {one.fields["line"] for one in shown} == {f"text {i}" for i in range(12) if i != 3}
    own = sample_sets(theirs.examples, Choice(shots=4), draws=10, settings=SampleDemonstrations(), seed=0)
    assert {each.set.id for each in own}.isdisjoint({each.set.id for each in made})


def test_how_another_task_is_told_goes_with_its_sets(tmp_path):
    theirs = OtherTask("weather", replace(DATA, words=[*WORDS, "white"], template=Template(query="{text} =")))
    made = sample_sets(DATA, Choice(shots=2), draws=2, settings=SampleDemonstrations(), seed=0, other=theirs)
    write_sets(made, tmp_path / "sets.parquet", {}, theirs)
    assert read_sets(tmp_path / "sets.parquet") == made
    assert read_told(tmp_path / "sets.parquet") == {"weather": theirs.examples.wording}
    write_sets(drawn(), tmp_path / "sets.parquet", {})
    assert read_told(tmp_path / "sets.parquet") == {}


@pytest.mark.parametrize(
    ("room", "lengths", "places"),
    [
        (10, [4, 3, 3, 9], [0, 1, 2]),  # the first that fit, to the last token
        (10, [4, 7, 3, 2], [0, 2, 3]),  # what does not fit is passed over; 9 of 10
        (10, [4, 3, 5, 6], [0, 3]),  # 3 for 6: 10 of 10
        (10, [4, 4, 5, 9], [2, 1]),  # the first of two exchanges that leave as little
        (3, [4, 5], []),
    ],
)
def test_another_tasks_demonstrations_are_as_long_as_the_set(room, lengths, places):
    assert as_long_as(room, lengths) == places


def test_another_task_takes_the_sets_place_and_depends_on_the_set_alone():
    one, other = (DemonstrationSet((Demonstration(name, {"text": "a b c"}, "x", "x"),)) for name in ("p", "q"))
    others = [Demonstration(f"o{i}", {"text": "w"}, "y", "y", "another") for i in range(30)]
    at_hand = Beside(others, lambda shown: len(shown.fields["text"].split()))
    shown = another_task(one, at_hand)
    assert len(shown) == 3
    assert {each.task for each in shown} == {"another"}
    assert shown == another_task(one, at_hand)
    assert shown != another_task(other, at_hand)
    long = [Demonstration("o", {"text": "a b c d"}, "y", "y", "another")]
    with pytest.raises(ShownError, match="as short as a set of this one, 3 tokens"):
        another_task(one, at_hand._replace(others=long))
