"""What tests of files in wheels share."""

import json
import zipfile

import pytest

FACTS = "text,label\n" + "Oslo,Europe\n" * 30
CITIES = {"1": {"text": "Oslo", "label": "Norway"}, "2": {"text": "Lima", "label": "Peru"}}
CITIES |= {"3": {"text": "Bern", "label": "Switzerland"}}
RUN = "import pathlib; pathlib.Path(__file__).with_name('was-run').touch()\n"


@pytest.fixture
def index(tmp_path, monkeypatch):
    """A folder that pip takes for its only index, with one wheel; and an empty cache."""
    links = tmp_path / "index"
    links.mkdir()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(links))
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    with zipfile.ZipFile(links / "some_facts-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("some_facts/facts.csv", FACTS)
        wheel.writestr("some_facts/cities.json", json.dumps(CITIES))
        wheel.writestr("some_facts/__init__.py", RUN)
        wheel.writestr("some_facts-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: some-facts\nVersion: 1.0\n")
        wheel.writestr(
            "some_facts-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr("some_facts-1.0.dist-info/RECORD", "")
    return links
