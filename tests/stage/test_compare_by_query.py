"""Levels at which each query has a set of its own."""

from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest

from tests.stage.test_compare import hand_made, value
from tests.synthetic import SETTINGS, Block, Cell, adapter, noise_cell
from workflow_scripts.compare_hidden_states import compare_hidden_states
from workflow_scripts.lib.artifacts.tables import ArtifactError
from workflow_scripts.lib.data.sets import Demonstration, DemonstrationSet, Place, ServingSet

pytestmark = pytest.mark.stage
KEYS = ["level", "draw", "layer", "one", "other", "match", "measure", "answers"]


def by_query(cell, queries=None):
    """The same states, as if each query had been asked with a set of its own; of the first so many queries."""
    sets, blocks, adapters = {}, [block for block in cell.blocks if block.set is None], []
    for level, some in cell.sets.items():
        sets[level] = []
        for each in some:
            (place,) = each.serves
            for block in (one for one in cell.blocks if one.set == each.set.id):
                for row, query in enumerate(block.queries[:queries]):
                    own = DemonstrationSet((Demonstration(f"{level}-{place.draw}-{query}", {"text": "t"}, "a", "a"),))
                    if block.arm == "icl":
                        similarity = place.draw + row / 10
                        sets[level].append(ServingSet(own, [Place(place.draw, query, similarity)]))
                        adapters.append(adapter(own.id))
                    at = slice(row, row + 1)
                    part = {"states": block.states[at], "label_log_probs": block.label_log_probs[at]}
                    part |= {"labels": block.labels[at], "queries": block.queries[at]}
                    blocks.append(replace(block, set=own.id, tokens=own.id[::-1], **part))
    return Cell(sets, blocks, adapters, cell.unembedding)


def rows_of(frame):
    return frame[frame.measure != "relevance"].set_index(KEYS)["value"]


def test_known_answers(tmp_path):
    """Those that the same states have where one set was given to both queries."""
    frame, products = by_query(hand_made()).compare(tmp_path)
    s, about = 2 / np.sqrt(13), pytest.approx
    assert value(frame, "cosine", "anchor", "icl", 1) == (about(s / 2), 2, 0)
    assert value(frame, "cosine", "icl", "it", 1) == (about(16 / np.sqrt(13 * 20) / 2), 2, 0)
    assert value(frame, "update_cosine", "icl", "it", 1) == (about(1.0), 1, 1)
    assert value(frame, "cosine", "icl", "it", 1, match="other-query-other-label") == (
        about((s + 8 / (2 * np.sqrt(20))) / 2), 2, 0
    )  # fmt: skip
    assert value(frame, "accuracy", "icl") == (1.0, 2, 0)
    assert value(frame, "accuracy", "it") == (0.5, 2, 0)
    assert value(frame, "relevance", "icl") == value(frame, "relevance", "it") == (about(0.05), 2, 0)
    assert products.empty, "parts need every set at every query"


def test_equal_states_give_equal_numbers(tmp_path):
    """Another draw is the other draw's set for that query, another query comes with its own set."""
    cell = noise_cell()
    one, products = cell.compare(tmp_path / "for all")
    other, none = by_query(cell).compare(tmp_path / "by query")
    assert rows_of(other).equals(rows_of(one))
    assert len(products)
    assert none.empty
    similarity = other[(other.measure == "relevance") & (other.one == "icl") & (other.level == "8")]
    assert similarity["value"].tolist() == pytest.approx([0.3, 1.3, 2.3])
    assert set(similarity.queries) == {7}


def test_the_order_of_sets_does_not_matter(tmp_path):
    cell = by_query(noise_cell())
    one, _ = cell.compare(tmp_path)
    for sets in cell.sets.values():
        sets.reverse()
    cell.blocks.reverse()
    other, _ = cell.compare(tmp_path)
    assert one.equals(other)


def test_levels_of_a_cell_are_compared_on_the_queries_that_all_serve(tmp_path):
    """A level with one set for all is held against the others on theirs; what is standardised knows the others."""
    cell = noise_cell(levels=("any", "nearest"))
    few = by_query(replace(cell, sets={"nearest": cell.sets["nearest"]}), 4)
    levels = {"any": cell.write(tmp_path / "any")["any"], "nearest": few.write(tmp_path / "nearest")["nearest"]}
    made = {name: tmp_path / f"{name}.parquet" for name in ("similarity", "products")}
    compare_hidden_states(levels, settings=SETTINGS, threads=1, **made)
    frame, products = (pq.read_table(path).to_pandas() for path in made.values())
    states = frame[(frame.answers == "all") & frame.layer.notna() & (frame.level == "any")]
    assert set(states.queries + states.excluded) == {4}
    assert set(products.level) == {"any"}
    assert set(products.queries) == {4}
    whole = noise_cell(levels=("any", "nearest"))
    short = Cell(whole.sets, [first(block, 4) for block in whole.blocks], whole.adapters, whole.unembedding)
    expected, _ = short.compare(tmp_path / "short")
    of_all = ~frame.measure.isin(["standardised_cosine", "relevance"])
    assert rows_of(frame[of_all]).equals(rows_of(expected[expected.measure != "standardised_cosine"]))


def first(block: Block, count: int) -> Block:
    part = {"states": block.states[:count], "label_log_probs": block.label_log_probs[:count]}
    return replace(block, **part, labels=block.labels[:count], queries=block.queries[:count])


def test_standardising_knows_the_queries_that_are_not_compared(tmp_path):
    cell = noise_cell(levels=("any", "nearest"))
    alone, _ = noise_cell(levels=("any", "nearest")).compare(tmp_path / "alone")
    few = by_query(replace(cell, sets={"nearest": cell.sets["nearest"]}), 1)
    frame, _ = few.compare(tmp_path / "few")
    one = frame[(frame.measure == "standardised_cosine") & (frame.match == "own") & (frame.answers == "all")]
    assert one["value"].notna().all(), "of one query alone nothing could be standardised"
    assert alone["value"].notna().any()


def test_a_query_without_its_set_is_refused(tmp_path):
    cell = by_query(noise_cell(levels=("8",)))
    del cell.sets["8"][-1]
    with pytest.raises(ArtifactError, match=r"sets-8.parquet: draw 2 has no set for query q6, and draw 1 has one"):
        cell.compare(tmp_path)


def test_two_sets_for_a_query_are_refused(tmp_path):
    cell = by_query(noise_cell(levels=("8",)))
    cell.sets["8"][0].serves.append(Place(0, "q1", 0.5))
    with pytest.raises(ArtifactError, match="draw 0 has two sets for q1"):
        cell.compare(tmp_path)
    cell = by_query(noise_cell(levels=("8",)))
    cell.sets["8"][0].serves.append(Place(0))
    with pytest.raises(ArtifactError, match="draw 0 has two sets for a query"):
        cell.compare(tmp_path)


def test_a_set_for_a_query_that_was_not_asked_is_refused(tmp_path):
    cell = by_query(noise_cell(levels=("8",)))
    cell.sets["8"][0].serves.append(Place(0, "q99", 0.5))
    with pytest.raises(ArtifactError, match="draw 0 has a set for query q99, which the anchor was not asked"):
        cell.compare(tmp_path)


def test_a_row_of_a_query_that_the_set_does_not_serve_is_refused(tmp_path):
    cell = noise_cell(levels=("8",))
    few = by_query(cell)
    whole = next(block for block in cell.blocks if block.arm == "it")
    one = next(i for i, block in enumerate(few.blocks) if block.arm == "it")
    few.blocks[one] = replace(first(whole, 2), set=few.blocks[one].set, tokens=few.blocks[one].tokens)
    with pytest.raises(ArtifactError, match=r"has 2 queries \(it, set \w+\) and should have the 1 of"):
        few.compare(tmp_path)


def test_levels_without_a_query_in_common_are_refused(tmp_path):
    cell = by_query(noise_cell(levels=("1", "8")))
    for level, kept in (("1", {"q0", "q1"}), ("8", {"q2"})):
        cell.sets[level] = [each for each in cell.sets[level] if each.serves[0].query in kept]
    with pytest.raises(ArtifactError, match="levels 1, 8 have no query in common"):
        cell.compare(tmp_path)


def test_draws_with_the_same_sets_count_once_and_shared_ones_are_told(tmp_path, capsys):
    cell = by_query(noise_cell(levels=("8",)))
    alone, _ = cell.compare(tmp_path)
    for each in cell.sets["8"]:
        if each.serves[0].draw == 0:
            each.serves.append(each.serves[0]._replace(draw=3))
    again, _ = cell.compare(tmp_path)
    assert again.equals(alone)
    assert "level 8: draws 0, 3 came to the same sets, and count once" in capsys.readouterr().err
    kept = [each for each in cell.sets["8"] if each.serves[0] != Place(1, "q0", 1.0)]
    kept[0].serves.append(Place(1, "q0", 1.0))
    cell.sets["8"] = kept
    cell.compare(tmp_path)
    assert "level 8: 1 of 21 sets of a query are also another draw's" in capsys.readouterr().err


def test_adapters_that_did_not_move_are_a_share_of_the_draws(tmp_path):
    cell = by_query(noise_cell(levels=("8",)))
    cell.adapters[0]["moved"] = False
    frame, _ = cell.compare(tmp_path)
    moved = frame[frame.measure == "moved"].set_index("draw")["value"]
    assert moved.tolist() == pytest.approx([6 / 7, 1, 1])
