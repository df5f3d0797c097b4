import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from tests import synthetic
from tests.synthetic import Block, noise_dump, tuning_rows, write_dump, write_tuning
from workflow_scripts.compare_hidden_states import compare_hidden_states
from workflow_scripts.lib.tables import ArtifactError, read_origin

pytestmark = pytest.mark.stage
MEASURES = ["cosine", "update_cosine", "partial_cosine", "movement"]


def compare(folder, anchor, arms, *, repeats=None, in_float32=(), adapters=None, measures=MEASURES):
    repeats = [synthetic.alone(anchor)] if repeats is None else repeats
    inputs = [
        write_dump(folder / "anchor.parquet", [anchor, *in_float32]),
        write_dump(folder / "states.parquet", [*repeats, *arms]),
        write_tuning(folder / "tuning.parquet", tuning_rows(arms) if adapters is None else adapters),
    ]
    target = folder / "similarity.parquet"
    names = {"model": "m", "dataset": "d", "factor": "shots"}
    compare_hidden_states(*inputs, measures=measures, similarity=target, **names)
    return pq.read_table(target).to_pandas()


def changed(arms, which, **changes):
    return [b.with_(**changes) if (b.condition, b.level, b.draw) == which else b for b in arms]


def hand_made():
    """Two queries, two layers, d = 2, one level and draw; every value below is worked out on paper."""
    shared = {"labels": [0, 1], "queries": ["q0", "q1"]}
    arm = {"level": "8", "draw": 0, "demo_set": "d", "demonstration_tokens": "t", **shared}
    states = {
        "anchor": [[[1, 0], [1, 0]], [[2, 0], [2, 0]]],
        "icl": [[[1, 0], [1, 0]], [[2, 3], [0, 2]]],
        "it": [[[1, 0], [1, 0]], [[2, 4], [2, 0]]],
    }
    scores = {"anchor": [[0.6, 0.4], [0.6, 0.4]], "icl": [[0.6, 0.4], [0.3, 0.7]], "it": [[0.2, 0.8], [0.2, 0.8]]}
    made = {c: (np.array(states[c], float), np.log(scores[c])) for c in states}
    anchor = Block("anchor", None, None, *made["anchor"], **shared)
    return anchor, [Block("icl", states=made["icl"][0], label_log_probs=made["icl"][1], **arm),
                    Block("it", states=made["it"][0], label_log_probs=made["it"][1], **arm)]  # fmt: skip


def value(frame, measure, pair, layer=None):
    rows = frame[(frame.measure == measure) & (frame.pair == pair)]
    rows = rows[rows.layer.isna()] if layer is None else rows[rows.layer == layer]
    assert len(rows) == 1
    row = rows.iloc[0]
    return (None if np.isnan(row["value"]) else row["value"]), row["queries"], row["excluded"]


def test_known_answers(tmp_path):
    frame = compare(tmp_path, *hand_made())
    s = 2 / np.sqrt(13)
    assert value(frame, "cosine", "anchor-icl", 1) == (pytest.approx((s + 0) / 2), 2, 0)
    assert value(frame, "cosine", "anchor-it", 1) == (pytest.approx((1 / np.sqrt(5) + 1) / 2), 2, 0)
    assert value(frame, "cosine", "icl-it", 1) == (pytest.approx((16 / np.sqrt(13 * 20) + 0) / 2), 2, 0)
    assert value(frame, "movement", "anchor-icl", 1) == (pytest.approx((1.5 + np.sqrt(2)) / 2), 2, 0)
    assert value(frame, "movement", "anchor-it", 1) == (pytest.approx((2 + 0) / 2), 2, 0)
    assert value(frame, "update_cosine", "icl-it", 1) == (pytest.approx(1.0), 1, 1)
    assert value(frame, "partial_cosine", "icl-it", 1) == (pytest.approx(1.0), 1, 1)
    assert value(frame, "update_cosine", "icl-it", 0) == (None, 0, 2)
    assert value(frame, "cosine", "icl-it", 0) == (1.0, 2, 0)
    assert value(frame, "accuracy", "anchor") == (0.5, 2, 0)
    assert value(frame, "accuracy", "icl") == (1.0, 2, 0)
    assert value(frame, "accuracy", "it") == (0.5, 2, 0)
    assert value(frame, "agreement", "icl-it") == (0.5, 2, 0)
    assert value(frame, "agreement", "anchor-it") == (0.0, 2, 0)
    assert value(frame, "open_accuracy", "icl") == (1.0, 2, 0)
    assert value(frame, "moved", "it")[0] == 1.0


def test_noise_by_hand(tmp_path):
    anchor, arms = hand_made()
    again = anchor.with_(condition="anchor_alone", states=anchor.states + np.array([[[0, 0]], [[0, 1]]]))
    exact = anchor.with_(condition="anchor_float32", states=anchor.states + np.array([[[0, 0]], [[0, -2]]]))
    frame = compare(tmp_path, anchor, arms, repeats=[again])
    assert value(frame, "noise", "anchor-icl", 1) == (pytest.approx((1 / 3 + 1 / np.sqrt(8)) / 2), 2, 0)
    assert value(frame, "noise", "anchor-it", 1) == (pytest.approx(1 / 4), 1, 1)
    assert value(frame, "noise", "icl-it", 1) == (pytest.approx(1 / 12), 1, 1)
    assert value(frame, "noise", "icl-it", 0) == (None, 0, 2)
    frame = compare(tmp_path, anchor, arms, repeats=[again], in_float32=[exact])
    assert value(frame, "noise", "anchor-it", 1) == (pytest.approx(2 / 4), 1, 1)


def test_noise_gives_at_most_an_update_cosine_of_one(tmp_path):
    anchor, arms = hand_made()
    far = anchor.with_(condition="anchor_alone", states=anchor.states + 100)
    assert value(compare(tmp_path, anchor, arms, repeats=[far]), "noise", "icl-it", 1)[0] == 1.0


def test_adapters_that_did_not_move_are_flagged(tmp_path):
    anchor, arms = noise_dump()
    frame = compare(tmp_path, anchor, arms, adapters=tuning_rows(arms, still=[("8", 1)]))
    moved = frame[frame.measure == "moved"].set_index(["level", "draw"])["value"]
    assert moved[("8", 1)] == 0.0
    assert moved.sum() == len(moved) - 1


def test_no_level_draw_layer_or_measure_is_lost(tmp_path):
    frame = compare(tmp_path, *noise_dump())
    cells, layers = len(synthetic.LEVELS) * synthetic.DRAWS, synthetic.LAYERS + 1
    assert frame.layer.notna().sum() == cells * layers * (3 + 1 + 1 + 2 + 3)
    assert frame.layer.isna().sum() == cells * (3 + 3 + 3 + 1)
    assert not frame.duplicated(["level", "draw", "layer", "pair", "measure"]).any()
    last = frame[(frame.level == "8") & (frame.draw == synthetic.DRAWS - 1) & (frame.layer == synthetic.LAYERS)]
    assert (last.queries + last.excluded == synthetic.QUERIES).all()
    assert frame.level.drop_duplicates().tolist() == synthetic.LEVELS


def test_the_last_row_group_counts(tmp_path):
    anchor, arms = noise_dump()
    group = arms[-1]
    before = compare(tmp_path, anchor, arms)
    after = compare(tmp_path, anchor, [*arms[:-1], group.with_(states=-group.states)])
    differs = before["value"].ne(after["value"]) & ~(before["value"].isna() & after["value"].isna())
    assert set(before[differs].groupby(["level", "draw"]).groups) == {(group.level, group.draw)}


def test_the_order_of_row_groups_does_not_matter(tmp_path):
    anchor, arms = noise_dump()
    keys = ["level", "draw", "layer", "pair", "measure"]
    one = compare(tmp_path, anchor, arms).sort_values(keys, ignore_index=True)
    other = compare(tmp_path, anchor, arms[::-1]).sort_values(keys, ignore_index=True)
    assert one.equals(other)


def test_only_the_measures_asked_for_and_always_the_answers_and_the_noise(tmp_path):
    frame = compare(tmp_path, *noise_dump(), measures=["movement"])
    assert set(frame.measure) == {"movement", "noise", "accuracy", "open_accuracy", "agreement", "moved"}


def test_two_runs_give_equal_bytes(tmp_path):
    compare(tmp_path / "one", *noise_dump())
    compare(tmp_path / "two", *noise_dump())
    one, two = ((tmp_path / run / "similarity.parquet").read_bytes() for run in ("one", "two"))
    assert one == two


def test_it_says_what_it_was_made_by(tmp_path):
    compare(tmp_path, *noise_dump())
    made = read_origin(tmp_path / "similarity.parquet")
    assert made["settings"]["measures"] == MEASURES
    assert made["lineage"]["tune_lora"]["code"] == ["code-of-tune_lora"]
    assert made["lineage"]["dump_hidden_states"]["versions"] == {"numpy": ["2.0"]}


IT = ("it", "8", 1)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"demo_set": "other"}, "demo_set differs at level 8, draw 1"),
        ({"demonstration_tokens": "other"}, "demonstration_tokens differs at level 8, draw 1"),
        ({"token_id": 6}, r"row 0 of it, level 8, draw 1 has token_id 6 where .*anchor.parquet has 5 \(query q0\)"),
        ({"queries": [f"q{i}" for i in (1, 0, 2, 3, 4, 5, 6)]}, "row 0 of it, level 8, draw 1 has query 'q1'"),
        ({"labels": [0] * 7}, "has label 0 where"),
        ({"prompt": "other"}, "row 0 of it, level 8, draw 1 has prompt_tokens 'other-nothing-q0' where"),
    ],
)
def test_arms_that_do_not_belong_together_are_refused(tmp_path, changes, says):
    anchor, arms = noise_dump()
    adapters = tuning_rows(arms)
    with pytest.raises(ArtifactError, match=says) as refusal:
        compare(tmp_path, anchor, changed(arms, IT, **changes), adapters=adapters)
    assert "states.parquet" in str(refusal.value)
    assert "again" in str(refusal.value)
    assert not (tmp_path / "similarity.parquet").exists()


@pytest.mark.parametrize("name", ["demo_set", "demonstration_tokens"])
def test_an_adapter_tuned_on_other_demonstrations_is_refused(tmp_path, name):
    anchor, arms = noise_dump()
    adapters = tuning_rows(arms)
    adapters[2][name] = "other"
    with pytest.raises(ArtifactError, match=f"{name} differs at level 1, draw 2.*tuning.parquet says other"):
        compare(tmp_path, anchor, arms, adapters=adapters)


def test_arms_that_are_equal_to_each_other_but_not_to_the_adapter_are_refused(tmp_path):
    anchor, arms = noise_dump()
    adapters = tuning_rows(arms)
    both = changed(changed(arms, IT, demo_set="other"), ("icl", "8", 1), demo_set="other")
    with pytest.raises(ArtifactError, match="demo_set differs at level 8, draw 1"):
        compare(tmp_path, anchor, both, adapters=adapters)


def test_another_number_of_queries_is_refused(tmp_path):
    anchor, arms = noise_dump()
    short = synthetic.block("it", "8", 1, queries=synthetic.QUERIES - 1)
    arms = [short if (b.condition, b.level, b.draw) == IT else b for b in arms]
    with pytest.raises(ArtifactError, match=r"has 6 queries \(it, level 8, draw 1\) and .* has 7"):
        compare(tmp_path, anchor, arms)


@pytest.mark.parametrize(("lost", "named"), [("icl", "icl"), ("it", "it")])
def test_a_missing_condition_is_refused(tmp_path, lost, named):
    anchor, arms = noise_dump()
    fewer = [b for b in arms if (b.condition, b.level, b.draw) != (lost, "8", 1)]
    with pytest.raises(ArtifactError, match=f"level 8, draw 1 lacks {named};"):
        compare(tmp_path, anchor, fewer, adapters=tuning_rows(arms))


def test_a_missing_adapter_is_refused(tmp_path):
    anchor, arms = noise_dump()
    with pytest.raises(ArtifactError, match="level 1, draw 0 lacks tuning;"):
        compare(tmp_path, anchor, arms, adapters=tuning_rows(arms)[1:])


def test_a_level_that_was_tuned_and_not_dumped_is_refused(tmp_path):
    anchor, arms = noise_dump()
    with pytest.raises(ArtifactError, match="level 8, draw 0 lacks icl, it;"):
        compare(tmp_path, anchor, [b for b in arms if b.level == "1"], adapters=tuning_rows(arms))


@pytest.mark.parametrize(
    ("number", "says"), [(np.nan, "holds NaN or Inf"), (np.inf, "holds NaN or Inf"), (0.0, "is all zeros")]
)
def test_a_state_that_is_none_is_refused_with_its_query(tmp_path, number, says):
    anchor, arms = noise_dump()
    states = arms[-1].states.copy()
    states[1, 3] = number
    with pytest.raises(ArtifactError, match=f"query q3 at layer 1 {says} .it, level 8, draw 2"):
        compare(tmp_path, anchor, [*arms[:-1], arms[-1].with_(states=states)])


def test_a_bad_anchor_state_is_refused(tmp_path):
    anchor, arms = noise_dump()
    anchor.states[2, 0, 0] = np.nan
    with pytest.raises(ArtifactError, match=r"anchor.parquet: the state of query q0 at layer 2 .*\(anchor"):
        compare(tmp_path, anchor, arms)


def test_label_log_probabilities_that_are_nan_are_refused(tmp_path):
    anchor, arms = noise_dump()
    scores = arms[0].label_log_probs.copy()
    scores[2, 1] = np.nan
    with pytest.raises(ArtifactError, match="log-probability of query q2 is NaN"):
        compare(tmp_path, anchor, [arms[0].with_(label_log_probs=scores), *arms[1:]])


def test_a_group_that_stands_twice_is_refused(tmp_path):
    anchor, arms = noise_dump()
    with pytest.raises(ArtifactError, match=r"row group 1[0-9] holds it, level 8, draw 2"):
        compare(tmp_path, anchor, [*arms, arms[-1]], adapters=tuning_rows(arms))


def test_another_number_of_layers_is_refused(tmp_path):
    anchor, _ = noise_dump()
    other, arms = noise_dump(layers=3)
    with pytest.raises(ArtifactError, match=r"has 4 layers and .* has 3"):
        compare(tmp_path, anchor, arms, repeats=[synthetic.alone(other)])


def test_an_anchor_dump_that_holds_another_condition_is_refused(tmp_path):
    _, arms = noise_dump()
    with pytest.raises(ArtifactError, match=r"anchor.parquet must hold the anchor and nothing else"):
        compare(tmp_path, arms[0], arms)


def test_a_dump_without_the_anchor_alone_or_with_that_of_other_prompts_is_refused(tmp_path):
    anchor, arms = noise_dump()
    with pytest.raises(ArtifactError, match=r"states.parquet lacks the anchor with each query alone; delete it"):
        compare(tmp_path, anchor, arms, repeats=[])
    other = synthetic.alone(anchor).with_(prompt="other")
    with pytest.raises(ArtifactError, match="row 0 of anchor_alone has prompt_tokens 'other-nothing-q0' where"):
        compare(tmp_path, anchor, arms, repeats=[other])
    with pytest.raises(ArtifactError, match=r"anchor.parquet: row 0 of anchor_float32 has prompt_tokens"):
        compare(tmp_path, anchor, arms, in_float32=[other.with_(condition="anchor_float32")])


@pytest.mark.parametrize("name", ["anchor", "states", "tuning"])
def test_a_missing_or_damaged_input_is_named(tmp_path, name):
    compare(tmp_path, *noise_dump())
    paths = {n: tmp_path / f"{n}.parquet" for n in ("anchor", "states", "tuning")}
    rest = {"model": "m", "dataset": "d", "factor": "shots", "measures": MEASURES, "similarity": tmp_path / "x"}
    paths[name].write_bytes(paths[name].read_bytes()[:-20])
    with pytest.raises(ArtifactError, match=f"{name}.parquet cannot be read"):
        compare_hidden_states(**paths, **rest)
    paths[name].unlink()
    with pytest.raises(ArtifactError, match=f"{name}.parquet is missing"):
        compare_hidden_states(**paths, **rest)


def test_it_is_a_command_that_loads_no_model_library(tmp_path):
    compare(tmp_path, *noise_dump())
    expected = (tmp_path / "similarity.parquet").read_bytes()
    (tmp_path / "similarity.parquet").unlink()
    flags = [f"--{n}={tmp_path / n}.parquet" for n in ("anchor", "states", "tuning", "similarity")]
    flags += ["--model=m", "--dataset=d", "--factor=shots", f"--measures=[{','.join(MEASURES)}]"]
    code = (
        "import runpy, sys; runpy.run_module('workflow_scripts.compare_hidden_states', run_name='__main__');"
        "sys.exit(bool({'torch', 'transformers', 'matplotlib'} & set(sys.modules)))"
    )
    subprocess.run([sys.executable, "-c", code, *flags], check=True, cwd=Path(__file__).parents[2])
    assert (tmp_path / "similarity.parquet").read_bytes() == expected
