"""Names of CLDR as data sets: facts that can be looked up."""

from typing import get_args

import pytest
from pydantic import ValidationError

from workflow_scripts.lib.data import cldr
from workflow_scripts.lib.data.datasets import prepare
from workflow_scripts.lib.data.rows import DataError
from workflow_scripts.lib.data.sources import CldrDataset, CldrKind

CONTINENTS = {
    "Africa": "Africa",
    "America": "America",
    "Asia": "Asia",
    "Europe": "Europe",
    "Oceania": "Oceania",
    "none": None,
}
CONTINENT = CldrDataset(
    source="cldr",
    kinds=["country"],
    label_column="continent",
    labels=CONTINENTS,
    template={"query": "Country: {name}\nContinent:"},
    queries=0.3,
)


CZECH = CldrDataset(
    source="cldr",
    kinds=["country"],
    locales=["cs"],
    answer_column="name",
    template={"query": "English: {english}\nCzech:"},
    queries=4,
)


def of(kind, locale):
    return {row.cells["english"]: row.cells for row in cldr.rows([kind], [locale])}


def test_the_settings_name_every_kind():
    assert set(get_args(CldrKind)) == set(cldr.KINDS)


@pytest.mark.parametrize(
    ("country", "czech", "continent"),
    [
        ("Germany", "Německo", "Europe"),
        ("Kenya", "Keňa", "Africa"),
        ("Peru", "Peru", "America"),
        ("Vietnam", "Vietnam", "Asia"),
        ("Fiji", "Fidži", "Oceania"),
        ("Australia", "Austrálie", "Oceania"),
        ("Cyprus", "Kypr", "Asia"),
        ("Maldives", "Maledivy", "none"),
    ],
)
def test_countries(country, czech, continent):
    assert of("country", "cs")[country] == {
        "name": czech, "english": country, "kind": "country", "locale": "cs", "continent": continent,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "english", "czech", "count"),
    [("month", "January", "leden", 12), ("day", "Monday", "pondělí", 7), ("language", "Czech", "čeština", None)],
)
def test_other_names(kind, english, czech, count):
    found = of(kind, "cs")
    assert found[english]["name"] == czech
    assert len(found) == (count or len(found))
    assert "continent" not in found[english]


def test_regions_unions_remarks_and_years_are_no_names():
    names = {row.cells["name"] for row in cldr.rows(list(cldr.KINDS), ["en"])}
    assert not names & {"world", "European Union", "Eurozone", "Unknown Region", "Micronesian Region"}
    assert not any(set(name) & set("()0123456789") for name in names)


def test_a_data_set_is_made_by_settings_alone():
    made = prepare(CONTINENT, pool=None, queries=40, seed=0)
    assert made.examples.words == ["Africa", "America", "Asia", "Europe", "Oceania"]
    label = {one.fields["name"]: one.label for one in [*made.examples.pool, *made.examples.queries]}
    assert label["Norway"] == "Europe"
    assert "Maldives" not in label
    assert len(label) == len(made.examples.pool) + 40


@pytest.mark.parametrize(
    ("kinds", "given", "answer"),
    [
        (["country"], "Germany", "Německo"),
        (["language"], "Czech", "čeština"),
        (["currency"], "Japanese Yen", "japonský jen"),
        (["month", "day"], "January", "leden"),
        (["month", "day"], "Sunday", "neděle"),
    ],
)
def test_names_in_another_language_are_answers(kinds, given, answer):
    made = prepare(CZECH.model_copy(update={"kinds": kinds}), pool=None, queries=4, seed=0).examples
    assert {one.fields["english"]: one.label for one in [*made.pool, *made.queries]}[given] == answer
    assert made.generation


def test_answers_can_be_the_english_names():
    settings = {"answer_column": "english", "template": {"query": "{name} ="}}
    made = prepare(CldrDataset(**CZECH.model_dump() | settings), pool=None, queries=4, seed=0).examples
    assert {one.fields["name"]: one.label for one in [*made.pool, *made.queries]}["Německo"] == "Germany"


def test_an_answer_stands_in_no_query():
    with pytest.raises(ValidationError, match=r"holds \{name\}, which is the answer"):
        CldrDataset(**CZECH.model_dump() | {"template": {"query": "{name}"}})


def test_a_locale_that_is_not_there_is_named():
    with pytest.raises(DataError, match=r"CLDR has no locale 'czech'; with that letter it has .*cs"):
        prepare(CONTINENT.model_copy(update={"locales": ["czech"]}), pool=None, queries=4, seed=0)


def test_a_column_that_is_not_there_is_named():
    with pytest.raises(DataError, match="rows lack capital"):
        prepare(CONTINENT.model_copy(update={"label_column": "capital"}), pool=None, queries=4, seed=0)
