import os
import subprocess
import sys
from collections import Counter

import pytest

from workflow_scripts.lib.demonstrations import PoolError, read_draws, sample_draws, write_draws
from workflow_scripts.lib.examples import Example, Examples

WORDS = ["red", "green", "blue"]
POOL = [Example(f"pool-{i}", {"text": f"text {i}"}, WORDS[i % 3]) for i in range(30)]
DATA = Examples(POOL, [], WORDS)


def drawn(factor="shots", levels=(3, 6, 12), *, data=DATA, draws=4, balanced=True, key="0/d", shots=6, labels="gold"):
    reference = {"shots": shots, "labels": labels}
    return sample_draws(
        data, factor=factor, levels=levels, reference=reference, draws=draws, balanced=balanced, key=key
    )


def ids(draw):
    return [one.example.id for one in draw.shown]


def test_fewer_shots_are_the_first_of_more():
    draws = drawn()
    for number in range(4):
        few, some, many = (one for one in draws if one.draw == number)
        assert ids(few) == ids(some)[:3] == ids(many)[:3]


def test_a_draw_depends_on_no_other():
    assert drawn(draws=4)[3] == drawn(draws=20)[3]
    assert [one.shown for one in drawn(levels=(6,))] == [one.shown for one in drawn(levels=(3, 6, 12))[4:8]]
    assert drawn() != drawn(key="1/d")
    assert len({tuple(ids(one)) for one in drawn(levels=(6,), draws=20)}) == 20


def test_a_draw_does_not_depend_on_the_hash_seed():
    code = "from tests.unit.test_demonstrations import drawn; print([one.demo_set for one in drawn()])"
    runs = [
        subprocess.run(
            [sys.executable, "-c", code], env=os.environ | {"PYTHONHASHSEED": seed}, capture_output=True, check=True
        ).stdout
        for seed in ("1", "2")
    ]
    assert runs[0] == runs[1]


def test_classes_in_equal_shares_and_no_example_twice():
    for one in drawn(levels=(6, 12), draws=10):
        assert set(Counter(shown.example.label for shown in one.shown).values()) == {len(one.shown) // 3}
        assert len(set(ids(one))) == len(one.shown)


def test_a_class_that_runs_out_leaves_room_for_others():
    data = Examples([*POOL[:1], *POOL[1:20:3]], [], WORDS)
    (one,) = drawn(levels=(6,), data=data, draws=1)
    assert Counter(shown.example.label for shown in one.shown) == {"green": 5, "red": 1}


def test_label_levels_change_labels_alone():
    gold, flipped, random = (
        [one for one in drawn("labels", ("gold", "flipped", "random"), draws=10) if one.level == level]
        for level in ("gold", "flipped", "random")
    )
    assert [ids(one) for one in gold] == [ids(one) for one in flipped] == [ids(one) for one in random]
    assert all(shown.label == shown.example.label for one in gold for shown in one.shown)
    mapping = {(shown.example.label, shown.label) for one in flipped for shown in one.shown}
    assert mapping == {("red", "green"), ("green", "blue"), ("blue", "red")}
    assert {shown.label for one in random for shown in one.shown} == set(WORDS)
    assert any(shown.label == shown.example.label for one in random for shown in one.shown)


def test_demo_set_tells_order_and_labels_apart():
    draws = drawn("labels", ("gold", "flipped"), draws=1)
    assert draws[0].demo_set != draws[1].demo_set
    assert draws[0].demo_set == drawn("shots", (6,), draws=1)[0].demo_set
    reordered = type(draws[0])("gold", 0, draws[0].shown[::-1])
    assert reordered.demo_set != draws[0].demo_set


def test_more_shots_than_the_pool_has():
    with pytest.raises(PoolError, match="31 shots are more than the pool's 30"):
        drawn(levels=(31,))


def test_written_draws_read_back(tmp_path):
    draws = drawn("labels", ("gold", "random"))
    write_draws(draws, WORDS, tmp_path / "draws.parquet", {})
    assert read_draws(tmp_path / "draws.parquet") == draws
