"""Which files a data set is read from, and what DVC watches for them."""

from pathlib import Path

import pytest

from workflow_scripts.lib.data.paths import files_of, listed, watched
from workflow_scripts.lib.data.sources import LocalDataset, WorldDataset


def source(format="csv", **named):
    labels = {"0": "negative", "1": "positive"}
    return LocalDataset(source="local", format=format, labels=labels, template={"query": "{text}"}, **named)


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("shards/2.csv", "shards/1.csv", "shards/deep/3.csv", "shards/.4.csv", "odd[1].csv", "q.csv"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


@pytest.mark.parametrize(
    ("pool", "files", "folders"),
    [
        ("shards/1.csv", ["shards/1.csv"], ["shards/1.csv"]),
        ("shards/*.csv", ["shards/1.csv", "shards/2.csv"], ["shards"]),
        ("shards/**/*.csv", ["shards/1.csv", "shards/2.csv", "shards/deep/3.csv"], ["shards"]),
        (["shards/2.csv", "shards/*.csv"], ["shards/2.csv", "shards/1.csv"], ["shards", "shards/2.csv"]),
        ("odd[1].csv", ["odd[1].csv"], ["odd[1].csv"]),
        ("shards/[13].csv", ["shards/1.csv"], ["shards"]),
        ("none/*.csv", ["none/*.csv"], ["none"]),
        ("*.csv", ["odd[1].csv", "q.csv"], ["."]),
    ],
)
@pytest.mark.usefixtures("here")
def test_patterns_become_the_files_that_they_match_now(pool, files, folders):
    given = source(pool=pool, queries="q.csv")
    assert [str(path) for path in files_of(given)] == sorted({*files, "q.csv"})
    found = listed(given).pool
    assert [str(path) for path in (found if isinstance(found, list) else [found])] == files
    assert listed(listed(given)) == listed(given)
    assert {str(path) for path in watched(given)} == {*folders, "q.csv"}


@pytest.mark.usefixtures("here")
def test_files_of_columns_are_all_of_them():
    given = source("lines", file={"text": "shards/*.csv", "label": ["q.csv"]}, queries=3)
    assert files_of(given) == [Path("q.csv"), Path("shards/1.csv"), Path("shards/2.csv")]


def test_a_data_set_without_files_has_none():
    world = WorldDataset(source="world", task="topic")
    assert (files_of(world), watched(world), listed(world)) == ([], [], world)
