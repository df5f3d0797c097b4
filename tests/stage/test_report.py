import csv
import html
import json
import re
import socket
import subprocess
import sys
from functools import partial
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tests import synthetic_cells
from tests.synthetic_beside import HARDLY, QUERY, ROSE, STILL, write_beside
from tests.synthetic_estimates import ALIKE, APART, OF_TASK, STUDY, Made, write_estimates
from workflow_scripts.lib.arms import ARMS
from workflow_scripts.lib.artifacts.tables import ArtifactError
from workflow_scripts.lib.measures import COSINE, MEASURES, SIMILARITIES
from workflow_scripts.lib.measures.contrasts import CONTRASTS, DIFFERENCES
from workflow_scripts.lib.patching.measures import PATCH_MEASURES
from workflow_scripts.lib.patching.patches import PATCH_DIFFERENCES, PATCHES
from workflow_scripts.lib.report import contents
from workflow_scripts.lib.report.settings import RenderReport
from workflow_scripts.lib.report.tidy import tidy
from workflow_scripts.render_report import render_report

pytestmark = pytest.mark.stage
ROOT = Path(__file__).parents[2]
PROVENANCE = {
    "tune_lora": {"code": "c0de1", "settings": "5e771", "libraries": "peft 0.19, torch 2.13"},
    "dump_hidden_states": {"code": "c0de2", "settings": "5e772", "libraries": "torch 2.13"},
    "a_stage_that_is_new": {"code": "c0de3", "settings": "5e773", "libraries": ""},
}


def outputs_in(folder):
    outputs = {"report": "report.html", "figures": "figures", "tables": "tables", "plots": "plots.html"}
    return {name: folder / path for name, path in outputs.items()}


def render(folder, *cases, controls=None, title="Study", losses=None):
    """The page, written with all else into a folder."""
    paths = write_estimates(folder, cases) | write_beside(folder / "beside", cases, losses)
    words = {"controls": controls or {}, "provenance": PROVENANCE, "settings": RenderReport(title=title)}
    outputs = outputs_in(folder)
    render_report(**paths, **STUDY, **words, **outputs)
    return outputs["report"].read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The folder of a report of two models, one of them on one of two data sets."""
    folder = tmp_path_factory.mktemp("report")
    render(folder, Made(**ALIKE), Made(dataset="topics", **OF_TASK), Made("other", **APART))
    return folder


@pytest.fixture(scope="module")
def page(made):
    return (made / "report.html").read_text(encoding="utf-8")


def test_the_page_says_where_models_come_from_and_what_their_weights_were_stored_as(page):
    assert "pocket tiny.gguf: weights stored as Q4_1 & more" in words(page)


def words(page):
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", page)).split())


def still(page):
    """The page without its scripts."""
    return re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)


class Seen(HTMLParser):
    """What a browser would fetch, ids, the width of every table's rows, and whether all is closed in its turn."""

    VOID = ("meta", "link")

    def __init__(self, page):
        super().__init__()
        self.open, self.loads, self.ids, self.tables = [], [], [], []
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        if tag not in self.VOID:
            self.open.append(tag)
        self.ids += [given["id"]] if "id" in given else []
        found = [given[name] for name in ("src", "srcset", "data", "href", "xlink:href") if name in given]
        self.loads += [(tag, value) for value in found if tag != "a" and not value.startswith(("#", "data:"))]
        if tag in ("iframe", "object", "embed"):
            self.loads.append((tag, None))
        if tag == "table":
            self.tables.append([])
            self._spanned = []
        if tag == "tr":
            self._spanned = [left - 1 for left in self._spanned if left > 1]  # of heads that reach into this row
            self.tables[-1].append(len(self._spanned))
        if tag in ("td", "th"):
            self.tables[-1][-1] += int(given.get("colspan", 1))
            self._spanned += [int(given.get("rowspan", 1))]

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


FACTORS = [f"factor-{factor}{which}" for factor in ("shots", "labels") for which in ("", "-accuracy")]
DRAWN = ["overview", "parts-over-layers", "similarity-over-layers", "anchor-over-layers", *FACTORS]
DRAWN += ["arms", "patched", "answers", "losses"]
TABLES = ["outcomes", "parts", "to-anchor", "similarities", "changes", "patched", "accuracies", "distances"]
TABLES += ["by-answer", "ground", "tuning", "effects-shots", "effects-labels"]


def test_the_page_begins_with_the_answer_and_one_figure(page):
    first = page.index("<figure")
    assert page.index('class="verdict">In part.</span> In 1 of 3 cases ICL moves states as tuning on its own') < first
    assert page.index('data-figure="overview"') - first < 20
    assert first < page.index('<section id="layers">')


def test_every_section_has_its_figures_and_tables(page):
    assert sorted(re.findall(r'<figure data-figure="([\w-]+)"', page)) == sorted(DRAWN)
    assert still(page).count("<table>") == len(TABLES)
    for name in re.findall(r'<a href="#([\w-]+)"', page):
        assert f'<section id="{name}">' in page
    assert "Reference setting: shots 8, labels gold" in page


def test_the_page_is_well_formed_and_loads_nothing(page):
    seen = Seen(page)
    assert seen.open == []
    assert [len(set(widths)) for widths in seen.tables] == [1] * (len(TABLES) + 1)
    assert seen.loads == []
    static = still(page)
    assert static.count("<svg") == len(DRAWN)
    assert not re.findall(r"@import|url\((?!#)", static)
    assert len(seen.ids) == len(set(seen.ids)) > 0
    assert set(re.findall(r'(?:href="#|url\(#)([^")]+)', static)) <= set(seen.ids)


def test_every_figure_says_what_it_shows(page):
    told = dict(re.findall(r'<figure data-figure="([\w-]+)">.*?aria-label="([^"]+)"', page, flags=re.DOTALL))
    assert set(told) == set(DRAWN)
    assert "pocket: pooled similarity 0.50 to 0.60, of which 0.00 to 0.10 is these demonstrations" in told["overview"]
    assert "0.50 to 0.60 with its own set, 0.50 with another draw" in told["similarity-over-layers"]
    assert "the difference is above zero on reviews" in told["similarity-over-layers"].replace("&#39;", "'")
    assert "anchor 0.50, ICL 0.90, IT 0.85" in told["answers"]
    assert "Beyond its interval it changes at 1 (\N{MINUS SIGN}0.10) and 16" in told["factor-shots"]
    assert "Losses went from 0.80 to 0.20 in 1 steps" in told["losses"]


def test_figures_are_files_as_wide_as_columns_with_their_fonts(made):
    names = {path.name for path in (made / "figures").iterdir()}
    widths = ("one-column", "two-column")
    assert names == {f"{name}-{width}.{kind}" for name in DRAWN for width in widths for kind in ("pdf", "svg")}
    for width, points in (("one-column", "240.9"), ("two-column", "504.5")):
        assert '<svg xmlns="http://www.w3.org/2000/svg"' in (
            svg := (made / f"figures/overview-{width}.svg").read_text()
        )
        assert re.search(rf'width="{points}\d*pt"', svg)
        assert "var(--" not in svg
        assert b"LiberationSans" in (made / f"figures/overview-{width}.pdf").read_bytes()


def test_tables_are_files_for_programs_and_for_papers(made):
    names = {path.stem for path in (made / "tables").iterdir() if not path.stem.startswith("figures-")}
    assert names == set(TABLES)
    with (made / "tables/outcomes.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["they share"] for row in rows] == ["its own demonstrations", "the task alone", "nothing shown"]
    assert rows[0]["update cosine: own set, own query"] == "0.600"
    assert rows[0]["update cosine: own set, own query: interval"] == "0.580 to 0.620"
    assert rows[0]["own-demonstration effect: layers"] == "1 to 4 of 4"
    tex = (made / "tables/effects-shots.tex").read_text()
    assert tex.count(r"\toprule") == tex.count(r"\end{tabular}") == 1
    assert r"$-$0.100" in tex


def test_what_figures_are_drawn_from_is_a_file(made):
    with (made / "tables/figures-states.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["match"] == "own" and row["of"] == "ICL-IT"]
    last = next(row for row in rows if row["measure"] == "update cosine" and row["above"] == "0")
    assert [float(last[name]) for name in ("mean", "low", "high")] == pytest.approx([0.6, 0.58, 0.62])


def test_plots_of_dvc_have_a_page_without_the_net(made):
    page = (made / "plots.html").read_text()
    assert "{plot_divs}" in page
    assert "{scripts}" not in page
    assert not re.search(r'<(?:script|link)[^>]+(?:src|href)="(?!data:)', page)


def test_flagged_draws_are_told(tmp_path):
    page = render(tmp_path, Made(draws=5, **ALIKE), losses={1: ROSE, 2: HARDLY, 3: ROSE, 4: STILL})
    with (tmp_path / "tables/tuning.csv").open(newline="") as file:
        row = next(csv.DictReader(file))
    assert row["flagged draws: loss rose"] == "1, 3"
    assert row["flagged draws: loss is not half of what it was"] == "2, 4"
    assert row["flagged draws: did not move"] == "4"
    assert "1, 3" in words(page)


def test_a_prompt_of_each_arm_is_shown(page):
    section = page.split('<section id="prompts">')[1].split("</section>")[0]
    assert section.count(QUERY) == section.count("<pre>") > 2
    assert section.count("text 0 0") == section.count("positive") / 3 > 0
    assert "[1 more demonstrations]" in section


def test_every_measure_arm_and_contrast_is_explained(page):
    text = words(page.split('<section id="glossary">')[1])
    for row in (*ARMS, *CONTRASTS, *DIFFERENCES, *MEASURES, *PATCHES, *PATCH_DIFFERENCES, *PATCH_MEASURES):
        assert row.heading.lower() in text.lower()


def test_the_page_says_pair_and_condition_of_nothing(page):
    assert not re.findall(r"\b(?:pairs?|conditions?)\b", words(still(page)))


ODD = "a<b>&\"c\" 'd' </script> \N{GREEK SMALL LETTER ALPHA}\N{CJK UNIFIED IDEOGRAPH-5F71}".replace(
    "/", "\N{DIVISION SLASH}"
)


def test_names_and_title_are_text(tmp_path):
    page = render(tmp_path, Made(model=ODD, dataset="d<e>" + "long" * 30, draws=1), title="Layers < 5 & <script>")
    assert "<h1>Layers &lt; 5 &amp; &lt;script&gt;</h1>" in page
    assert "a<b>" not in page
    assert "d<e>" not in page
    assert Seen(page).open == []
    told = json.loads(re.search(r'<script id="page-data" type="application/json">(.*?)</script>', page)[1])
    assert told["first"]["model"] == ODD


def test_one_draw_has_no_interval_and_the_page_says_so(tmp_path):
    page = render(tmp_path, Made(draws=1))
    assert "This study is without another draw&#39;s set, an untrained model" in page
    assert "intervals, with one draw" in page


def test_a_study_with_all_controls_lacks_none(tmp_path):
    page = render(tmp_path, Made(**ALIKE), Made("raw", **APART), controls={"raw": "pocket"})
    assert "This study is without" not in page
    assert "shows more of it than its untrained control" in page


def test_what_is_aggregated_is_reported(tmp_path):
    cells = synthetic_cells.cells_of("m", "d", synthetic_cells.Made(effect=0.1))
    synthetic_cells.aggregated(tmp_path, cells)
    paths = {name: tmp_path / f"{name}.parquet" for name in ("similarity", "parts", "effects")}
    study = {"levels": synthetic_cells.LEVELS, "reference": synthetic_cells.SETTING}
    told = {"controls": {}, "provenance": PROVENANCE, "settings": RenderReport(title="Study")}
    beside = write_beside(tmp_path / "beside", [Made("m", "d")])
    outputs = outputs_in(tmp_path)
    render_report(**paths, **beside, **study, **told, **outputs)
    text = words(outputs["report"].read_text(encoding="utf-8"))
    assert "Yes. In the one case studied ICL moves states as tuning on its own demonstrations does" in text
    assert "95 % interval" in text
    assert text.count("What each level of") == 2


def test_a_study_of_one_measure_has_a_page(tmp_path):
    made = Made().without(measures=[measure.name for measure in MEASURES if measure is not COSINE])
    made.parts.clear()
    page = render(tmp_path, made.without_patches())
    assert "Not measured." in page
    assert "patched" not in re.findall(r'<figure data-figure="([\w-]+)"', page)
    assert not (tmp_path / "figures/patched-one-column.svg").exists()
    assert Seen(page).open == []


def test_what_patches_do_stands_beside_the_runs_that_they_lie_between(page):
    section = words(page.split('<section id="patching">')[1].split("</section>")[0])
    for patch in (*PATCHES, *PATCH_DIFFERENCES):
        assert patch.heading in section
    assert "a quarter up half three quarters last layer" in section
    # Of the arms' accuracies, .5 and .9 of anchor and ICL, a quarter of the way from one to the other; and all of it.
    assert "0.600 0.580 to 0.620" in section
    assert "0.900 0.880 to 0.920" in section
    assert "0.100 0.080 to 0.120 p = 0.004" in section


def test_what_a_page_has_no_room_for_is_in_its_tables(tmp_path, monkeypatch):
    monkeypatch.setattr(contents, "tidy", partial(tidy, room=600))
    page = render(tmp_path, Made())
    assert "Figures are without" in words(page)
    with (tmp_path / "tables/figures-states.csv").open(newline="") as file:
        measured = {row["measure"] for row in csv.DictReader(file)}
    assert {measure.heading for measure in SIMILARITIES} <= measured
    assert (tmp_path / "tables/figures-tuning.csv").exists()


def test_estimates_without_rows_are_refused(tmp_path):
    with pytest.raises(ArtifactError, match="holds no estimates"):
        render(tmp_path)


def test_provenance_is_told_as_it_is_given_with_no_place_or_time(made, page):
    told = [text for stage, row in PROVENANCE.items() for text in (stage, *row.values())]
    places = [page.rindex(text) for text in told]
    assert places == sorted(places)
    assert str(made) not in page
    assert socket.gethostname() not in still(page)
    assert not re.search(r"\b20\d\d-\d\d-\d\d", still(page))


def command(module, *flags):
    code = (
        f"import runpy, sys; runpy.run_module('workflow_scripts.{module}', run_name='__main__');"
        "sys.exit(bool({'torch', 'transformers'} & set(sys.modules)))"
    )
    subprocess.run([sys.executable, "-c", code, *flags], check=True, cwd=ROOT)


def test_two_runs_give_equal_bytes_by_call_and_by_command(tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    render(one, Made(), controls={"raw": "pocket"})
    given = {"controls": {"raw": "pocket"}, "provenance": PROVENANCE, "settings": {"title": "Study"}}
    given |= {name: STUDY[name] for name in ("levels", "reference")} | write_estimates(two, [Made()])
    given |= write_beside(two / "beside", [Made()]) | outputs_in(two)
    flags = [
        f"--{name}={json.dumps(value) if isinstance(value, dict | list) else value}" for name, value in given.items()
    ]
    command("render_report", *flags)
    made = [path.relative_to(one) for name in outputs_in(one).values() for path in [name, *sorted(name.rglob("*"))]]
    files = [path for path in made if (one / path).is_file()]
    assert len(files) > 4 * len(DRAWN) + 2 * len(TABLES)
    assert [f for f in files if (one / f).read_bytes() != (two / f).read_bytes()] == []
