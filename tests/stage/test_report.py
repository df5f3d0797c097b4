import html
import json
import re
import socket
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tests import synthetic_cells
from tests.synthetic_estimates import ALIKE, APART, OF_TASK, STUDY, Made, write_estimates
from workflow_scripts.lib.arms import ARMS
from workflow_scripts.lib.artifacts.tables import ArtifactError
from workflow_scripts.lib.measures import COSINE, MEASURES
from workflow_scripts.lib.measures.contrasts import CONTRASTS, DIFFERENCES
from workflow_scripts.lib.models.about import About
from workflow_scripts.lib.patching.measures import PATCH_MEASURES
from workflow_scripts.lib.patching.patches import PATCH_DIFFERENCES, PATCHES
from workflow_scripts.lib.report.contents import TABLES
from workflow_scripts.lib.report.settings import RenderReport
from workflow_scripts.render_report import render_report

pytestmark = pytest.mark.stage
ROOT = Path(__file__).parents[2]
PROVENANCE = {
    "tune_lora": {"code": "c0de1", "settings": "5e771", "libraries": "peft 0.19, torch 2.13"},
    "dump_hidden_states": {"code": "c0de2", "settings": "5e772", "libraries": "torch 2.13"},
    "a_stage_that_is_new": {"code": "c0de3", "settings": "5e773", "libraries": ""},
}


def told_of(folder):
    """Model -> its prepared folder, with what it says of itself."""
    (folder / "prepared").mkdir(exist_ok=True)
    About(text="tiny.gguf: weights stored as Q4_1 & more", parameters=1).write(folder / "prepared")
    return {"pocket": folder / "prepared"}


def render(folder, *cases, controls=None, title="Study"):
    paths = write_estimates(folder, cases)
    outputs = {"report": folder / "report.html", "figures": folder / "figures"}
    words = {"controls": controls or {}, "provenance": PROVENANCE, "settings": RenderReport(title=title)}
    render_report(**paths, models=told_of(folder), **STUDY, **words, **outputs)
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


class Seen(HTMLParser):
    """What a browser would fetch, ids, the width of every table's rows, and whether all is closed in its turn."""

    VOID = ("meta",)

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
        self.loads += [(tag, value) for value in found if tag != "a" and not value.startswith("#")]
        if tag in ("script", "link", "iframe", "object", "embed"):
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


def test_the_page_shows_the_answer_and_every_table(page):
    assert re.search(r'class="verdict">In part.</span> Of the pooled update cosine', page)
    assert page.count("<table>") == len(TABLES) + 1 + len(STUDY["levels"])
    assert "Reference setting: shots 8, labels gold" in page
    assert "another draw of the task" in page


def test_the_page_is_well_formed_and_loads_nothing(page):
    seen = Seen(page)
    assert seen.open == []
    assert [len(set(widths)) for widths in seen.tables] == [1] * (len(TABLES) + 1 + len(STUDY["levels"]) + 1)
    assert seen.loads == []
    assert page.count("<svg") == 5
    assert not re.findall(r"@import|url\((?!#)", page)
    assert len(seen.ids) == len(set(seen.ids)) > 0
    assert set(re.findall(r'(?:href="#|url\(#)([^")]+)', page)) <= set(seen.ids)


def test_a_figure_for_parts_for_layers_for_patches_and_for_each_factor(made):
    names = sorted(path.name for path in (made / "figures").iterdir())
    drawn = ("factor-labels", "factor-shots", "layers", "parts", "patched")
    assert names == [f"{name}.{kind}" for name in drawn for kind in ("pdf", "svg")]


def test_every_measure_arm_and_contrast_is_explained(page):
    text = words(page.split("How to read it")[1])
    for row in (*ARMS, *CONTRASTS, *DIFFERENCES, *MEASURES, *PATCHES, *PATCH_DIFFERENCES, *PATCH_MEASURES):
        assert row.heading.lower() in text.lower()


def test_the_page_says_pair_and_condition_of_nothing(page):
    assert not re.findall(r"\b(?:pairs?|conditions?)\b", words(page))


def test_names_and_title_are_text(tmp_path):
    page = render(tmp_path, Made(model="a<b>&c", dataset="d<e>", draws=1), title="Layers < 5 & <script>")
    assert "<h1>Layers &lt; 5 &amp; &lt;script&gt;</h1>" in page
    assert "a<b>" not in page.replace("a&lt;b&gt;", "")
    assert "d<e>" not in page


def test_what_is_aggregated_is_reported(tmp_path):
    cells = synthetic_cells.cells_of("m", "d", synthetic_cells.Made(effect=0.1))
    synthetic_cells.aggregated(tmp_path, cells)
    paths = {name: tmp_path / f"{name}.parquet" for name in ("similarity", "parts", "effects")}
    study = {"levels": synthetic_cells.LEVELS, "reference": synthetic_cells.SETTING}
    outputs = {"report": tmp_path / "report.html", "figures": tmp_path / "figures"}
    told = {"controls": {}, "provenance": PROVENANCE, "settings": RenderReport(title="Study")}
    render_report(**paths, models=told_of(tmp_path), **study, **told, **outputs)
    text = words(outputs["report"].read_text(encoding="utf-8"))
    assert "Yes. Of the pooled update cosine of ICL-IT at the last layer" in text
    assert "95 % interval" in text
    assert text.count("What each level of") == 2


def test_a_study_of_one_measure_has_a_page(tmp_path):
    made = Made().without(measures=[measure.name for measure in MEASURES if measure is not COSINE])
    made.parts.clear()
    page = render(tmp_path, made.without_patches())
    assert "Not measured." in page
    assert page.count("<svg") == 4
    assert Seen(page).open == []


def test_what_patches_do_stands_beside_the_runs_that_they_lie_between(made, page):
    section = words(page).split("States put into the anchor's run")[1].split("Over the levels of each factor")[0]
    for patch in (*PATCHES, *PATCH_DIFFERENCES):
        assert patch.heading in section
    assert "a quarter up half three quarters last layer" in section
    # Of the arms' accuracies, .5 and .9 of anchor and ICL, a quarter of the way from one to the other; and all of it.
    assert "0.600 0.580 to 0.620" in section
    assert "0.900 0.880 to 0.920" in section
    assert "0.100 0.080 to 0.120 p = 0.004" in section


def test_a_study_without_patched_runs_has_no_such_section(tmp_path):
    page = render(tmp_path, Made().without_patches())
    assert "States put into the anchor's run" not in page
    assert not (tmp_path / "figures/patched.svg").exists()


def test_estimates_without_rows_are_refused(tmp_path):
    with pytest.raises(ArtifactError, match="holds no estimates"):
        render(tmp_path)


def test_provenance_is_told_as_it_is_given_with_no_place_or_time(made, page):
    told = [text for stage, row in PROVENANCE.items() for text in (stage, *row.values())]
    places = [page.rindex(text) for text in told]
    assert places == sorted(places)
    assert str(made) not in page
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
    render(one, Made(), controls={"raw": "pocket"})
    given = {"controls": {"raw": "pocket"}, "provenance": PROVENANCE}
    given |= {name: STUDY[name] for name in ("levels", "reference")}
    two.mkdir()
    given["models"] = {name: str(path) for name, path in told_of(two).items()}
    flags = [f"--{name}={path}" for name, path in write_estimates(two, [Made()]).items()]
    flags += [f"--{name}={json.dumps(value)}" for name, value in given.items()]
    command(
        "render_report",
        *flags,
        '--settings={"title": "Study"}',
        f"--report={two / 'report.html'}",
        f"--figures={two / 'figures'}",
    )
    made = (path.relative_to(one) for path in sorted(one.rglob("*")) if path.is_file())
    files = [path for path in made if "prepared" not in path.parts]
    assert len(files) == 3 + 1 + 10
    assert [f for f in files if (one / f).read_bytes() != (two / f).read_bytes()] == []
