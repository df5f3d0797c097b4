"""A level's tables: which rows there are, what they count, and that threads change no number."""

import numpy as np
import pytest

from workflow_scripts.lib.measures import AGREEMENT, COSINE, HEADLINE, MEASURES, MOVEMENT, NOISE, SIMILARITIES
from workflow_scripts.lib.measures.contrasts import CONTRASTS, OTHER_DRAW, OWN
from workflow_scripts.lib.measures.kinds import Accord, Behaviour, Change, Similarity
from workflow_scripts.lib.measures.layer import Layer
from workflow_scripts.lib.measures.level import Level, compare
from workflow_scripts.lib.measures.on_answers import Answers, Asked
from workflow_scripts.lib.measures.parts import Products, parts_of

DRAWS, QUERIES, D, LAYERS = [3, 5, 8], 40, 24, 2


def level(draws=DRAWS, queries=QUERIES, seed=0, arms=("icl", "it", "both"), **more):
    dice = np.random.default_rng(seed)
    gold = np.arange(queries) % 2

    def answers(count):
        return Answers(dice.normal(size=(count, queries, 2)), dice.integers(-1, 2, (count, queries)))

    anchor = dice.normal(size=(LAYERS, queries, D)).astype(np.float32)
    states = dice.normal(size=(LAYERS, len(arms), len(draws), queries, D)).astype(np.float32)

    def read(number):
        layer = Layer(anchor[number], gold, [anchor[number] + 0.1], np.eye(D)[:1], number)
        return layer, dict(zip(arms, states[number], strict=True))

    asked = Asked(gold, answers(1))
    given = {arm: answers(len(draws)) for arm in arms}
    made = Level("anchor", draws, asked, given, range(LAYERS), read, sets_serve_all=True)
    return made._replace(**more)


def tables(one, measures=MEASURES, contrasts=CONTRASTS, threads=1):
    found = list(compare(one, measures, contrasts, threads))
    return [row for part in found for row in part.rows], [row for part in found for row in part.products]


def test_every_measure_has_its_rows_for_every_draw():
    rows, _ = tables(level())
    keys = [(row.draw, row.layer, row.one, row.other, row.match, row.measure, row.answers) for row in rows]
    assert len(set(keys)) == len(keys)
    assert {row.draw for row in rows} == set(DRAWS)
    for measure in MEASURES:
        mine = [row for row in rows if row.measure == measure.name]
        if getattr(measure, "kind", Answers) is not Answers:
            assert mine == []
            continue
        if isinstance(measure, Behaviour | Accord):
            assert {row.layer for row in mine} == {None}
        elif isinstance(measure, Similarity | Change):
            assert {row.layer for row in mine} == {0, 1}
        if isinstance(measure, Behaviour | Change):
            assert {(row.other, row.match) for row in mine} == {(None, None)}
        elif isinstance(measure, Accord):
            assert {row.match for row in mine} == {OWN.name}


def test_arms_are_compared_in_their_order_and_the_anchor_first():
    rows, products = tables(level())
    of_states = {(row.one, row.other) for row in rows if row.measure == COSINE.name}
    of_updates = {(row.one, row.other) for row in rows if row.measure == HEADLINE.name}
    assert of_updates == {("icl", "it"), ("icl", "both"), ("it", "both")}
    assert of_states - of_updates == {("anchor", "icl"), ("anchor", "it"), ("anchor", "both")}
    assert {(row.one, row.other) for row in products} == of_updates | {(arm, arm) for arm in ("icl", "it", "both")}


def test_rows_say_the_mean_and_what_it_is_of():
    one = level()
    layer, states = one.read(1)
    states["icl"][0, :4] = layer.anchor[:4]  # four updates of zero in the first draw
    rows, _ = tables(one, [HEADLINE])
    [row] = [row for row in rows if row[:7] == (DRAWS[0], 1, "icl", "it", OWN.name, HEADLINE.name, "all")]
    x, y = ((states[arm][0] - layer.anchor)[4:] for arm in ("icl", "it"))
    cosines = (x * y).sum(1) / np.sqrt((x**2).sum(1) * (y**2).sum(1))
    assert row.value == pytest.approx(cosines.mean(), abs=1e-12)
    assert (row.queries, row.excluded) == (QUERIES - 4, 4)


def test_own_is_split_by_whether_the_arms_predict_the_same():
    one = level()
    rows, _ = tables(one, [COSINE])
    mine = {
        row.answers: row
        for row in rows
        if (row.draw, row.layer, row.one, row.other, row.match) == (8, 0, "anchor", "it", OWN.name)
    }
    layer, states = one.read(0)
    same = one.asked.anchor.label_log_probs[0].argmax(1) == one.answers["it"].label_log_probs[2].argmax(1)
    x, y = layer.anchor, states["it"][2].astype(float)
    cosines = (x * y).sum(1) / np.sqrt((x**2).sum(1) * (y**2).sum(1))
    assert mine["same"].value == pytest.approx(cosines[same].mean(), abs=1e-12)
    assert mine["different"].value == pytest.approx(cosines[~same].mean(), abs=1e-12)
    assert mine["same"].queries == same.sum()
    assert mine["different"].queries == (~same).sum()
    assert {row.match for row in rows if row.answers != "all"} == {OWN.name}


def test_a_draw_that_stands_alone_has_no_other_and_says_so():
    rows, products = tables(level(draws=[2]))
    alone = [row for row in rows if row.match == OTHER_DRAW.name]
    assert alone
    assert {row.value for row in alone} == {None}
    assert {(row.queries, row.excluded) for row in alone} == {(0, QUERIES)}
    assert len(products[0].same_query) == 1


@pytest.mark.parametrize("queries", [1, 2])
def test_one_or_two_queries_are_no_crash(queries):
    rows, _ = tables(level(queries=queries))
    assert {row.value for row in rows if row.measure == COSINE.name and row.match == OWN.name and row.answers == "all"}
    assert all(row.value is None or np.isfinite(row.value) for row in rows)


def test_arms_that_are_the_anchor_have_no_updates():
    one = level()

    def read(number):
        layer, states = one.read(number)
        still = np.broadcast_to(layer.anchor.astype(np.float32), states["icl"].shape)
        return layer, dict.fromkeys(states, still)

    rows, _ = tables(one._replace(read=read))
    updates = {row.name for row in SIMILARITIES if row.of_updates}
    for row in rows:
        if row.measure in updates and row.answers == "all":
            assert (row.value, row.queries, row.excluded) == (None, 0, QUERIES)
        if row.measure == MOVEMENT.name:
            assert row.value == 0
        if row.measure in {COSINE.name} and row.match == OWN.name and row.answers == "all":
            assert row.value == pytest.approx(1)


def test_without_repeats_there_is_no_noise_and_without_a_span_nothing_of_labels():
    one = level()

    def read(number):
        layer, states = one.read(number)
        return Layer(layer.anchor, layer.labels, number=number), states

    with_all, without = ({row.measure for row in tables(level)[0]} for level in (one, one._replace(read=read)))
    assert with_all - without == {NOISE.name, *(row.name for row in MEASURES if getattr(row, "of_labels", False))}


def test_chosen_measures_and_contrasts_are_made_and_no_others():
    rows, _ = tables(level(), [COSINE, AGREEMENT], [OTHER_DRAW])
    assert {row.measure for row in rows} == {COSINE.name, AGREEMENT.name, NOISE.name}
    assert {row.match for row in rows if row.measure == COSINE.name} == {OTHER_DRAW.name}


def test_products_give_the_pooled_update_cosine():
    one = level()
    _, products = tables(one)
    held = {
        (row.one, row.other): Products(*(np.reshape(m, (3, 3)) for m in (row.same_query, row.all_queries)))
        for row in products
        if row.layer == 1
    }
    layer, states = one.read(1)
    x, y = (states[arm] - layer.anchor for arm in ("icl", "both"))
    found = parts_of(held["icl", "both"], held["icl", "icl"], held["both", "both"])["whole"]
    assert found.contribution == pytest.approx((x * y).sum() / np.sqrt((x**2).sum() * (y**2).sum()), abs=1e-12)
    assert tables(one._replace(sets_serve_all=False))[1] == []


def test_threads_and_repetition_change_no_bit(monkeypatch):
    monkeypatch.setattr("workflow_scripts.lib.measures.blocks.VALUES_AT_ONCE", 8 * D)  # many blocks
    one = level()
    first, *others = ([repr(table) for table in tables(one, threads=threads)] for threads in (1, 2, 3, 1))
    assert all(other == first for other in others)


def test_how_the_work_is_cut_changes_rounding_alone(monkeypatch):
    whole, _ = tables(level())
    monkeypatch.setattr("workflow_scripts.lib.measures.blocks.VALUES_AT_ONCE", 8 * D)
    cut, _ = tables(level())
    assert [row[:7] for row in cut] == [row[:7] for row in whole]
    numbers = [[np.nan if row.value is None else row.value for row in rows] for rows in (cut, whole)]
    assert numbers[0] == pytest.approx(numbers[1], abs=1e-12, nan_ok=True)


def test_a_draw_has_the_same_rows_whatever_other_draws_there_are():
    many = level()

    def read(number):
        layer, states = many.read(number)
        return layer, {arm: array[:2] for arm, array in states.items()}

    answers = {arm: Answers(*(column[:2] for column in held)) for arm, held in many.answers.items()}
    few = many._replace(draws=DRAWS[:2], read=read, answers=answers)
    kept = [row for row in tables(many)[0] if row.draw in DRAWS[:2] and row.match != OTHER_DRAW.name]
    assert [row for row in tables(few)[0] if row.match != OTHER_DRAW.name] == kept


def test_states_of_other_arms_or_draws_than_the_answers_are_refused():
    one = level()
    with pytest.raises(ValueError, match=r"answers of icl are \(3, 40\), and should be \(2, 40\)"):
        tables(one._replace(draws=[1, 2]))
    with pytest.raises(ValueError, match=r"states are of \['icl', 'it', 'both'\] and answers of \['icl'\]"):
        tables(one._replace(answers={"icl": one.answers["icl"]}))
    with pytest.raises(ValueError, match=r"states of icl at layer 0 are \(3, 40\), and should be \(1, 40\)"):
        tables(level(draws=[3])._replace(read=one.read))
