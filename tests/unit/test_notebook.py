"""The figure of docs/explore.ipynb, of estimates that a test knows; tests/workflow/test_study.py executes all of it."""

import re

import nbformat
from nbclient import NotebookClient

from tests.synthetic_estimates import Made, write_estimates
from tests.workflow.conftest import ROOT


def test_the_figure_has_each_case_in_a_panel_of_its_own(tmp_path):
    folder = tmp_path / "artifacts/aggregate_similarity"
    folder.mkdir(parents=True)
    (tmp_path / "docs").mkdir()
    write_estimates(folder, [Made("one", "reviews", own=0.7), Made("two", "news", own=0.6, other_draw=0.4)])
    notebook = nbformat.read(ROOT / "docs/explore.ipynb", as_version=4)
    cells = [cell.source for cell in notebook.cells]
    notebook.cells = notebook.cells[: next(i for i, source in enumerate(cells) if source.startswith("## States"))]
    NotebookClient(notebook, timeout=60, resources={"metadata": {"path": str(tmp_path / "docs")}}).execute()
    svg = notebook.cells[-1].outputs[0].data["image/svg+xml"]
    assert all(case in svg for case in ("one, reviews", "two, news"))
    bars = re.findall(r"update cosine of ICL and IT: ([\d.]+); line: parts; part: interaction", svg)
    assert sorted(map(float, bars)) == [0.15, 0.15]
    means = re.findall(r"\"mean: ([\d.]+); line: own\"", svg)
    assert sorted(map(float, means)) == [0.6, 0.7]
