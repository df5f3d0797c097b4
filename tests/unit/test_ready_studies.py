"""Ready-made studies of the real model, and the real data sets that stand ready, with the rows that they have."""

import re
from pathlib import Path

import pytest
from pydantic import TypeAdapter
from ruamel.yaml import YAML

from workflow_scripts.lib.data.labelled import labelled
from workflow_scripts.lib.data.readers import read_files
from workflow_scripts.lib.data.sources import LocalDataset
from workflow_scripts.lib.models.sources import controls
from workflow_scripts.lib.study.settings import read_study

ROOT = Path(__file__).parents[2]
# Data set -> rows of pool and queries, labels told apart, and rows left out.
COUNTS = {
    "sst2": (6920, 1821, 2, 0),
    "trec": (5452, 500, 6, 0),
    "agnews": (10001, 7600, 4, 0),
    "cr": (1775, 2000, 2, 0),
    "rte": (2490, 277, 2, 2),
    "poem-sentiment": (892, 104, 3, 49),
}


def yaml(name):
    return YAML(typ="safe", pure=True).load((ROOT / "studies" / name).read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", ["smollm2.yaml", "real-text.yaml"])
def test_the_real_model_stands_beside_its_untrained_control(name):
    assert controls(read_study(ROOT / "studies" / name).models) == {"smollm2-untrained": "smollm2"}


def test_every_data_set_has_its_counts_here():
    assert set(yaml("fragments/datasets.yaml")["datasets"]) == set(COUNTS)


@pytest.mark.parametrize("name", list(COUNTS))
def test_rows_and_labels_are_read(name, outside):
    settings = yaml("fragments/datasets.yaml")["datasets"][name]
    settings |= {split: str(outside(settings[split])) for split in ("pool", "queries")}
    source = TypeAdapter(LocalDataset).validate_python(settings)
    read = {split: read_files(getattr(source, split), source) for split in ("pool", "queries")}
    found = {split: labelled(rows, source, split) for split, rows in read.items()}
    words = {one.label for each in found.values() for one in each.examples}
    left_out = sum(each.removed.total() for each in found.values())
    assert (len(read["pool"]), len(read["queries"]), len(words), left_out) == COUNTS[name]


def test_the_real_text_study_has_data_sets_as_they_stand_ready():
    ready, used = yaml("fragments/datasets.yaml")["datasets"], yaml("real-text.yaml")["datasets"]
    assert used == {name: ready[name] for name in ("sst2", "trec", "agnews", "cr")}


@pytest.mark.parametrize("path", [*sorted((ROOT / "studies").rglob("*.yaml"))], ids=lambda path: path.stem)
def test_every_file_of_data_is_told_of_and_every_other_path_says_that_it_is_to_be_set(path):
    text, page = path.read_text(encoding="utf-8"), (ROOT / "docs/data.md").read_text(encoding="utf-8")
    table = [line for line in page.splitlines() if line.startswith("| `")]
    for folder, file in re.findall(r"\b(data/\w+)/([\w.-]+)", text):
        assert any(f"`{folder}`" in row and file in row for row in table), f"{folder}/{file}"
    for model in re.findall(r"^    path: (\S+)", text, re.MULTILINE):
        assert model == "/path/to/model"
