from functools import partial

import pytest

from tests.synthetic_estimates import ALIKE, LAYERS, Made, results_of
from workflow_scripts.lib.arms import ANCHOR, ARMS, CHOOSABLE, ICL
from workflow_scripts.lib.measures import HEADLINE, PARTIAL_COSINE, RELEVANCE, SIMILARITIES
from workflow_scripts.lib.measures.contrasts import CONTRASTS, DIFFERENCES, OTHER_DRAW, OWN, OWN_DEMONSTRATION_EFFECT
from workflow_scripts.lib.measures.parts import PARTS
from workflow_scripts.lib.patching.measures import PATCH_MEASURES
from workflow_scripts.lib.report import answer_tables, patched, state_tables
from workflow_scripts.lib.report.cases import cases
from workflow_scripts.lib.report.charts import layers
from workflow_scripts.lib.report.patched import at_depths
from workflow_scripts.lib.report.sections import TABLES
from workflow_scripts.lib.report.table import EMPTY, Cell, Column, Head, Row, table

MINUS = "\N{MINUS SIGN}"


def shown(make, *made, controls=None, **settings):
    """Headings of columns, and rows as texts: heads that span several rows in each of them."""
    found = make(cases(results_of(*made), controls or {}), **settings)
    headings = [*found.heads, *(heading for _, group in found.groups for heading in group)]
    return headings, list(whole_rows(found))


def whole_rows(found):
    spans = {}
    for row in found.rows:
        heads = iter(row.heads)
        for n in range(len(found.heads)):
            if not spans.get(n, (0, None))[0]:
                head = next(heads)
                spans[n] = head.rows, head
            spans[n] = spans[n][0] - 1, spans[n][1]
        assert next(heads, None) is None
        yield [spans[n][1].text for n in range(len(found.heads))] + [" ".join([c.value, *c.beneath]) for c in row.cells]


@pytest.mark.parametrize(
    "make", [*(make for _, _, make in TABLES), partial(answer_tables.effects_table, factor="shots")]
)
def test_a_table_has_rows_of_every_case_and_every_row_is_whole(make):
    made = Made(), Made(dataset="topics"), Made("raw")
    columns, rows = shown(make, *made, controls={"raw": "pocket"})
    assert {len(row) for row in rows} == {len(columns)}
    assert list(dict.fromkeys((row[0], row[1]) for row in rows)) == [
        ("pocket", "reviews"),
        ("pocket", "topics"),
        ("raw", "reviews"),
    ]


def test_a_control_is_named_as_one():
    found = state_tables.ground_table(cases(results_of(Made(), Made("raw")), {"raw": "pocket"}))
    assert [row.heads[0].beneath for row in found.rows] == ["", "untrained control of pocket"]


def test_parts_have_their_contribution_alignment_and_shares():
    columns, rows = shown(state_tables.parts_table, Made(own=0.6, other_draw=0.5, other_query=0.4))
    assert columns == ["model", "data set", "part", "contribution", "of the whole", "alignment", "ICL", "IT"]
    assert [row[2].split()[0] for row in rows] == list(PARTS)
    assert rows[0][3:] == ["0.360 0.340 to 0.380", "60 %", "0.360 0.340 to 0.380", *["0.250 0.230 to 0.270"] * 2]


def test_every_similarity_has_its_controls_ceilings_and_differences():
    columns, rows = shown(state_tables.similarities_table, Made(**ALIKE))
    assert columns[3:] == [
        *(contrast.heading for contrast in CONTRASTS),
        *(arm.heading for arm in ARMS if arm.role == "ceiling"),
        *(arm.heading for arm in ARMS if arm.role == "imitation"),
        *(difference.heading for difference in DIFFERENCES),
    ]
    assert [row[2] for row in rows] == [measure.heading for measure in SIMILARITIES]
    of_updates = next(row for row in rows if row[2] == HEADLINE.heading)
    assert of_updates[3:5] == ["0.600 0.580 to 0.620", "0.500 0.480 to 0.520"]
    assert of_updates[8] == "0.600 0.580 to 0.620 another draw's set 0.500 another query, other label 0.300"
    assert of_updates[12] == "0.100 0.080 to 0.120 p = 0.004"


def test_the_anchors_cosines_stand_beside():
    columns, rows = shown(state_tables.anchor_table, Made())
    assert columns.count(OWN.heading) == columns.count(OTHER_DRAW.heading) == 3
    assert [rows[0][i] for i, name in enumerate(columns) if name == OWN.heading] == [
        "0.400 0.380 to 0.420",
        "0.300 0.280 to 0.320",
        "0.800 0.780 to 0.820",
    ]
    assert rows[0][-1] == "0.400 0.380 to 0.420 p = 0.002"


def test_answers_of_every_arm():
    columns, rows = shown(answer_tables.accuracies_table, Made())
    assert columns[2:] == [arm.heading for arm in CHOOSABLE] * 2
    assert rows[0][3] == "0.900 0.880 to 0.920"
    assert rows[0][2] == "0.500"
    columns, _ = shown(answer_tables.distances_table, Made())
    of_two = ["anchor-ICL", "anchor-IT", "ICL-IT"]
    assert columns[2:] == [*of_two, *of_two, "ICL-IT", *(arm.heading for arm in CHOOSABLE if arm is not ANCHOR)]


def test_noise_and_counts():
    left_out = {"excluded": 10, "queries": 990}
    made = Made(still=1).change(left_out, measure=PARTIAL_COSINE.name, match=OWN.name, layer=LAYERS)
    columns, rows = shown(state_tables.ground_table, made)
    assert columns[2:] == ["of ICL", "of IT", "shared", "draws", "excluded", "not moved, or loss not fallen"]
    assert rows[0][2:] == [f"2e{MINUS}6", f"2e{MINUS}6", f"4e{MINUS}12", "10", "10 of 1000", "1"]


def test_similarities_by_what_is_predicted():
    columns, rows = shown(state_tables.split_table, Made(own=0.6, other_draw=0.5))
    assert columns[3:] == ["the same label", "different labels", *(contrast.heading for contrast in CONTRASTS)]
    assert [row[2] for row in rows] == [measure.heading for measure in SIMILARITIES if measure.by_query]
    assert rows[1][3] == "0.650 0.630 to 0.670 500 queries"


def test_what_levels_change():
    columns, rows = shown(answer_tables.effects_table, Made(), factor="shots")
    assert columns[3:] == [*(c.heading for c in CONTRASTS), OWN_DEMONSTRATION_EFFECT.heading, "ICL", "IT"]
    assert [row[2] for row in rows] == ["1", "16"]
    assert rows[0][-1] == f"{MINUS}0.200 {MINUS}0.220 to {MINUS}0.180 Holm p = 0.020"


def test_a_level_with_sets_for_each_query_says_of_how_many_and_how_alike():
    made = Made()
    made.at = "shots", "16"
    made.add(None, ICL.name, None, None, RELEVANCE.name, 0.34, queries=200)
    found = answer_tables.effects_table(cases(results_of(made), {}), factor="shots")
    assert [row.heads[-1].beneath for row in found.rows] == ["", "relevance 0.340, of 20 queries"]


def test_what_noise_would_give_is_marked():
    columns, quiet = shown(state_tables.anchor_table, Made(noise=2e-6))
    _, loud = shown(state_tables.anchor_table, Made(noise=1.0))
    marked = [[columns[i] for i, text in enumerate(rows[0]) if "within the noise" in text] for rows in (quiet, loud)]
    assert marked == [[], [OWN.heading] * 2]  # of anchor-ICL and of anchor-IT


def test_measures_that_a_study_leaves_out_have_no_row():
    _, rows = shown(state_tables.similarities_table, Made().without(measures=[PARTIAL_COSINE.name]))
    assert PARTIAL_COSINE.heading not in [row[2] for row in rows]
    assert len(rows) == len(SIMILARITIES) - 1


def test_a_study_without_ceilings_and_imitations_has_no_column_for_them():
    ceilings = {arm.name for arm in ARMS if arm.role in ("ceiling", "imitation")}
    made = Made()
    made.similarity = [row for row in made.similarity if not {row["one"], row["other"]} & ceilings]
    columns, _ = shown(state_tables.similarities_table, made)
    assert columns[3:] == [row.heading for row in (*CONTRASTS, *DIFFERENCES)]


def test_changes_of_every_arm():
    columns, rows = shown(state_tables.changes_table, Made())
    given = [arm.heading for arm in CHOOSABLE if arm is not ANCHOR]
    assert columns[2:] == given * 2
    assert rows[0][2] == "0.700 0.680 to 0.720"


def test_what_no_row_has_is_left_out_and_equal_heads_are_one():
    columns = [Column("a", "1"), Column("a", "2"), Column("b", "3")]
    rows = [
        Row([Head("m"), Head("d")], [Cell("1"), EMPTY, EMPTY]),
        Row([Head("m"), Head("d")], [EMPTY, EMPTY, Cell("2")]),
        Row([Head("m"), Head("e")], [EMPTY, EMPTY, EMPTY]),
        Row([Head("n"), Head("d")], [Cell("3"), EMPTY, EMPTY]),
    ]
    found = table("", ["model", "data set"], columns, rows)
    assert found.groups == [("a", ["1"]), ("b", ["3"])]
    assert [row.heads for row in found.rows] == [
        [Head("m", rows=2), Head("d", rows=2)],
        [],
        [Head("n"), Head("d")],
    ]
    assert [[cell.value for cell in row.cells] for row in found.rows] == [
        ["1", "\N{EN DASH}"],
        ["\N{EN DASH}", "2"],
        ["3", "\N{EN DASH}"],
    ]


def test_the_figure_of_patches_shows_nothing_twice():
    """Accuracies of the draws' own and of each other's directions have one mean by construction."""
    assert [patch.heading for patch in layers.DRAWN] == [
        "the arm's state",
        "another query's state",
        "the set's direction",
    ]


@pytest.mark.parametrize(
    ("patched_at", "last", "shown_at"),
    [
        (range(31), 30, [7, 15, 22, 30]),
        ([0, 6, 12, 18, 24, 30], 30, [6, 12, 24, 30]),
        ([0, 30], 30, [0, None, None, 30]),
        ([6, 27], 30, [6, None, 27, None]),
        ([30], 30, [None, None, None, 30]),
        ([], 30, [None] * 4),
    ],
)
def test_a_depth_is_shown_by_the_nearest_layer_that_was_patched_and_no_layer_twice(patched_at, last, shown_at):
    assert at_depths(patched_at, last) == shown_at


def test_where_few_layers_are_patched_the_table_shows_those():
    made = Made(accuracies=(0.5, 0.9, 0.9))
    measures = {measure.name for measure in PATCH_MEASURES}
    made.similarity = [row for row in made.similarity if row["measure"] not in measures or row["layer"] in (0, 1, 3)]
    columns, rows = shown(patched.patched_table, made)
    found = patched.patched_table(cases(results_of(made), {}))
    assert columns[4:6] == ["a quarter up", "three quarters"]
    assert rows[0][4:6] == ["0.600 0.580 to 0.620", "0.800 0.780 to 0.820"]
    assert found.rows[0].heads[-1].beneath == "layers 1 and 3 of 4"
