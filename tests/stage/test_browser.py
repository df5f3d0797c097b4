"""The report as a browser shows it: skipped, saying so, where there is no Chromium, no node, or no npm to fetch axe."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.stage.test_report import render
from tests.synthetic_estimates import ALIKE, APART, Made

pytestmark = pytest.mark.stage
TESTS = Path(__file__).parents[1]
ODD = "<b>\"d\" & 'e' \N{GREEK SMALL LETTER ALPHA}\N{CJK UNIFIED IDEOGRAPH-5F71} " + "long" * 20
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@pytest.fixture(scope="session")
def tools(tmp_path_factory):
    """A folder with puppeteer-core and axe-core."""
    if not (CHROMIUM and shutil.which("node") and shutil.which("npm")):
        pytest.skip("needs chromium, node and npm")
    folder = tmp_path_factory.mktemp("tools")
    command = ["npm", "install", "--no-audit", "--no-fund", "--prefix", str(folder), "puppeteer-core@24", "axe-core@4"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    if done.returncode:
        pytest.skip(f"npm cannot fetch puppeteer-core and axe-core: {done.stderr[-200:]}")
    return folder


@pytest.fixture(
    scope="module",
    params=[
        [Made(**ALIKE), Made(dataset="topics", **ALIKE), Made("raw", **APART)],
        [Made("one", ODD, draws=1).without_patches()],
    ],
    ids=["several", "one-draw-and-odd-names"],
)
def seen(request, tools, tmp_path_factory):
    """What was wrong with a page."""
    folder = tmp_path_factory.mktemp("page")
    render(folder, *request.param, controls={"raw": "pocket"})
    command = ["node", str(TESTS / "browser.cjs"), str(folder / "report.html"), CHROMIUM, str(tools)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    "fault", ["console", "requests", "scroll", "axe", "controls", "address", "values", "keyboard", "still"]
)
def test_nothing_is_wrong(seen, fault):
    assert seen[fault] == []
