"""Demonstrations chosen by how alike a query they are: planted answers, and what the levels have in common."""

import math
from collections import Counter

import numpy as np
import pytest

from workflow_scripts.lib.data.choice import Choice, Relevance, SampleDemonstrations
from workflow_scripts.lib.data.drawing import PoolError, drawn
from workflow_scripts.lib.data.examples import Example, Examples
from workflow_scripts.lib.data.sampling import sample_sets
from workflow_scripts.lib.data.sets import Place, read_sets, write_sets
from workflow_scripts.lib.data.template import Template
from workflow_scripts.lib.data.tf_idf import tf_idf

WORDS = ["red", "green", "blue"]
TEMPLATE = Template(query="{text}:")
RULES = ("nearest", "random", "farthest")


def text(name, said, label="red"):
    return Example(name, {"text": said}, label)


def data(queries=4, copies=10):
    """Of every query and class, `copies` texts that share more words with it the lower their number."""
    asked = [text(f"query-{q}", " ".join(f"w{q}x{i}" for i in range(copies)), WORDS[q % 3]) for q in range(queries)]
    pool = []
    for q in range(queries):
        for c, label in enumerate(WORDS):
            for k in range(copies):
                words = [f"w{q}x{i}" if i > k else f"other{c}x{k}x{i}" for i in range(copies)]
                pool.append(text(f"near-{q}-{label}-{k}", " ".join(words), label))
    return Examples(pool, asked, WORDS, TEMPLATE)


def sets(rule, given=None, *, shots=6, draws=3, balanced=True, queries=20, **changes):
    """(draw, query) -> the set and the similarity."""
    settings = SampleDemonstrations(balanced=balanced, relevance=Relevance(queries=queries))
    choice = Choice(shots=shots, relevance=rule, **changes)
    made = sample_sets(given or data(), choice, draws=draws, settings=settings, seed=0)
    return {
        (place.draw, place.query): (each.set.demonstrations, place.similarity) for each in made for place in each.serves
    }


def ids(demonstrations):
    return {one.id for one in demonstrations}


def candidates(given, draw, balanced=True):
    pool = given.pool
    return [pool[i] for i in drawn(pool, f"0/{draw}", balanced=balanced)[: len(pool) // 2]]


def similarity(given, query):
    """Of every example of the pool, by its id."""
    (found,) = (
        one for asked, one in zip(given.queries, tf_idf(given.queries, given.pool), strict=True) if asked.id == query
    )
    return dict(zip((one.id for one in given.pool), found, strict=True))


def test_tf_idf_by_hand():
    pool = [text("a", "good film"), text("b", "Good, good day"), text("c", "rain")]
    idf = {"good": 1 + math.log(4 / 3), **dict.fromkeys(["film", "day", "rain"], 1 + math.log(4 / 2))}
    a = math.hypot(idf["good"], idf["film"])
    b = math.hypot(2 * idf["good"], idf["day"])
    found = tf_idf([text("q", "a GOOD film!"), text("r", "unheard"), text("s", "?!")], pool)
    assert found[0] == pytest.approx([1, (idf["good"] * 2 * idf["good"]) / a / b, 0])
    assert found[1:] == [[0, 0, 0], [0, 0, 0]]


def test_fields_of_a_text_count_together():
    pair = Example("q", {"premise": "good film", "hypothesis": "rain"}, "red")
    assert tf_idf([pair], [text("a", "rain good film"), text("b", "snow")]) == [[pytest.approx(1), 0]]


@pytest.mark.parametrize("balanced", [True, False])
def test_the_planted_nearest_is_picked_and_is_no_farthest(balanced):
    """Wherever it is a candidate; and some draw has it as one."""
    given = data()
    given.pool.append(text("planted", given.queries[1].fields["text"], "blue"))
    picked = {rule: sets(rule, given, draws=8, shots=3, balanced=balanced) for rule in RULES}
    have = [draw for draw in range(8) if "planted" in {one.id for one in candidates(given, draw, balanced)}]
    assert 0 < len(have) < 8
    for draw in range(8):
        assert ("planted" in ids(picked["nearest"][draw, "query-1"][0])) == (draw in have)
        assert "planted" not in ids(picked["farthest"][draw, "query-1"][0])


def test_nearest_and_farthest_are_so_within_every_class_of_the_draws_candidates():
    given, (near, far) = data(), (sets("nearest"), sets("farthest"))
    for (draw, query), (chosen, _) in near.items():
        alike = similarity(given, query)
        for label in WORDS:
            of_class = sorted(alike[one.id] for one in candidates(given, draw) if one.label == label)
            shown = sorted(alike[one.id] for one in chosen if one.gold == label)
            assert shown == of_class[-2:]
            shown = sorted(alike[one.id] for one in far[draw, query][0] if one.gold == label)
            assert shown == of_class[:2]


def test_all_three_choose_among_the_same_candidates_in_the_same_sequence_of_classes():
    given, made = data(), {rule: sets(rule) for rule in RULES}
    for place in made["nearest"]:
        known = {one.id for one in candidates(given, place[0])}
        assert all(ids(made[rule][place][0]) <= known for rule in RULES)
        sequences = {tuple(one.gold for one in made[rule][place][0]) for rule in RULES}
        assert len(sequences) == 1
        assert set(Counter(sequences.pop()).values()) == {2}
    assert len({tuple(sorted(ids(chosen))) for chosen, _ in made["random"].values()}) == 12


@pytest.mark.parametrize("balanced", [True, False])
def test_the_most_similar_stands_anywhere(balanced):
    given = data(queries=6)
    known = {query.id: similarity(given, query.id) for query in given.queries}
    places = []
    for (_, query), (chosen, _) in sets("nearest", given, shots=4, draws=40, balanced=balanced).items():
        alike = [known[query][one.id] for one in chosen]
        places.append([value == max(alike) for value in alike])
    shares = np.mean(places, axis=0) / np.mean(places)
    assert shares == pytest.approx(1, abs=0.2)


def test_the_similarity_is_that_of_the_set_in_the_mean():
    given = data()
    for rule in RULES:
        for (_, query), (chosen, mean) in sets(rule).items():
            alike = similarity(given, query)
            assert mean == pytest.approx(sum(alike[one.id] for one in chosen) / 6)
    means = {rule: sum(mean for _, mean in sets(rule).values()) for rule in RULES}
    assert means["nearest"] > means["random"] > means["farthest"]


def test_queries_are_the_first_so_many_and_a_set_for_all_has_no_similarity():
    assert {query for _, query in sets("nearest", queries=2)} == {"query-0", "query-1"}
    assert len(sets("random", queries=99)) == 3 * 4
    assert sets("any", queries=2).keys() == {(draw, None) for draw in range(3)}
    assert {mean for _, mean in sets("any").values()} == {None}


def test_a_set_for_all_is_the_one_that_it_was_whatever_relevance_is_measured_by():
    one, other = (SampleDemonstrations(relevance=Relevance(queries=n)) for n in (3, 5))
    choice = Choice(shots=2)
    assert one.used_by(choice) == other.used_by(choice)
    nearest = choice.model_copy(update={"relevance": "nearest"})
    assert one.used_by(nearest) == one != other.used_by(nearest)


def test_draws_and_other_rules_go_with_it():
    plain, flipped = sets("nearest"), sets("nearest", labels="flipped")
    for place, (chosen, _) in plain.items():
        assert ids(chosen) == ids(flipped[place][0])
        assert all(one.label != one.gold for one in flipped[place][0])
    again = sets("nearest", draws=2)
    assert again == {place: one for place, one in plain.items() if place[0] < 2}, "a draw depends on no other"


def test_a_tie_is_decided_by_the_draw():
    given = Examples(
        [text(f"pool-{i}", f"same {i % 2}") for i in range(40)], [text("query-0", "same")], WORDS, TEMPLATE
    )
    firsts = {tuple(sorted(ids(chosen))) for chosen, _ in sets("nearest", given, shots=2, draws=10).values()}
    assert len(firsts) == 10


def test_sets_for_queries_come_back_as_written(tmp_path):
    made = sample_sets(data(), Choice(shots=2, relevance="nearest"), draws=2, settings=SampleDemonstrations(), seed=0)
    write_sets(made, tmp_path / "sets.parquet", {})
    assert read_sets(tmp_path / "sets.parquet") == made
    queries = data().queries
    assert [one.id for each in made for one in each.asked(queries)] != []
    for each in made:
        assert {one.id for one in each.asked(queries)} == {place.query for place in each.serves}
    (alike, *_) = sample_sets(data(), Choice(shots=2), draws=1, settings=SampleDemonstrations(), seed=0)
    assert alike.asked(queries) == queries
    assert alike.serves == [Place(0)]


def test_half_of_the_pool_must_hold_the_shots():
    with pytest.raises(PoolError, match="61 shots are more than the 60 examples, half of the pool"):
        sets("nearest", shots=61)
    assert sets("nearest", shots=60)
