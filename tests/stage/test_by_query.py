"""A level at which each query has a set of its own, through the stages, on a tiny model."""

from contextlib import nullcontext

import numpy as np
import pyarrow.parquet as pq
import pytest

from tests import reference
from tests.cell import DRAWS, Made, make
from tests.synthetic import SETTINGS
from workflow_scripts.compare_hidden_states import compare_hidden_states
from workflow_scripts.lib.arms import ANCHOR, ICL, IT, TUNED, arm_named, named
from workflow_scripts.lib.artifacts.adapters import read_tuning
from workflow_scripts.lib.artifacts.levels import LevelFiles
from workflow_scripts.lib.artifacts.states import open_states
from workflow_scripts.lib.data.choice import Choice, Relevance
from workflow_scripts.lib.data.examples import read_examples
from workflow_scripts.lib.data.prompts import Prompts
from workflow_scripts.lib.data.sets import read_sets
from workflow_scripts.lib.lora.apply import with_adapter
from workflow_scripts.lib.models.load import load_model
from workflow_scripts.lib.models.sources import LocalModel

pytestmark = pytest.mark.stage
ASKED, LEVEL = 3, "nearest"
ARMS = ("anchor", "icl", "it", "both")
LEVELS = {"any": Choice(shots=4), LEVEL: Choice(shots=4, relevance="nearest")}


@pytest.fixture(scope="module")
def made(tmp_path_factory, tiny_folder):
    source = LocalModel(source="local", path=tiny_folder)
    return make(Made(tmp_path_factory.mktemp("cell")), source, LEVELS, ARMS, relevance=Relevance(queries=ASKED))


def test_every_arm_has_the_queries_that_each_set_serves_and_no_others(made):
    queries, sets = read_examples(made.examples).queries, read_sets(made.sets(LEVEL))
    assert len(sets) == DRAWS * ASKED
    for arm in named(ARMS):
        if arm.given:
            with open_states(made.states(LEVEL, arm)) as file:
                found = {one: list(file.rows(one)) for one in file.sets}
            assert found == {each.set.id: [one.id for one in each.asked(queries)] for each in sets}
            asked = [query for some in found.values() for query in some]
            assert asked == [one.id for one in queries[:ASKED]] * DRAWS


def test_one_adapter_a_set_and_all_of_a_draw_start_alike(made):
    rows = {row["set"]: row for row in read_tuning(made.adapters(LEVEL, TUNED))}
    sets = read_sets(made.sets(LEVEL))
    assert [*rows] == [each.set.id for each in sets]
    seeds = {(each.serves[0].draw, rows[each.set.id]["seed"]) for each in sets}
    assert len(seeds) == DRAWS
    assert seeds == {(i, row["seed"]) for i, row in enumerate(read_tuning(made.adapters("any", TUNED)))}


@pytest.mark.parametrize("name", ["icl", "it", "both"])
def test_a_query_is_asked_with_its_own_set_and_adapter(made, name):
    data, loaded, arm = read_examples(made.examples), load_model(made.weights), arm_named(name)
    prompts = Prompts(loaded.tokenizer, data.template, data.words)
    for each in read_sets(made.sets(LEVEL)):
        (query,) = each.asked(data.queries)
        folder = made.adapters(LEVEL, TUNED) / each.set.id
        ids = prompts.prefix(each.set.demonstrations if arm.shows else ()) + prompts.query(query.fields)
        with with_adapter(loaded.model, folder) if arm.weights else nullcontext():
            expected = reference.alone(loaded.model, ids)[0].numpy()
        with open_states(made.states(LEVEL, arm)) as file:
            found = np.stack([file.states(each.set.id, layer)[0] for layer in file.layers])
        assert np.abs(found - expected).max() < 1e-4


def files(made, level):
    arms = [arm for arm in named(ARMS) if arm.given]
    states = [made.states("any", ANCHOR), *(made.states(level, arm) for arm in arms)]
    return LevelFiles(sets=made.sets(level), states=states, adapters=[made.adapters(level, TUNED)])


def test_levels_are_compared_on_the_queries_that_have_sets_of_their_own(made, tmp_path):
    parts = {"similarity": tmp_path / "similarity.parquet", "products": tmp_path / "products.parquet"}
    compare_hidden_states({one: files(made, one) for one in LEVELS}, settings=SETTINGS, threads=1, **parts)
    frame = pq.read_table(parts["similarity"]).to_pandas()
    rows = frame[(frame.measure == "update_cosine") & (frame.one == "icl") & (frame.other == "it")]
    rows = rows[(rows.layer == 3) & (rows.match == "own") & (rows.answers == "all")].set_index(["level", "draw"])
    assert {*rows.queries} == {ASKED}
    for level in LEVELS:
        for draw in range(DRAWS):
            assert rows["value"][level, draw] == pytest.approx(by_hand(made, level, draw), abs=1e-6)
    relevance = frame[(frame.measure == "relevance") & (frame.one == "icl")]
    mean = {place.draw: [] for each in read_sets(made.sets(LEVEL)) for place in each.serves}
    for place in (place for each in read_sets(made.sets(LEVEL)) for place in each.serves):
        mean[place.draw].append(place.similarity)
    assert set(relevance.level) == {LEVEL}
    assert relevance["value"].tolist() == pytest.approx([np.mean(some) for some in mean.values()])


def by_hand(made, level, draw):
    """Mean update cosine of ICL and IT at the last layer over the queries asked."""
    with (
        open_states(made.states("any", ANCHOR)) as base,
        open_states(made.states(level, ICL)) as one,
        open_states(made.states(level, IT)) as other,
    ):
        anchor, cosines = base.states(None, 3), []
        for each in read_sets(made.sets(level)):
            served = [place for place in each.serves if place.draw == draw]
            for query in list(base.rows(None))[:ASKED]:
                if any(place.query in (None, query) for place in served):
                    x, y = (
                        file.states(each.set.id, 3)[file.rows(each.set.id)[query]] - anchor[base.rows(None)[query]]
                        for file in (one, other)
                    )
                    cosines.append(x @ y / np.linalg.norm(x) / np.linalg.norm(y))
    assert len(cosines) == ASKED
    return np.mean(cosines)
