"""What figures are drawn from: tidy tables, how a page holds them, what a reader chooses, and files of tables."""

import base64
import json
import zlib

import numpy as np
import pytest

from tests.synthetic_estimates import ALIKE, LAYERS, LEVELS, OF_TASK, STUDY, Made, results_of
from workflow_scripts.lib.arms import ANCHOR, QUESTION
from workflow_scripts.lib.measures import ACCURACY, COSINE, HEADLINE, HOW_WELL, LOG_PROB_PER_TOKEN, SIMILARITIES
from workflow_scripts.lib.measures.contrasts import OTHER_DRAW, OWN
from workflow_scripts.lib.report.cases import ICL_IT, cases
from workflow_scripts.lib.report.charts.figures import figures
from workflow_scripts.lib.report.choice import State, chosen
from workflow_scripts.lib.report.contents import choices_of
from workflow_scripts.lib.report.drawing import spec_of, with_rows
from workflow_scripts.lib.report.encode import FINEST, MISSING, as_script, encoded
from workflow_scripts.lib.report.export import escaped, latex
from workflow_scripts.lib.report.outcomes import outcomes_table, runs
from workflow_scripts.lib.report.says import says
from workflow_scripts.lib.report.table import Cell, Column, Head, Row, table
from workflow_scripts.lib.report.tidy import Tidy, tidy
from workflow_scripts.lib.report.tuning import loss_rows, tuning_table

ROWS = [("a", 1, 0.25, 0.2, 0.3), ("b", 1, -0.75, None, None), ("a", 2, None, None, None), ("b", 2, 1.0, -1.0, 1.0)]
TABLE = Tidy("t", ("one", "two"), ("mean", "low", "high"), ROWS)


def unpacked(told):
    """The rows again, as the page's script reads them."""
    content, rows = zlib.decompress(base64.b64decode(told["bytes"])), told["tables"]["t"]["rows"]
    low, high = np.frombuffer(content, np.uint8).reshape(-1, 2, rows).transpose(1, 0, 2).astype(np.uint16)
    columns = (low | (high << 8)).view(np.int16)
    keys = told["tables"]["t"]["keys"]
    words = [[some[code] for code in column] for some, column in zip(keys.values(), columns, strict=False)]
    mean, *ends = columns[len(keys) :]
    mean = np.cumsum(mean, dtype=np.int16)
    numbers = [mean, *(np.where(end == MISSING, MISSING, mean + end) for end in ends)]
    scale = told["tables"]["t"]["scale"]
    return list(zip(*words, *([None if x == MISSING else x * scale for x in some] for some in numbers), strict=True))


def test_a_page_holds_rows_to_a_thousandth():
    told = encoded({"t": TABLE})
    assert told["tables"]["t"]["keys"] == {"one": ["a", "b"], "two": [1, 2]}
    for row, found in zip(ROWS, unpacked(told), strict=True):
        assert found[:2] == row[:2]
        assert [x is None for x in found[2:]] == [x is None for x in row[2:]]
        assert [x for x in found[2:] if x is not None] == pytest.approx([x for x in row[2:] if x is not None])


def test_large_numbers_are_held_more_coarsely_and_none_is_lost():
    told = encoded({"t": TABLE._replace(rows=[("a", 1, 1600.0, 0.0, 1600.0), ("a", 2, -1600.0, -1600.0, 0.0)])})
    assert told["tables"]["t"]["scale"] == 0.1 > FINEST
    assert [row[2:] for row in unpacked(told)] == [pytest.approx(x) for x in [(1600, 0, 1600), (-1600, -1600, 0)]]


def test_a_table_without_rows_is_held():
    assert encoded({"t": TABLE._replace(rows=[])})["tables"]["t"]["rows"] == 0


def test_no_name_ends_a_script():
    name = "</script><script>alert(1)</script>"
    assert "<" not in (text := as_script({"name": name}))
    assert json.loads(text) == {"name": name}


def test_what_does_not_fit_is_left_out_whole_and_named_and_the_headline_is_first():
    every = cases(results_of(Made(**ALIKE)), {})
    whole, nothing = tidy(every)
    assert nothing == []
    first = sum(1 for row in whole["states"].rows if row[3] != COSINE.heading)
    some, left_out = tidy(every, room=300)
    assert 0 < len(some["states"].rows) < first
    assert {row[3] for row in some["states"].rows} >= {HEADLINE.heading}
    assert "other measures over layers" in left_out


def test_a_row_is_an_estimate():
    rows, _ = tidy(cases(results_of(Made(own=0.6, other_draw=0.5)), {}))
    found = chosen(
        rows["states"],
        {"measure": "@measure", "of": [ICL_IT], "layer": "@layer"},
        State("pocket", measure=HEADLINE.heading),
    )
    means = {row["match"]: row["mean"] for row in found}
    assert means[OWN.name] == pytest.approx(0.6)
    assert means[OTHER_DRAW.name] == pytest.approx(0.5)
    assert {row["layer"] for row in found} == {LAYERS}


@pytest.mark.parametrize(
    ("state", "layers", "matches"),
    [
        (State("pocket", layer="2", contrast=OTHER_DRAW.name), {2}, {OWN.name, OTHER_DRAW.name}),
        (State("pocket", layer="last", contrast=OWN.name), {4}, {OWN.name}),
        (State("nobody", layer="2"), set(), set()),
    ],
    ids=["a-control-with-its-own", "last", "nothing"],
)
def test_a_reader_chooses(state, layers, matches):
    rows, _ = tidy(cases(results_of(Made(**ALIKE)), {}))
    where = {"model": "@model", "measure": [HEADLINE.heading], "of": [ICL_IT], "match": "@contrast", "layer": "@layer"}
    found = chosen(rows["states"], where, state)
    assert {row["layer"] for row in found} == layers
    assert {row["match"] for row in found} == matches


def test_every_chart_fits_vega_lites_schema():
    for figure in figures(results_of(Made())):
        spec = figure.draw().to_dict()  # Altair holds it against the schema
        spec.pop("$schema")
        assert json.loads(json.dumps(spec)) == json.loads(json.dumps(spec_of(figure.draw)))


def test_panels_stand_beside_each_other_where_there_is_room_and_in_the_order_of_the_study():
    spec = {"columns": 3, "facet": {"field": "dataset"}, "spec": {}, "config": {"axisY": {}, "legend": {}}}
    rows = [{"dataset": name, "of": "x"} for name in ("z", "a", "m", "b")]
    wide, narrow = (with_rows(spec, rows, width) for width in (1200, 300))
    assert [one["columns"] for one in (wide, narrow)] == [3, 1]
    assert wide["spec"]["width"] * 3 < 1200
    assert narrow["spec"]["width"] < 300
    assert wide["facet"]["sort"] == ["z", "a", "m", "b"]


@pytest.mark.parametrize(
    ("numbers", "said"),
    [([], []), ([3], ["3"]), ([0, 1, 2, 5, 7, 8], ["0 to 2", "5", "7 to 8"]), ([*range(40)], ["0 to 39"])],
    ids=["none", "one", "some", "forty"],
)
def test_whole_numbers_are_told_as_runs(numbers, said):
    assert runs(numbers) == said


def test_a_case_is_told_by_its_outcome_and_what_it_rests_on():
    from workflow_scripts.lib.report.findings import findings

    results = results_of(Made(**ALIKE), Made("raw", **OF_TASK))
    found = outcomes_table(findings(cases(results, {"raw": "pocket"})))
    (row,) = found.rows
    assert [head.text for head in row.heads] == ["pocket", "reviews", "its own demonstrations"]
    assert row.heads[-1].beneath == "more than untrained"
    told = dict(zip([name for _, some in found.groups for name in some], row.cells, strict=True))
    assert told["effect"] == Cell("0.100", ("0.080 to 0.120", "p = 0.004"))
    assert told["of own"].value == "17 %"
    assert told["layers"].value == "1 to 4 of 4"  # the effect grows by 0.025 a layer, its band reaches 0.02 down
    assert told["untrained"].value == "0.000"


def test_what_latex_reads_is_text():
    assert escaped("a_b & 5 % {x} ~ \\ <") == r"a\_b \& 5 \% \{x\} \textasciitilde{} \textbackslash{} \textless{}"
    made = table(
        "",
        ["model"],
        [Column("g_1", "a"), Column("g_1", "b")],
        [Row([Head("m&m")], [Cell("1", ("0 to 2",)), Cell("3")])],
    )
    text = latex(made)
    assert r"m\&m & 1 & 3 \\" in text
    assert r"& {\scriptsize [0 to 2]} &  \\" in text
    assert r"\multicolumn{2}{c}{g\_1}" in text
    assert r"\cmidrule(lr){2-3}" in text


def test_losses_of_a_long_training_are_thinned_and_keep_both_ends():
    losses = [1 / (step + 1) for step in range(1001)]
    rows = list(loss_rows({("m", "d"): [{"draw": "0", "losses": losses}]}))
    assert rows[0] == ("m", "d", "0", 0, 1.0)
    assert rows[-1] == ("m", "d", "0", 1000, losses[-1])
    assert 40 < len(rows) < 60


def test_tuning_is_told_case_by_case():
    rows = [{"draw": str(n), "losses": [0.8, after], "norm_b": 1.0} for n, after in enumerate([0.1, 0.9, 0.7])]
    (row,) = tuning_table({("m", "d"): rows}).rows
    assert [cell.value for cell in row.cells] == ["3", "0.800", "0.700", "0.900", "none", "1", "2"]


def test_every_measure_is_there_to_choose():
    rows, _ = tidy(cases(results_of(Made()), {}))
    assert {row[3] for row in rows["states"].rows} >= {measure.heading for measure in SIMILARITIES}


def test_layers_to_choose_are_those_that_any_case_has():
    made = Made(), Made("other")
    for one, kept in zip(made, ({0, 4}, {2, 4}), strict=True):
        one.similarity = [row for row in one.similarity if row["layer"] is None or row["layer"] in kept]
    results = results_of(*made)
    choices = {one.name: one.options for one in choices_of(results, tidy(cases(results, {}))[0])}
    assert [value for value, _ in choices["layer"]] == ["last", "0", "2", "4"]


def test_the_path_of_tuning_has_the_score_of_every_kind_of_answers(monkeypatch):
    monkeypatch.setitem(LEVELS, "path", ["1", "5"])
    monkeypatch.setitem(STUDY["reference"], "path", "5")
    texts = Made(dataset="texts").change({"measure": LOG_PROB_PER_TOKEN.name}, measure=ACCURACY.name)
    results = results_of(Made(), texts)
    rows, _ = tidy(cases(results, {}))
    drawn = {one.name: one for one in figures(results) if one.section == "path"}
    assert list(drawn) == ["path", *(f"path-{measure.name}" for measure in HOW_WELL)]
    for measure, dataset in zip(HOW_WELL, ("reviews", "texts"), strict=True):
        found = chosen(rows["levels"], drawn[f"path-{measure.name}"].where, State("pocket"))
        assert {(row["dataset"], row["level"], row["of"]) for row in found} == {
            (dataset, step, arm.heading) for step in LEVELS["path"] for arm in (ANCHOR, *QUESTION)
        }
        assert says(f"path-{measure.name}", found).startswith("anchor 0.50, ICL 0.90 and IT 0.85")
    assert {row[4] for row in rows["path"].rows} == {HEADLINE.heading}, "scores have a scale of their own"
