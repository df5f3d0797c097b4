import csv
import html
import json
import re
import socket
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.synthetic import cell_rows, write_cell
from workflow_scripts.aggregate_similarity import aggregate_similarity
from workflow_scripts.lib.tables import ArtifactError
from workflow_scripts.render_report import render_report

pytestmark = pytest.mark.stage
ROOT = Path(__file__).parents[2]
REFERENCE = {"shots": "8", "labels": "gold"}
SETTINGS = {"confidence": 0.95, "resamples": 200, "seed": 0}
ALIKE = {"own": 0.9, "anchor": 0.4, "accuracies": (0.5, 0.9, 0.9)}
UNLIKE = {"own": 0.4, "anchor": 0.6, "accuracies": (0.5, 0.9, 0.9)}
UNTRAINED = {"own": 0.6, "anchor": 0.6, "accuracies": (0.5, 0.5, 0.5)}


def aggregate(folder, cells, reference=REFERENCE):
    """Aggregate lists of rows, one per cell; gives the table and the folder's other files."""
    paths = [write_cell(folder / f"{i}.parquet", rows) for i, rows in enumerate(cells)]
    files = {"metrics": "metrics.json", "layers": "layers.csv", "levels": "levels.csv"}
    outputs = {name: folder / file for name, file in files.items()}
    aggregate_similarity(paths, reference=reference, similarity=folder / "similarity.parquet", **outputs, **SETTINGS)
    return pq.read_table(folder / "similarity.parquet").to_pandas()


def render(folder, cells, controls=None, reference=REFERENCE, title="Study"):
    aggregate(folder, cells, reference)
    target = folder / "report.html"
    outputs = {"report": target, "figures": folder / "figures"}
    render_report(folder / "similarity.parquet", title=title, reference=reference, controls=controls or {}, **outputs)
    return target.read_text(encoding="utf-8")


def shots(model="pocket", dataset="reviews", levels=("1", "8"), **settings):
    return cell_rows(model, dataset, "shots", list(levels), **settings)


def labels(model="pocket", dataset="reviews", **settings):
    return cell_rows(model, dataset, "labels", ["gold", "flipped"], **settings)


def by_hand(values, **changes):
    """A cell of one level and layer: cosine of each pair in each draw."""
    base = {"model": "m", "dataset": "d", "factor": "shots", "level": "8", "layer": 1, "measure": "cosine"}
    return [
        base | {"draw": draw, "pair": pair, "value": value, "queries": 4, "excluded": 1} | changes
        for pair, per_draw in values.items()
        for draw, value in enumerate(per_draw)
    ]


def row(frame, **keys):
    for name, value in keys.items():
        frame = frame[frame[name] == value]
    assert len(frame) == 1
    return frame.iloc[0]


def answer_of(page):
    found = re.search(r'class="verdict">([^<]*)</span>(.*?)</div>', page, re.DOTALL)
    assert found is not None
    return found[1], found[2]


def words(page):
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", page)).split())


# Aggregation


def test_means_intervals_and_counts_by_hand(tmp_path):
    cosines = {"anchor-icl": [0.2, 0.4], "anchor-it": [0.1, 0.5], "icl-it": [0.6, 0.8]}
    frame = aggregate(tmp_path, [by_hand(cosines)])
    own = row(frame, measure="cosine", pair="icl-it")
    assert own["mean"] == pytest.approx(0.7)
    assert (own.low, own.high) == pytest.approx((0.6, 0.8))
    assert (own.draws, own.queries, own.excluded) == (2, 8, 2)
    margin = row(frame, measure="margin")
    assert margin["mean"] == pytest.approx(((0.6 - 0.2) + (0.8 - 0.5)) / 2)
    assert (margin.low, margin.high) == pytest.approx((0.3, 0.4))


def test_the_margin_is_paired_within_draws(tmp_path):
    anchor = [0.1, 0.3, 0.5, 0.7]
    frame = aggregate(
        tmp_path, [by_hand({"anchor-icl": anchor, "anchor-it": [0.0] * 4, "icl-it": [a + 0.05 for a in anchor]})]
    )
    own, other = row(frame, measure="cosine", pair="icl-it"), row(frame, measure="cosine", pair="anchor-icl")
    assert own.low < other.high
    assert row(frame, measure="margin").low == pytest.approx(0.05)


def test_a_draw_without_a_value_counts_as_none(tmp_path):
    rows = by_hand({"icl-it": [None, 0.4, 0.6]}, measure="update_cosine")
    nothing = by_hand({"icl-it": [None, None, None]}, measure="update_cosine", layer=0)
    frame = aggregate(tmp_path, [rows + nothing])
    assert row(frame, layer=1)["mean"] == pytest.approx(0.5)
    assert row(frame, layer=1).draws == 2
    assert frame[frame.layer == 0][["mean", "low", "high"]].isna().all(axis=None)
    assert row(frame, layer=0).draws == 0


def test_one_draw_and_the_anchor_have_no_interval(tmp_path):
    frame = aggregate(tmp_path, [shots(draws=1), shots(dataset="topics")])
    assert frame[frame.dataset == "reviews"][["low", "high"]].isna().all(axis=None)
    rest = frame[(frame.dataset == "topics") & frame["mean"].notna()]
    assert set(rest[rest.low.isna()].pair) == {"anchor"}
    assert rest[rest.pair == "anchor"].low.isna().all()


def test_names_keep_the_order_of_the_cells(tmp_path):
    cells = [shots("z", "q", levels=("16", "2", "8")), shots("z", "b"), shots("a", "q"), shots("a", "b")]
    frame = aggregate(tmp_path, cells)
    order = {name: frame[name].drop_duplicates().tolist() for name in ("model", "dataset", "level")}
    assert order == {"model": ["z", "a"], "dataset": ["q", "b"], "level": ["16", "2", "8", "1"]}


def test_the_order_of_rows_does_not_change_an_estimate(tmp_path):
    keys = ["level", "layer", "pair", "measure"]
    one, other = (
        aggregate(tmp_path / name, [rows]).sort_values(keys, ignore_index=True)
        for name, rows in (("one", shots()), ("other", shots()[::-1]))
    )
    assert one.equals(other)


def test_metrics_are_those_of_the_reference_level_and_the_last_layer(tmp_path):
    frame = aggregate(tmp_path, [shots(levels=("1", "8", "16"), still=3)])
    metrics = json.loads((tmp_path / "metrics.json").read_text())["pocket"]["reviews"]
    own = row(frame, level="8", layer=4, measure="cosine", pair="icl-it")
    assert metrics["at"] == {"factor": "shots", "level": "8", "layer": 4}
    assert metrics["cosine"]["icl_it"] == round(own["mean"], 6)
    accuracy = row(frame, level="8", measure="open_accuracy", pair="it")
    assert metrics["open_accuracy"]["it"] == round(accuracy["mean"], 6)
    movement = row(frame, level="8", layer=4, measure="movement", pair="anchor-icl")
    assert metrics["movement"]["icl"] == round(movement["mean"], 6)
    assert metrics["noise"] == {"anchor_icl": 2e-6, "anchor_it": 2e-6, "icl_it": 2e-6}
    assert metrics["adapters_not_moved"] == 3
    assert list(metrics) == sorted(metrics)


def test_the_first_factor_with_its_reference_level_is_the_reference(tmp_path):
    aggregate(tmp_path, [shots(levels=("1", "2")), labels()])
    at = json.loads((tmp_path / "metrics.json").read_text())["pocket"]["reviews"]["at"]
    assert (at["factor"], at["level"]) == ("labels", "gold")


def test_without_a_reference_level_the_last_level_stands_in_and_is_named(tmp_path):
    aggregate(tmp_path, [shots(levels=("1", "4", "2"))])
    at = json.loads((tmp_path / "metrics.json").read_text())["pocket"]["reviews"]["at"]
    assert (at["factor"], at["level"]) == ("shots", "2")


def test_the_series_for_plots(tmp_path):
    frame = aggregate(tmp_path, [shots(), labels()])
    with (tmp_path / "layers.csv").open() as file:
        layers = list(csv.DictReader(file))
    assert len(layers) == 3 * 5
    expected = row(frame, factor="shots", level="8", layer=2, pair="icl-it", measure="cosine")["mean"]
    found = [r["cosine"] for r in layers if (r["pair"], r["layer"]) == ("icl-it", "2")]
    assert [float(f) for f in found] == [round(expected, 6)]
    assert {r["noise"] for r in layers} == {"", "2e-06"}  # nothing moves at layer 0
    with (tmp_path / "levels.csv").open() as file:
        levels = list(csv.DictReader(file))
    assert len(levels) == 2 * 2 * 6
    wanted = row(frame, factor="labels", level="flipped", pair="it", measure="accuracy")["mean"]
    keys = ("labels", "flipped", "accuracy", "it")
    found = [r["mean"] for r in levels if (r["factor"], r["level"], r["measure"], r["of"]) == keys]
    assert [float(f) for f in found] == [round(wanted, 6)]
    assert {(r["measure"], r["noise"]) for r in levels} == {("cosine", "2e-06"), ("accuracy", "")}


def test_a_cell_that_is_named_twice_is_refused(tmp_path):
    with pytest.raises(ArtifactError, match="two cells hold model pocket, dataset reviews, factor shots"):
        aggregate(tmp_path, [shots(), shots()])


# The report's answer


def test_the_answer_flips_with_the_numbers(tmp_path):
    yes = answer_of(render(tmp_path / "yes", [shots(**ALIKE)]))
    no = answer_of(render(tmp_path / "no", [shots(**UNLIKE)]))
    assert yes[0] == "Yes."
    assert "anchor state in the one case studied" in yes[1]
    assert no[0] == "No."
    assert "anchor state in no case" in no[1]
    assert "here it is not found" in no[1]


def test_some_cases_are_in_part(tmp_path):
    verdict, summary = answer_of(render(tmp_path, [shots(**ALIKE), shots(dataset="topics", **UNLIKE)]))
    assert verdict == "In part."
    assert "1 of 2 cases" in summary


def test_alike_states_whose_arms_answer_no_better_are_said_to_be(tmp_path):
    page = render(tmp_path, [shots(**{**ALIKE, "accuracies": (0.5, 0.9, 0.5)})])
    assert answer_of(page)[0] == "On the cosine alone."
    assert "better than the anchor in no such case" in answer_of(page)[1]
    assert "Only ICL answers better than the anchor on reviews" in page


def test_one_draw_shows_nothing(tmp_path):
    verdict, summary = answer_of(render(tmp_path, [shots(draws=1, **ALIKE)]))
    assert verdict == "Not shown."
    assert "one draw" in summary


def test_without_the_cosine_there_is_no_answer_and_still_a_page(tmp_path):
    page = render(tmp_path, [[r for r in shots() if r["measure"] != "cosine"]])
    assert answer_of(page)[0] == "Not measured."
    assert "Provenance" in page


def test_a_control_is_mentioned_only_where_there_is_one(tmp_path):
    alone = words(render(tmp_path / "alone", [shots(**ALIKE)], controls={"raw": "pocket"}))
    both = [shots(**ALIKE), shots("raw", **UNTRAINED)]
    controlled = words(render(tmp_path / "both", both, controls={"raw": "pocket"}))
    assert "untrained" not in alone
    assert "untrained control of pocket" in controlled
    assert "larger than the control's on reviews" in controlled


def test_a_control_that_does_as_well_takes_the_answer_away(tmp_path):
    cells = [shots(**ALIKE), shots("raw", **ALIKE)]
    as_model = answer_of(render(tmp_path / "model", cells))
    as_control = answer_of(render(tmp_path / "control", cells, controls={"raw": "pocket"}))
    assert as_model[0] == "Yes."
    assert as_control[0] == "On the cosine alone."
    assert "larger margin than its untrained control in no such case" in as_control[1]


def test_adapters_that_did_not_move_are_named(tmp_path):
    assert "Some did not move (2 on reviews)" in render(tmp_path / "some", [shots(still=2)])
    assert "did not move" not in render(tmp_path / "none", [shots()])


# The report's page


class Loads(HTMLParser):
    """Addresses that a browser would fetch, and ids."""

    def __init__(self):
        super().__init__()
        self.loads, self.ids = [], []

    def handle_starttag(self, tag, attributes):
        for name, value in attributes:
            if name == "id":
                self.ids.append(value)
            if (name in ("src", "srcset", "data", "href", "xlink:href") and tag != "a") and not value.startswith("#"):
                self.loads.append((tag, value))
        if tag in ("script", "link", "iframe", "object", "embed"):
            self.loads.append((tag, None))


def test_the_page_loads_nothing(tmp_path):
    page = render(tmp_path, [shots(), labels()])
    seen = Loads()
    seen.feed(page)
    assert seen.loads == []
    assert page.count("<svg") == 3
    assert not re.findall(r"@import|url\((?!#)", page)
    assert len(seen.ids) == len(set(seen.ids)) > 0
    assert set(re.findall(r'(?:href="#|url\(#)([^")]+)', page)) <= set(seen.ids)


def test_a_figure_for_layers_and_for_each_factor(tmp_path):
    render(tmp_path, [shots(), labels()])
    names = sorted(path.name for path in (tmp_path / "figures").iterdir())
    assert names == [f"{n}.{e}" for n in ("factor-labels", "factor-shots", "layers") for e in ("pdf", "svg")]


def test_the_table_shows_the_estimates(tmp_path):
    page = render(tmp_path, [shots(still=1)])
    frame = pq.read_table(tmp_path / "similarity.parquet").to_pandas()
    for measure, pair in (("cosine", "icl-it"), ("partial_cosine", "icl-it"), ("movement", "anchor-it")):
        estimate = row(frame, level="8", layer=4, measure=measure, pair=pair)
        cell = f'<td>{estimate["mean"]:.3f}<span class="beneath">{estimate.low:.3f} to {estimate.high:.3f}</span></td>'
        assert cell in page
    assert '<td>10</td>\n<td>10<span class="beneath">of 1000</span></td>\n<td>1</td>' in page


def test_what_noise_would_give_is_marked(tmp_path):
    quiet, loud = (render(tmp_path / name, [shots(noise=noise)]) for name, noise in (("quiet", 2e-6), ("loud", 1.0)))
    assert "<td>2e\N{MINUS SIGN}6</td>" in quiet
    assert "within the noise<" not in quiet
    assert "no more in common than noise" not in words(quiet)
    assert loud.count("within the noise</span>") == 2 + 2 + 2  # cosines and movements from the anchor, directions
    assert "have no more in common than noise would give them on reviews" in words(loud)


def test_names_and_title_are_text(tmp_path):
    page = render(tmp_path, [shots()], title="Layers < 5 & <script>")
    assert "<h1>Layers &lt; 5 &amp; &lt;script&gt;</h1>" in page


def test_provenance_names_every_stage_and_no_place_or_time(tmp_path):
    page = render(tmp_path, [shots()])
    for told in ("torch 2.13.0", "c0ffee", "aggregate_similarity", "render_report"):
        assert told in page
    assert str(tmp_path) not in page
    assert socket.gethostname() not in page
    assert not re.search(r"\b20\d\d-\d\d-\d\d", page)


def command(module, *flags):
    code = (
        f"import runpy, sys; runpy.run_module('workflow_scripts.{module}', run_name='__main__');"
        "sys.exit(bool({'torch', 'transformers'} & set(sys.modules)))"
    )
    subprocess.run([sys.executable, "-c", code, *flags], check=True, cwd=ROOT)


def test_two_runs_give_equal_bytes_by_call_and_by_command(tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    cells = [shots(), labels()]
    render(one, cells, controls={"raw": "pocket"})
    paths = [str(write_cell(two / f"{i}.parquet", rows)) for i, rows in enumerate(cells)]
    reference = f"--reference={json.dumps(REFERENCE)}"
    settings = [f"--{name}={value}" for name, value in SETTINGS.items()]
    outputs = [
        f"--{n}={two / f}" for n, f in (("metrics", "metrics.json"), ("layers", "layers.csv"), ("levels", "levels.csv"))
    ]
    similarity = f"--similarity={two / 'similarity.parquet'}"
    command("aggregate_similarity", f"--cells={json.dumps(paths)}", reference, *settings, *outputs, similarity)
    controls, title = f"--controls={json.dumps({'raw': 'pocket'})}", "--title=Study"
    targets = [f"--report={two / 'report.html'}", f"--figures={two / 'figures'}"]
    command("render_report", similarity, title, reference, controls, *targets)
    files = [path.relative_to(one) for path in sorted(one.rglob("*")) if path.is_file()]
    assert len(files) == 2 + 5 + 6
    assert [f for f in files if (one / f).read_bytes() != (two / f).read_bytes()] == []
