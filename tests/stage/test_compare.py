import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests import synthetic
from tests.synthetic import LABELS, LAYERS, SETTINGS, WIDTH, Block, Cell, adapter, noise_cell, serving
from workflow_scripts.compare_hidden_states import compare_hidden_states
from workflow_scripts.lib.artifacts.states_format import Unembedding
from workflow_scripts.lib.artifacts.tables import ArtifactError, read_origin

pytestmark = pytest.mark.stage
KEYS = ["level", "draw", "layer", "one", "other", "match", "measure", "answers"]


def hand_made():
    """Two queries, two layers, d = 2, one level and draw; every value below is worked out on paper."""
    states = {
        "anchor": [[[1, 0], [1, 0]], [[2, 0], [2, 0]]],
        "anchor-alone": [[[1, 0], [1, 0]], [[2, 0], [2, 1]]],
        "icl": [[[1, 0], [1, 0]], [[2, 3], [0, 2]]],
        "it": [[[1, 0], [1, 0]], [[2, 4], [2, 0]]],
    }
    scores = {"anchor": [[0.6, 0.4]] * 2, "anchor-alone": [[0.6, 0.4]] * 2}
    scores |= {"icl": [[0.6, 0.4], [0.3, 0.7]], "it": [[0.2, 0.8], [0.2, 0.8]]}
    each = serving("8", 0)
    blocks = []
    for arm in states:
        given = (each.set.id, each.set.id[::-1]) if arm in ("icl", "it") else (None, None)
        made = np.array(states[arm], float).swapaxes(0, 1), np.log(scores[arm])
        blocks.append(Block(arm, given[0], *made, [0, 1], ["q0", "q1"], given[1]))
    return Cell({"8": [each]}, blocks, [adapter(each.set.id)], Unembedding(np.eye(2), None))


def value(frame, measure, one, other=None, layer=None, match="own", answers="all"):
    rows = frame[(frame.measure == measure) & (frame.one == one) & (frame.answers == answers)]
    rows = rows[rows.other.isna()] if other is None else rows[(rows.other == other) & (rows.match == match)]
    rows = rows[rows.layer.isna()] if layer is None else rows[rows.layer == layer]
    assert len(rows) == 1
    row = rows.iloc[0]
    return (None if np.isnan(row["value"]) else row["value"]), row["queries"], row["excluded"]


def test_known_answers(tmp_path):
    frame, products = hand_made().compare(tmp_path)
    s, about = 2 / np.sqrt(13), pytest.approx
    assert value(frame, "cosine", "anchor", "icl", 1) == (about((s + 0) / 2), 2, 0)
    assert value(frame, "cosine", "anchor", "it", 1) == (about((1 / np.sqrt(5) + 1) / 2), 2, 0)
    assert value(frame, "cosine", "icl", "it", 1) == (about((16 / np.sqrt(13 * 20) + 0) / 2), 2, 0)
    assert value(frame, "movement", "icl", layer=1) == (about((1.5 + np.sqrt(2)) / 2), 2, 0)
    assert value(frame, "movement", "it", layer=1) == (about((2 + 0) / 2), 2, 0)
    assert value(frame, "update_cosine", "icl", "it", 1) == (about(1.0), 1, 1)
    assert value(frame, "partial_cosine", "icl", "it", 1) == (about(1.0), 1, 1)
    assert value(frame, "update_cosine", "icl", "it", 0) == (None, 0, 2)
    assert value(frame, "cosine", "icl", "it", 0) == (1.0, 2, 0)
    assert value(frame, "accuracy", "anchor") == (0.5, 2, 0)
    assert value(frame, "accuracy", "icl") == (1.0, 2, 0)
    assert value(frame, "accuracy", "it") == (0.5, 2, 0)
    assert value(frame, "agreement", "icl", "it") == (0.5, 2, 0)
    assert value(frame, "agreement", "anchor", "it") == (0.0, 2, 0)
    assert value(frame, "open_accuracy", "icl") == (1.0, 2, 0)
    assert value(frame, "moved", "it")[0] == 1.0
    assert value(frame, "cosine", "icl", "it", 1, answers="same") == (about(0.0), 1, 0)
    assert value(frame, "cosine", "icl", "it", 1, answers="different") == (about(16 / np.sqrt(13 * 20)), 1, 0)
    assert value(frame, "cosine", "icl", "it", 1, match="other-query-other-label") == (
        about((2 / np.sqrt(13) + 8 / (2 * np.sqrt(20))) / 2), 2, 0
    )  # fmt: skip
    assert value(frame, "cosine", "icl", "it", 1, match="other-query-same-label") == (None, 0, 2)
    assert value(frame, "cosine", "icl", "it", 1, match="other-draw") == (None, 0, 2)
    assert value(frame, "label_alignment", "icl", layer=1)[0] == about((9 / 2 / 9 + 16 / 2 / 8) / 2)
    row = products[(products.one == "icl") & (products.other == "it") & (products.layer == 1)].iloc[0]
    assert row.same_query.tolist() == [about((12 + 0) / 2)]
    assert row.all_queries.tolist() == [about((-1 * 0) + 2.5 * 2)]


def test_labels_are_told_apart_by_other_directions_before_the_final_norm(tmp_path):
    one, other = np.random.default_rng(0).normal(size=(2, LABELS, WIDTH))

    def found(name, *unembedding):
        (tmp_path / name).mkdir()
        frame, _ = replace(noise_cell(), unembedding=Unembedding(*unembedding)).compare(tmp_path / name)
        frame = frame[frame.measure.isin(["label_alignment", "label_free_update_cosine"])]
        return frame[frame.layer < LAYERS].reset_index(drop=True), frame[frame.layer == LAYERS].reset_index(drop=True)

    below, last = found("both", one, other)
    assert len(below) == LAYERS * len(last) > 0
    assert below.equals(found("other", other, other)[0])
    assert last.equals(found("one", one, one)[1])
    assert not below["value"].equals(found("one-again", one, one)[0]["value"])
    unknown, at_last = found("unknown", one, None)
    assert unknown.empty
    assert at_last.equals(last)


def test_labels_that_begin_alike_have_no_directions(tmp_path):
    alike = np.ones((LABELS, WIDTH))
    frame, _ = replace(noise_cell(), unembedding=Unembedding(alike, alike)).compare(tmp_path)
    assert not frame.measure.isin(["label_alignment", "label_free_update_cosine"]).any()
    assert (frame.measure == "update_cosine").any()


def test_noise_by_hand(tmp_path):
    frame, _ = hand_made().compare(tmp_path)
    about = pytest.approx
    assert value(frame, "noise", "icl", layer=1) == (about((0 / 3 + 1 / np.sqrt(8)) / 2), 2, 0)
    assert value(frame, "noise", "it", layer=1) == (about(0 / 4), 1, 1)
    assert value(frame, "noise", "icl", "it", 0) == (None, 0, 2)
    cell = hand_made()
    exact = replace(cell.blocks[1], arm="anchor-float32", states=cell.blocks[0].states + np.array([[0, 0], [0, -2]]))
    cell.blocks.insert(2, exact)
    frame, _ = cell.compare(tmp_path)
    assert value(frame, "noise", "it", layer=1) == (about(2 / 4), 1, 1)
    assert value(frame, "noise", "icl", "it", 1) == (about(2 / 3 * 2 / 4), 1, 1)
    frame, _ = cell.change("anchor-alone", states=cell.blocks[0].states + 100).compare(tmp_path)
    assert value(frame, "noise", "icl", "it", 1)[0] == 1.0, "noise gives at most an update cosine of one"


def test_adapters_that_did_not_move_are_flagged(tmp_path):
    cell = noise_cell()
    cell.adapters[4]["moved"] = False
    frame, _ = cell.compare(tmp_path)
    moved = frame[frame.measure == "moved"].set_index(["level", "draw"])["value"]
    assert moved[("8", 1)] == 0.0
    assert moved.sum() == len(moved) - 1


def test_no_level_draw_layer_arm_or_match_is_lost(tmp_path):
    frame, products = noise_cell(arms=synthetic.ALL_ARMS).compare(tmp_path)
    assert not frame.duplicated(KEYS).any()
    assert frame.level.drop_duplicates().tolist() == list(synthetic.LEVELS)
    drawn, arms = 11, 12
    pairs, layers = drawn * (drawn - 1) // 2, synthetic.LAYERS + 1
    cells = len(synthetic.LEVELS) * synthetic.DRAWS
    cosines = frame[(frame.measure == "cosine") & (frame.answers == "all")]
    assert len(cosines) == cells * layers * (pairs * 5 + drawn * 4)  # no random direction of what did not move
    updates = frame[(frame.measure == "update_cosine") & (frame.answers == "all")]
    assert len(updates) == cells * layers * pairs * 5
    assert len(frame[frame.measure == "debiased_cka"]) == cells * layers * (pairs + drawn) * 2
    assert len(frame[frame.measure == "accuracy"]) == cells * arms
    assert len(products) == len(synthetic.LEVELS) * layers * (pairs + drawn)
    last = frame[(frame.level == "8") & (frame.draw == 2) & (frame.layer == 2) & (frame.answers == "all")]
    assert (last.queries + last.excluded == synthetic.QUERIES).all()


def test_other_draws_are_all_others_averaged(tmp_path):
    cell = noise_cell(levels=("8",))
    frame, _ = cell.compare(tmp_path)
    icl, it = ([block.states[:, 1] for block in cell.blocks if block.arm == arm] for arm in ("icl", "it"))
    cosine = lambda x, y: (x * y).sum(-1) / np.linalg.norm(x, axis=-1) / np.linalg.norm(y, axis=-1)  # noqa: E731
    rows = frame[(frame.measure == "cosine") & (frame.one == "icl") & (frame.other == "it") & (frame.layer == 1)]
    apart = [cosine(icl[one], it[other]).mean() for one in range(3) for other in range(3) if one != other]
    assert rows[rows.match == "other-draw"]["value"].mean() == pytest.approx(np.mean(apart), abs=1e-6)


def test_the_last_row_group_counts(tmp_path):
    cell = noise_cell()
    before, _ = cell.compare(tmp_path)
    after, _ = cell.change("it", -1, states=-cell.blocks[-2].states).compare(tmp_path)
    differs = before["value"].ne(after["value"]) & ~(before["value"].isna() & after["value"].isna())
    assert set(before[differs].level) == {"8"}
    assert set(before[differs & (before.match != "other-draw")].draw) == {2}


def test_the_order_of_row_groups_does_not_matter(tmp_path):
    cell = noise_cell()
    one, _ = cell.compare(tmp_path)
    cell.blocks.reverse()
    other, _ = cell.compare(tmp_path)
    assert one.equals(other)


def test_only_what_is_asked_for_and_always_the_noise(tmp_path):
    asked = SETTINGS.model_copy(update={"measures": ["movement", "update_cosine"], "contrasts": ["own", "other-draw"]})
    frame, products = noise_cell().compare(tmp_path, asked)
    assert set(frame.measure) == {"movement", "update_cosine", "noise", "moved"}
    assert set(frame.match.dropna()) == {"own", "other-draw"}
    assert len(products)


@pytest.mark.parametrize("threads", [1, 3])
def test_two_runs_give_equal_bytes(tmp_path, threads):
    noise_cell().compare(tmp_path / "one")
    noise_cell().compare(tmp_path / "two", threads=threads)
    for name in ("similarity.parquet", "products.parquet"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_draws_that_came_to_the_same_set_count_once(tmp_path, capsys):
    """Else they would be a sample of two, and each other's other draw."""
    cell = noise_cell(levels=("1",), draws=3)
    alone, _ = cell.compare(tmp_path)
    sets = cell.sets["1"]
    again = [replace(one, serves=[*one.serves, one.serves[0]._replace(draw=3 + i)]) for i, one in enumerate(sets)]
    frame, _ = replace(cell, sets={"1": again}).compare(tmp_path)
    assert frame.equals(alone)
    assert "level 1: draws 0, 3 came to the same set, and count once" in capsys.readouterr().err


@pytest.mark.parametrize("arm", ["icl", "it"])
@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"tokens": "other"}, "demonstration_tokens of set"),
        ({"token_id": 6}, r"row 0 of {arm}, set \w+ has token_id 6 where .*anchor.parquet has 5 \(query q0\)"),
        ({"queries": [f"q{i}" for i in (1, 0, 2, 3, 4, 5, 6)]}, r"row 0 of {arm}, set \w+ has query 'q1'"),
        ({"labels": [0] * 7}, "has label 0 where"),
    ],
)
def test_arms_that_do_not_belong_together_are_refused(tmp_path, arm, changes, says):
    with pytest.raises(ArtifactError, match=says.format(arm=arm)) as refusal:
        noise_cell().change(arm, 4, **changes).compare(tmp_path)
    assert f"{arm}.parquet" in str(refusal.value)
    assert "again" in str(refusal.value)
    assert not (tmp_path / "similarity.parquet").exists()


@pytest.mark.parametrize("arm", ["it", "anchor-alone"])
def test_an_arm_that_shows_nothing_has_the_anchors_prompts(tmp_path, arm):
    with pytest.raises(ArtifactError, match=rf"row 0 of {arm}.* has prompt_tokens 'other-nothing-q0' where"):
        noise_cell().change(arm, prompt="other").compare(tmp_path)


def test_an_adapter_tuned_on_other_demonstrations_is_refused(tmp_path):
    cell = noise_cell()
    cell.adapters[2]["demonstration_tokens"] = "other"
    with pytest.raises(ArtifactError, match=r"of the adapter \(tuned\) other; delete"):
        cell.compare(tmp_path)


def test_a_missing_adapter_is_refused(tmp_path):
    cell = noise_cell()
    cell.adapters.pop(0)
    with pytest.raises(ArtifactError, match=r"it.parquet: no adapter \(tuned\) of set"):
        cell.compare(tmp_path)


@pytest.mark.parametrize("arm", ["icl", "it"])
def test_a_missing_set_is_refused(tmp_path, arm):
    cell = noise_cell()
    lost = cell.sets["1"][0].set.id
    cell.blocks.remove(next(block for block in cell.blocks if block.arm == arm))
    with pytest.raises(ArtifactError, match=rf"{arm}.parquet lacks set {lost}; delete it"):
        cell.compare(tmp_path)


def test_states_without_the_anchor_are_refused(tmp_path):
    with pytest.raises(ArtifactError, match="level 1: no states of arm anchor"):
        noise_cell(arms=("icl", "it")).compare(tmp_path)


def test_another_number_of_queries_is_refused(tmp_path):
    short = noise_cell(queries=synthetic.QUERIES - 1)
    cell = noise_cell()
    cell.blocks[-2] = replace(short.blocks[-2], arm="it")
    with pytest.raises(ArtifactError, match=r"has 6 queries \(it, set \w+\) and should have the 7 of .*anchor.parquet"):
        cell.compare(tmp_path)


def test_another_number_of_layers_is_refused(tmp_path):
    cell, other = noise_cell(), noise_cell(layers=3)
    cell.blocks[-1] = other.blocks[-1]
    with pytest.raises(ArtifactError, match=r"anchor-alone.parquet has layers 0 to 3 and .* has 0 to 2"):
        cell.compare(tmp_path)


@pytest.mark.parametrize(
    ("number", "says"), [(np.nan, "holds NaN or Inf"), (np.inf, "holds NaN or Inf"), (0.0, "is all zeros")]
)
@pytest.mark.parametrize("arm", ["it", "anchor"])
def test_a_state_that_is_none_is_refused_with_its_query(tmp_path, arm, number, says):
    cell = noise_cell()
    states = next(block for block in cell.blocks if block.arm == arm).states.copy()
    states[3, 1] = number
    with pytest.raises(ArtifactError, match=f"{arm}.parquet: the state of query q3 at layer 1 {says}"):
        cell.change(arm, states=states).compare(tmp_path)


def test_label_log_probabilities_that_are_nan_are_refused(tmp_path):
    cell = noise_cell()
    scores = cell.blocks[1].label_log_probs.copy()
    scores[2, 1] = np.nan
    with pytest.raises(ArtifactError, match="log-probability of query q2 is NaN"):
        cell.change("icl", label_log_probs=scores).compare(tmp_path)


def test_a_set_that_stands_twice_is_refused(tmp_path):
    cell = noise_cell()
    cell.blocks.append(next(block for block in cell.blocks if block.arm == "it"))
    with pytest.raises(ArtifactError, match=r"it.parquet: row group 6 holds it, set"):
        cell.compare(tmp_path)


@pytest.mark.parametrize("name", ["sets-8", "anchor", "icl", "tuned/tuning"])
def test_a_missing_or_damaged_input_is_named(tmp_path, name):
    levels = noise_cell().write(tmp_path)
    rest = {"settings": SETTINGS, "threads": 1, "similarity": tmp_path / "x", "products": tmp_path / "y"}
    path = tmp_path / f"{name}.parquet"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(ArtifactError, match=f"{name}.parquet cannot be read"):
        compare_hidden_states(levels, **rest)
    path.unlink()
    with pytest.raises(ArtifactError, match=f"{name}.parquet is missing"):
        compare_hidden_states(levels, **rest)


def test_it_says_what_it_was_made_by(tmp_path):
    noise_cell().compare(tmp_path)
    made = read_origin(tmp_path / "similarity.parquet")
    assert made["settings"] == SETTINGS.model_dump()


def test_it_is_a_command_that_loads_no_model_library(tmp_path):
    noise_cell().compare(tmp_path)
    expected = (tmp_path / "similarity.parquet").read_bytes()
    (tmp_path / "similarity.parquet").unlink()
    levels = {name: files.model_dump(mode="json") for name, files in noise_cell().write(tmp_path).items()}
    flags = [f"--levels={json.dumps(levels)}", f"--settings={SETTINGS.model_dump_json()}", "--threads=1"]
    flags += [f"--{name}={tmp_path / name}.parquet" for name in ("similarity", "products")]
    code = (
        "import runpy, sys; runpy.run_module('workflow_scripts.compare_hidden_states', run_name='__main__');"
        "sys.exit(bool({'torch', 'transformers', 'altair'} & set(sys.modules)))"
    )
    subprocess.run([sys.executable, "-c", code, *flags], check=True, cwd=Path(__file__).parents[2])
    assert (tmp_path / "similarity.parquet").read_bytes() == expected
