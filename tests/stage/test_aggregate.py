import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from tests.synthetic_cells import (
    FILES,
    LEVELS,
    SETTING,
    SETTINGS,
    Made,
    aggregated,
    cells_of,
    flags_of,
    products_row,
    write_cells,
)
from workflow_scripts.aggregate_similarity import aggregate_similarity
from workflow_scripts.lib.artifacts.tables import ArtifactError, read_origin
from workflow_scripts.lib.measures import COSINE, MARGIN, SIMILARITIES, UPDATE_COSINE
from workflow_scripts.lib.measures.parts import PARTS
from workflow_scripts.lib.patching.measures import ACCURACY as PATCHED_ACCURACY
from workflow_scripts.lib.patching.measures import AGREEMENT as PATCHED_AGREEMENT
from workflow_scripts.lib.patching.measures import RECOVERED
from workflow_scripts.lib.patching.patches import OTHER_DRAW_DIRECTION, OWN_DIRECTION, OWN_SET_EFFECT, OWN_STATE
from workflow_scripts.lib.results.estimates import ABSENT, REFERENCE, Estimate
from workflow_scripts.lib.results.settings import AggregateSimilarity

pytestmark = pytest.mark.stage
ROOT = Path(__file__).parents[2]
AT = "m", "d"
SMALL = Made(draws=3, layers=2)


def by_hand(values, factor=REFERENCE, level=REFERENCE, **changes):
    """Cells of one layer: similarity of (one, other, match) in each draw."""
    rows = [
        {"level": level, "layer": 1, "measure": "cosine", "answers": "all", "draw": draw, "queries": 4, "excluded": 1}
        | {"one": one, "other": other, "match": match, "value": value}
        | changes
        for (one, other, match), per_draw in values.items()
        for draw, value in enumerate(per_draw)
    ]
    return {(*AT, factor): (rows, [])}


def ends(estimate):
    return estimate.low, estimate.high


def students(*values):
    """Mean, and interval of few draws."""
    half = {2: 12.7062, 3: 4.30265, 4: 3.18245}[len(values)] * np.std(values, ddof=1) / np.sqrt(len(values))
    return np.mean(values), np.mean(values) - half, np.mean(values) + half


def table(path):
    return pq.read_table(path).to_pandas()


# Estimates


def test_means_intervals_and_counts_by_hand(tmp_path):
    results = aggregated(tmp_path, by_hand({("icl", "it", "own"): [0.6, 0.8, 0.7]}))
    own = results.at(*AT, "cosine", "icl", "it")
    assert (own.mean, *ends(own)) == pytest.approx(students(0.6, 0.8, 0.7), abs=1e-5)
    assert (own.band_low, own.band_high) == pytest.approx(ends(own))  # of one layer
    assert (own.draws, own.queries, own.excluded) == (3, 12, 3)
    assert (own.p, own.p_holm) == (None, None)


def test_differences_of_contrasts_are_paired_within_draws(tmp_path):
    own, other_draw, other_label = [0.9, 0.5, 0.1], [0.8, 0.4, 0.0], [0.9, 0.6, 0.3]
    values = {("icl", "it", "own"): own, ("icl", "it", "other-draw"): other_draw}
    results = aggregated(tmp_path, by_hand(values | {("icl", "it", "other-query-other-label"): other_label}))
    effect = results.at(*AT, "cosine", "icl", "it", match="own-other-draw")
    assert (effect.mean, *ends(effect)) == pytest.approx((0.1, 0.1, 0.1))
    assert effect.p == 0.25  # of three draws, all of one sign
    query = results.at(*AT, "cosine", "icl", "it", match="own-other-query")
    assert (query.mean, *ends(query)) == pytest.approx(students(0, -0.1, -0.2), abs=1e-5)
    assert query.p == 0.5  # no sign of the 0: 2 of 4 choices
    assert results.at(*AT, "cosine", "icl", "it", match="own-other-query-same") == ABSENT
    own = results.at(*AT, "cosine", "icl", "it")
    assert ends(own) == (pytest.approx(students(0.9, 0.5, 0.1)[1], abs=1e-5), 1.0), "no cosine is above one"


def test_the_margin_is_the_similarity_less_the_larger_with_the_anchor(tmp_path):
    values = {
        ("anchor", "icl", "own"): [0.2, 0.4],
        ("anchor", "it", "own"): [0.1, 0.5],
        ("icl", "it", "own"): [0.6, 0.8],
        ("icl", "both", "own"): [0.6, 0.8],
    }
    results = aggregated(tmp_path, by_hand(values))
    margin = results.at(*AT, MARGIN.name, "icl", "it")
    assert (margin.mean, *ends(margin)) == pytest.approx(students(0.6 - 0.2, 0.8 - 0.5), abs=1e-5)
    assert margin.p == 0.5
    assert results.arms_of(*AT, MARGIN.name) == [("icl", "it")]


def test_a_margin_needs_all_three_similarities(tmp_path):
    results = aggregated(tmp_path, by_hand({("icl", "it", "own"): [0.6, 0.8], ("anchor", "it", "own"): [0.1, 0.5]}))
    assert results.at(*AT, MARGIN.name, "icl", "it") == ABSENT


def test_estimates_of_queries_with_the_same_answer_are_no_others(tmp_path):
    values = {("icl", "it", "own"): [0.6, 0.8], ("icl", "it", "other-draw"): [0.5, 0.5]}
    results = aggregated(tmp_path, by_hand(values, answers="same"))
    assert results.at(*AT, "cosine", "icl", "it", answers="same").mean == pytest.approx(0.7)
    assert results.at(*AT, "cosine", "icl", "it") == ABSENT
    assert results.at(*AT, "cosine", "icl", "it", match="own-other-draw") == ABSENT


def test_a_draw_without_a_value_counts_as_none(tmp_path):
    cells = by_hand({("icl", "it", "own"): [None, 0.4, 0.6], ("icl", "it", "other-draw"): [0.3, 0.3, None]})
    cells[*AT, REFERENCE][0].extend(by_hand({("icl", "it", "own"): [None] * 3}, layer=0)[*AT, REFERENCE][0])
    results = aggregated(tmp_path, cells)
    mean, low, high = students(0.4, 0.6)
    found = results.at(*AT, "cosine", "icl", "it")[:3]
    assert found == pytest.approx((mean, max(low, -1), min(high, 1)), abs=1e-5)
    difference = results.at(*AT, "cosine", "icl", "it", match="own-other-draw")
    assert (difference.mean, difference.low, difference.p, difference.draws) == (pytest.approx(0.1), None, None, 1)
    nothing = results.at(*AT, "cosine", "icl", "it", layer=0)
    assert nothing == Estimate(draws=0, queries=12, excluded=3)
    assert nothing != ABSENT


def test_one_draw_has_estimates_and_no_intervals(tmp_path):
    results = aggregated(tmp_path, cells_of(*AT, SMALL.with_(draws=1)))
    own = results.at(*AT, "cosine", "icl", "it")
    assert own.mean is not None
    assert own[1:7] == (None,) * 6
    parts = results.parts(*AT, "icl", "it")
    assert parts["whole"].contribution.mean is not None
    assert parts["whole"].contribution.low is None
    assert parts["set"].contribution.mean is None
    assert results.effect(*AT, "shots", "1", "cosine", "icl", "it").p_holm is None


def test_two_draws_have_one_value_across_them_and_so_no_interval(tmp_path):
    results = aggregated(tmp_path, cells_of(*AT, Made(draws=2)))
    own, across, effect = (
        results.at(*AT, "cosine", "icl", "it", match=match) for match in ("own", "other-draw", "own-other-draw")
    )
    assert own.low is not None
    assert (across.mean is None, effect.mean is None) == (False, False)
    assert (across.low, across.high, across.band_low, effect.low, effect.p, effect.p_holm) == (None,) * 6


def test_no_interval_leaves_what_a_measure_can_be(tmp_path):
    aggregated(tmp_path, cells_of(*AT, Made(draws=2)))
    frame = table(tmp_path / "similarity.parquet")
    cosines = frame[(frame.measure == "cosine") & frame.match.isin(["own", "other-query-same-label"])]
    assert cosines[["low", "band_low"]].min(axis=None) >= -1
    assert cosines[["high", "band_high"]].max(axis=None) <= 1
    assert frame[frame.measure == "accuracy"]["high"].max() <= 1


def test_what_is_of_no_set_has_no_interval(tmp_path):
    aggregated(tmp_path, cells_of(*AT, SMALL))
    frame = table(tmp_path / "similarity.parquet")
    measured = frame[frame["mean"].notna() & (frame["draws"] > 1)]
    given_none = ["anchor", "imported"]
    one, other = measured.one.isin(given_none), measured.other.isin(given_none)
    alone = measured[(measured.one == "anchor") & measured.other.isna()]
    assert set(alone.measure) == {"accuracy", "open_accuracy"}
    of_no_set = measured[one & (other | measured.other.isna())]
    assert of_no_set[["low", "high", "band_low", "p"]].isna().all(axis=None)
    its_own = measured[(one | other) & (measured.match == "own-other-draw")]
    assert its_own[["low", "high", "p"]].isna().all(axis=None)
    assert measured.drop(of_no_set.index.union(its_own.index))[["low", "high"]].notna().all(axis=None)


def test_another_draw_tells_nothing_of_an_arm_that_no_set_changes(tmp_path):
    """Its states are the same in every draw: what is left of the difference is rounding, and no evidence."""
    values = {match: [0.9, 0.5, 0.1] for match in ("own", "other-draw")}
    shaken = {
        ("icl", "imported", match): [one + at * 1e-15 for one in some]
        for at, (match, some) in enumerate(values.items())
    }
    results = aggregated(tmp_path, by_hand(shaken | {("icl", "it", match): some for match, some in values.items()}))
    imported, it = (results.at(*AT, "cosine", "icl", arm, match="own-other-draw") for arm in ("imported", "it"))
    assert imported.mean == pytest.approx(0, abs=1e-12)
    assert (imported.low, imported.high, imported.p) == (None,) * 3
    assert it.low is not None


def test_bands_are_of_layers_and_no_narrower_than_intervals(tmp_path):
    aggregated(tmp_path, cells_of(*AT, Made(draws=5)))
    frame = table(tmp_path / "similarity.parquet")
    assert frame[frame.layer.isna()][["band_low", "band_high"]].isna().all(axis=None)
    of_layers = frame[frame.layer.notna() & frame.low.notna()]
    assert (of_layers.band_low <= of_layers.low + 1e-12).all()
    assert (of_layers.band_high >= of_layers.high - 1e-12).all()


def test_the_order_of_rows_changes_no_estimate(tmp_path):
    cells = cells_of(*AT, Made(layers=2, arms=("anchor", "icl", "it")))
    turned = {key: (rows[::-1], products[::-1]) for key, (rows, products) in cells.items()}
    frames = []
    for name, some in (("one", cells), ("other", turned)):
        aggregated(tmp_path / name, some)
        frame = table(tmp_path / name / "similarity.parquet")
        frames.append(frame.set_index(list(frame.columns[:10])).sort_index())
    assert frames[0].index.equals(frames[1].index)
    for name in frames[0]:
        assert frames[0][name].to_numpy() == pytest.approx(frames[1][name].to_numpy(), abs=1e-12, nan_ok=True)


# Parts


def test_parts_add_up_and_stand_where_their_arms_do(tmp_path):
    results = aggregated(tmp_path, cells_of(*AT, Made(draws=6)))
    found = results.parts(*AT, "icl", "it")
    assert tuple(found) == PARTS
    contributions = {name: part.contribution.mean for name, part in found.items()}
    assert sum(contributions[name] for name in PARTS[:-1]) == pytest.approx(contributions["whole"])
    assert found["whole"].share_one.mean == found["whole"].share_other.mean == 1
    assert found["general"].contribution.low < contributions["general"] < found["general"].contribution.high
    assert results.parts(*AT, "it", "icl") == {}
    elsewhere = results.parts(*AT, "icl", "it", factor="shots", level="1")
    assert elsewhere["set"].alignment.mean != found["set"].alignment.mean
    assert results.parts(*AT, "icl", "it", factor="shots", level="8") == found


def test_a_part_by_hand(tmp_path):
    # Two draws, one query, one dimension: with one query, what is general has no query part and sets no interaction.
    icl, it = (np.array(values, dtype=float).reshape(2, 1, 1) for values in ([1, 3], [2, 2]))
    rows = [
        {"level": REFERENCE, "layer": 1, "one": one, "other": other} | products_row(a, b)
        for one, other, a, b in (("icl", "it", icl, it), ("icl", "icl", icl, icl), ("it", "it", it, it))
    ]
    cells = by_hand({("icl", "it", "own"): [0.6, 0.8]})
    found = aggregated(tmp_path, {key: (similarity, rows) for key, (similarity, _) in cells.items()}).parts(
        *AT, "icl", "it"
    )
    # <icl, it> is 4 in the mean, of different draws too; |icl|^2 is 5, and 3 of different draws; |it|^2 is 4.
    assert found["whole"].contribution.mean == pytest.approx(4 / np.sqrt(5 * 4))
    assert found["general"].contribution.mean == pytest.approx(4 / np.sqrt(5 * 4))
    assert found["general"].share_one.mean == pytest.approx(3 / 5)
    assert found["set"].share_one.mean == pytest.approx(2 / 5)
    assert found["set"].contribution.mean == pytest.approx(0)
    assert found["set"].alignment.mean is None  # IT's sets do not differ


def test_products_that_do_not_belong_together_are_refused(tmp_path):
    cells = cells_of(*AT, SMALL)
    rows, products = cells[*AT, REFERENCE]
    lone = [row for row in products if (row["one"], row["other"]) != ("it", "it")]
    for name, changed in (("lacks the products of each arm with itself", lone), ("two rows", [*products, products[0]])):
        with pytest.raises(ArtifactError, match=f"products.parquet.*{name}.*; delete it and compare its cell again"):
            aggregated(tmp_path / name[:4], cells | {(*AT, REFERENCE): (rows, changed)})


# The reference and effects


def test_the_reference_stands_at_its_place_among_a_factors_levels(tmp_path):
    results = aggregated(tmp_path, cells_of(*AT, SMALL))
    assert results.factors == ["shots", "labels"]
    assert results.levels(*AT, "shots") == ["1", "8", "16"]
    assert results.levels(*AT, "labels") == ["gold", "flipped"]
    assert results.levels(*AT, "order") == []
    reference = results.at(*AT, "cosine", "icl", "it")
    assert results.at(*AT, "cosine", "icl", "it", factor="shots", level="8") == reference
    assert results.at(*AT, "cosine", "icl", "it", factor="labels", level="gold") == reference
    assert results.at(*AT, "cosine", "icl", "it", factor="shots", level="1") not in (reference, ABSENT)


def test_a_reference_outside_a_factors_levels_is_not_among_them(tmp_path):
    levels = {"shots": ["1", "16"], "labels": ["flipped"]}
    results = aggregated(tmp_path, cells_of(*AT, SMALL.with_(levels=levels)), levels=levels)
    assert results.levels(*AT, "shots") == ["1", "16"]
    assert results.at(*AT, "cosine", "icl", "it").draws == 3


def test_effects_are_paired_by_draw_and_corrected_for_the_factors_levels(tmp_path):
    draws = 10
    base = np.random.default_rng(0).normal(0.5, 0.2, draws)
    shift = np.array([0.1, 0.12, 0.08, 0.1, 0.11, 0.09, 0.1, 0.1, 0.13, -0.01])
    cells = by_hand({("icl", "it", "own"): base})
    small, large = (
        by_hand({("icl", "it", "own"): values}, "shots", level)[*AT, "shots"][0]
        for level, values in (("1", base + shift), ("16", base[::-1]))
    )
    results = aggregated(tmp_path, cells | {(*AT, "shots"): (small + large, [])})
    effect = results.effect(*AT, "shots", "1", "cosine", "icl", "it")
    assert effect.mean == pytest.approx(shift.mean())
    assert 0 < effect.low < effect.mean < effect.high < 0.13
    assert effect.p == 4 / 2**draws  # all signs as they are but for the draw's with the smallest difference; and turned
    other = results.effect(*AT, "shots", "16", "cosine", "icl", "it")
    assert (effect.p_holm, other.p_holm) == (2 * effect.p, max(2 * effect.p, other.p))
    assert other.mean == pytest.approx(0)
    assert results.effect(*AT, "shots", "8", "cosine", "icl", "it") == ABSENT


def test_effects_are_of_the_last_layer_and_of_answers(tmp_path):
    aggregated(tmp_path, cells_of(*AT, SMALL))
    frame = table(tmp_path / "effects.parquet")
    assert set(frame.layer.dropna()) == {SMALL.layers}
    assert set(frame[frame.layer.isna()].measure) >= {"accuracy", "agreement", "jensen_shannon"}
    assert {"own-other-draw", "random", "own"} <= set(frame.match.dropna())
    assert set(frame.factor) == {"shots", "labels"}
    assert not {"icl-reordered", "it-reseeded"} & set(frame.one)  # at the reference alone
    assert frame[(frame.one == "anchor") & frame.other.isna()][["low", "high", "p", "p_holm"]].isna().all(axis=None)


def test_a_cell_that_has_the_references_level_on_its_own_queries_is_held_against_that(tmp_path):
    levels, reference = {**LEVELS, "relevance": ["any", "nearest"]}, {**SETTING, "relevance": "any"}
    near, any_ = (
        by_hand({("icl", "it", "own"): values}, "relevance", level)[*AT, "relevance"][0]
        for level, values in (("nearest", [0.5, 0.7, 0.6]), ("any", [0.4, 0.5, 0.3]))
    )
    cells = by_hand({("icl", "it", "own"): [0.9, 0.9, 0.9]})
    cells |= {(*AT, "shots"): (by_hand({("icl", "it", "own"): [0.8, 0.8, 0.8]}, "shots", "1")[*AT, "shots"][0], [])}
    cells |= {(*AT, "relevance"): (any_ + near, [])}
    results = aggregated(tmp_path, cells, levels=levels, reference=reference)
    effect = results.effect(*AT, "relevance", "nearest", "cosine", "icl", "it")
    assert (effect.mean, *ends(effect)) == pytest.approx(students(0.1, 0.2, 0.3), abs=1e-6)
    assert results.effect(*AT, "relevance", "any", "cosine", "icl", "it") == ABSENT
    assert results.effect(*AT, "shots", "1", "cosine", "icl", "it").mean == pytest.approx(-0.1)
    own = results.at(*AT, "cosine", "icl", "it", factor="relevance", level="any")
    assert own.mean == pytest.approx(0.4)
    assert results.at(*AT, "cosine", "icl", "it", factor="shots", level="8").mean == pytest.approx(0.9)
    assert results.levels(*AT, "relevance") == ["any", "nearest"]


# Patched runs


def patched(values, measure):
    """Rows of patched runs at layer 1: measure of an arm and a patch in each draw."""
    keys = {"level": REFERENCE, "layer": 1, "one": "anchor", "measure": measure.name, "answers": "all"}
    return [
        keys | {"other": arm, "match": patch.name, "draw": draw, "value": value, "queries": 4, "excluded": 0}
        for (arm, patch), per_draw in values.items()
        for draw, value in enumerate(per_draw)
    ]


def test_patched_runs_are_estimates_like_any_other(tmp_path):
    cells = by_hand({("icl", "it", "own"): [0.6, 0.8, 0.7]})
    rows = patched({("icl", OWN_STATE): [0.5, 0.9, 1.0]}, PATCHED_ACCURACY)
    rows += patched({("icl", OWN_STATE): [1.5, -2.0, 4.0]}, RECOVERED)
    results = aggregated(tmp_path, cells, {(*AT, REFERENCE): rows})
    found = results.at(*AT, PATCHED_ACCURACY.name, "anchor", "icl", match=OWN_STATE.name, layer=1)
    mean, low, _ = students(0.5, 0.9, 1.0)
    assert (found.mean, *ends(found)) == (pytest.approx(mean), pytest.approx(low, abs=1e-5), 1.0)
    assert (found.queries, found.p) == (12, None)
    share = results.at(*AT, RECOVERED.name, "anchor", "icl", match=OWN_STATE.name, layer=1)
    assert (share.mean, *ends(share)) == pytest.approx(students(1.5, -2.0, 4.0), abs=1e-4)
    assert results.at(*AT, "cosine", "icl", "it").mean == pytest.approx(0.7)


def test_what_a_sets_own_direction_carries_is_paired_by_draw(tmp_path):
    cells = by_hand({("icl", "it", "own"): [0.6, 0.8, 0.7]})
    values = {("icl", OWN_DIRECTION): [0.9, 0.5, 0.1], ("icl", OTHER_DRAW_DIRECTION): [0.8, 0.4, 0.0]}
    rows = [row for measure in (PATCHED_AGREEMENT, PATCHED_ACCURACY) for row in patched(values, measure)]
    results = aggregated(tmp_path, cells, {(*AT, REFERENCE): rows})
    where = {"match": OWN_SET_EFFECT.name, "layer": 1}
    effect = results.at(*AT, PATCHED_AGREEMENT.name, "anchor", "icl", **where)
    assert (effect.mean, *ends(effect), effect.p) == pytest.approx((0.1, 0.1, 0.1, 0.25))
    assert results.at(*AT, PATCHED_ACCURACY.name, "anchor", "icl", **where) == ABSENT, "it asks for no set"


def test_a_model_that_could_not_be_patched_has_the_other_estimates(tmp_path):
    cells = by_hand({("icl", "it", "own"): [0.6, 0.8, 0.7]})
    results = aggregated(tmp_path, cells, {(*AT, REFERENCE): []})
    assert results.at(*AT, "cosine", "icl", "it").mean == pytest.approx(0.7)


# The look-up


def test_what_was_not_measured_is_absent(tmp_path):
    cells = {
        key: ([row for row in rows if row["measure"] != "movement"], products)
        for key, (rows, products) in cells_of(*AT, SMALL.with_(arms=("anchor", "icl", "it"))).items()
    }
    results = aggregated(tmp_path, cells)
    assert results.at(*AT, "movement", "icl") == ABSENT
    assert results.at(*AT, "cosine", "icl", "both") == ABSENT
    assert results.at("other", "d", "cosine", "icl", "it") == ABSENT
    assert results.parts("other", "d", "icl", "it") == {}
    assert results.levels("other", "d", "shots") == []
    assert not results.within_noise(*AT, "movement", "icl")
    metrics = json.loads((tmp_path / "metrics.json").read_text())["m"]["d"]
    assert "movement" not in metrics
    assert set(metrics["contrasts"]) == {measure.name for measure in SIMILARITIES}


def test_layers_and_answers_find_their_rows(tmp_path):
    results = aggregated(tmp_path, cells_of(*AT, SMALL))
    assert results.layers(*AT) == [0, 1, 2]
    last, first = results.at(*AT, "cosine", "icl", "it"), results.at(*AT, "cosine", "icl", "it", layer=0)
    assert (last.mean, first.mean) == (results.at(*AT, "cosine", "icl", "it", layer=2).mean, pytest.approx(1))
    assert results.at(*AT, "accuracy", "icl", layer=1) == results.at(*AT, "accuracy", "icl")
    assert results.at(*AT, "accuracy", "icl").mean == pytest.approx(0.815, abs=0.08)
    same, different = (results.at(*AT, "cosine", "icl", "it", answers=kind).mean for kind in ("same", "different"))
    assert same - different == pytest.approx(0.1)


@pytest.mark.parametrize(("noise", "within"), [(2e-6, False), (1.0, True)])
def test_what_noise_would_give_is_told(tmp_path, noise, within):
    results = aggregated(tmp_path, cells_of(*AT, SMALL.with_(noise=noise)))
    assert results.within_noise(*AT, UPDATE_COSINE.name, "icl", "it") == within
    assert results.within_noise(*AT, COSINE.name, "anchor", "it") == within
    assert results.within_noise(*AT, "movement", "icl") == within
    assert not results.within_noise(*AT, COSINE.name, "icl", "it")
    assert not results.within_noise(*AT, "accuracy", "icl")


def test_adapters_that_did_not_move_are_counted(tmp_path):
    assert aggregated(tmp_path / "two", cells_of(*AT, SMALL.with_(still=2))).adapters_not_moved(*AT) == 2
    assert aggregated(tmp_path / "none", cells_of(*AT, SMALL)).adapters_not_moved(*AT) == 0


def test_names_keep_their_order(tmp_path):
    cells = {}
    for model, dataset in (("z", "q"), ("z", "b"), ("a", "q"), ("a", "b")):
        cells |= cells_of(model, dataset, SMALL.with_(arms=("anchor", "icl", "it")))
    results = aggregated(tmp_path, cells)
    assert (results.models, results.datasets) == (["z", "a"], ["q", "b"])
    assert [*results.cells()] == [("z", "q"), ("z", "b"), ("a", "q"), ("a", "b")]


def test_every_name_stands_by_the_numbers_of_its_own_cell(tmp_path):
    cells, values = {}, {}
    for i, cell in enumerate((model, dataset) for model in "mk" for dataset in "ed"):
        for factor, level in ((REFERENCE, REFERENCE), ("shots", "1")):
            values[*cell, factor] = len(values) / 10 + i / 100
            rows = by_hand({("icl", "it", "own"): [values[*cell, factor]]}, factor, level)
            cells[*cell, factor] = rows[*AT, factor]
    aggregated(tmp_path, cells)
    frame = table(tmp_path / "similarity.parquet")
    assert {(row.model, row.dataset, row.factor): row.mean for row in frame.itertuples()} == values


# What DVC shows


def test_metrics_are_those_of_the_reference_and_the_last_layer(tmp_path):
    results = aggregated(tmp_path, cells_of(*AT, SMALL.with_(still=1)))
    metrics = json.loads((tmp_path / "metrics.json").read_text())["m"]["d"]
    assert metrics["at"] == {"shots": "8", "labels": "gold", "layer": 2}
    assert set(metrics["cosine"]) == {"anchor_icl", "anchor_it", "icl_it"}
    assert metrics["cosine"]["icl_it"] == round(results.at(*AT, "cosine", "icl", "it").mean, 6)
    assert metrics["margin"] == {"icl_it": round(results.at(*AT, "margin", "icl", "it").mean, 6)}
    assert metrics["movement"]["icl"] == round(results.at(*AT, "movement", "icl").mean, 6)
    assert metrics["accuracy"]["anchor"] == 0.5
    assert metrics["noise"] == {"icl": 2e-6, "it": 2e-6, "icl_it": 4e-12}
    assert (metrics["adapters_not_moved"], metrics["draws"]) == (1, 3)
    effect = results.at(*AT, "update_cosine", "icl", "it", match="own-other-draw")
    told = metrics["differences"]["update_cosine"]["own-other-draw"]
    assert told == {name: round(getattr(effect, name), 6) for name in ("mean", "low", "high", "p")}
    own, other = (metrics["contrasts"]["update_cosine"][name] for name in ("own", "other-draw"))
    assert own - other == pytest.approx(told["mean"], abs=2e-6)
    parts = {name: part["contribution"]["mean"] for name, part in metrics["parts"].items()}
    assert sum(parts[name] for name in PARTS[:-1]) == pytest.approx(parts["whole"], abs=5e-6)
    assert metrics["parts"]["general"]["share"].keys() == {"icl", "it"}
    assert list(metrics) == sorted(metrics)


def test_the_series_for_plots(tmp_path):
    results = aggregated(tmp_path, cells_of(*AT, SMALL))
    layers, levels = (
        [*csv.DictReader((tmp_path / file).read_text().splitlines())] for file in ("layers.csv", "levels.csv")
    )
    assert len(layers) == 3 * 3
    found = [r["cosine"] for r in layers if (r["of"], r["layer"]) == ("icl_it", "1")]
    assert [float(f) for f in found] == [round(results.at(*AT, "cosine", "icl", "it", layer=1).mean, 6)]
    assert {r["noise"] for r in layers} == {"", "2e-06", "4e-12"}  # nothing moves at layer 0
    assert len(levels) == (3 + 2) * (3 + 3)
    places = [(r["factor"], r["level"]) for r in levels if (r["measure"], r["of"]) == ("accuracy", "it")]
    assert places == [("shots", "1"), ("shots", "8"), ("shots", "16"), ("labels", "gold"), ("labels", "flipped")]
    means = [float(r["mean"]) for r in levels if (r["measure"], r["of"]) == ("accuracy", "it")]
    assert means[1] == means[3] == round(results.at(*AT, "accuracy", "it").mean, 6)
    assert {(r["measure"], bool(r["noise"])) for r in levels} == {("cosine", True), ("accuracy", False)}


# What is refused


def refused(folder, message, made=None, **changes):
    """What aggregation says of cells or flags that are not as they must be; it writes nothing."""
    cells = made or cells_of(*AT, SMALL.with_(arms=("anchor", "icl", "it")))
    write_cells(folder, cells)
    with pytest.raises(ArtifactError, match=message) as refusal:
        aggregate_similarity(**flags_of(folder, cells, **changes))
    assert "\n" not in str(refusal.value)
    assert not any((folder / file).exists() for file in FILES.values())


def test_a_cell_that_is_named_twice_is_refused(tmp_path):
    refused(tmp_path, "datasets: d, d names a dataset twice; name each once", datasets=["d", "d"])


def test_a_row_that_stands_twice_is_refused(tmp_path):
    cells = by_hand({("icl", "it", "own"): [0.1, 0.2]})
    rows, _ = cells[*AT, REFERENCE]
    refused(
        tmp_path,
        "holds two rows for draw 1, level reference, layer 1, one icl",
        {(*AT, REFERENCE): ([*rows, rows[1]], [])},
    )


def test_a_level_that_the_study_does_not_have_is_refused(tmp_path):
    refused(tmp_path, "shots/similarity.parquet holds level 16 of 1, 8;", levels={**LEVELS, "shots": ["1", "8"]})


def test_a_cell_that_is_not_there_is_named(tmp_path):
    refused(tmp_path, "other/d/reference/similarity.parquet is missing", models=["m", "other"])


def test_a_pattern_that_does_not_tell_cells_apart_is_refused(tmp_path):
    refused(tmp_path, "lacks {dataset}, {factor}, and must give each cell", cells=f"{tmp_path}/{{model}}/d/shots")


# The command


def test_two_runs_give_equal_bytes_by_call_and_by_command(tmp_path):
    cells = cells_of(*AT, Made(layers=1, arms=("anchor", "icl", "it")))
    one, two = tmp_path / "one", tmp_path / "two"
    aggregated(one, cells)
    write_cells(two, cells)
    flags = flags_of(two, cells) | {"settings": SETTINGS.model_dump()}
    words = {name: json.dumps(value) if isinstance(value, list | dict) else value for name, value in flags.items()}
    code = (
        "import runpy, sys; runpy.run_module('workflow_scripts.aggregate_similarity', run_name='__main__');"
        "sys.exit(bool({'torch', 'transformers'} & set(sys.modules)))"
    )
    command = [sys.executable, "-c", code, *(f"--{name}={value}" for name, value in words.items())]
    subprocess.run(command, check=True, cwd=ROOT)
    made = [path.relative_to(one) for name in FILES.values() for path in [one / name, *sorted((one / name).rglob("*"))]]
    files = [path for path in made if (one / path).is_file()]
    assert len(files) >= len(FILES)
    assert [file for file in files if (one / file).read_bytes() != (two / file).read_bytes()] == []
    origin = read_origin(one / "parts.parquet")
    assert origin["settings"] == {"levels": LEVELS, "reference": SETTING, "settings": SETTINGS.model_dump(), "seed": 0}


@pytest.mark.parametrize("wrong", [{"confidence": 1.0, "resamples": 200}, {"confidence": 0.9, "resamples": 10}])
def test_settings_are_checked(wrong):
    with pytest.raises(ValueError, match="should be"):
        AggregateSimilarity(**wrong)
