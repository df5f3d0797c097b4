"""Names of CLDR (Unicode License v3), as the package Babel holds them: countries, languages, currencies and more.

Facts that need no download: what a thing is called in a locale, what kind of thing it is, and where a country lies.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from functools import cache

from babel import Locale, UnknownLocaleError
from babel.core import get_global
from babel.localedata import locale_identifiers

from workflow_scripts.lib.data.rows import DataError, Row

COLUMNS = ("name", "english", "kind", "locale", "continent")
COUNTRY = re.compile(r"[A-Z]{2}")  # not the regions above countries, which have numbers
NO_COUNTRIES = {"EU", "EZ", "QO", "UN", "XA", "XB", "ZZ"}  # unions, leftovers and what tests are made with
LANGUAGE = re.compile(r"[a-z]{2}")  # those with a code of two letters: the others are known to few
PLAIN = re.compile(r"[^()\d]+")  # no name with a remark or a year in it
CONTINENTS = {
    "Africa": "Africa", "America": "America", "Asia": "Asia", "Europe": "Europe",
    "Australia": "Oceania", "Pacific": "Oceania",
}  # fmt: skip


def _countries(locale: Locale) -> dict[str, str]:
    every = locale.territories.items()
    return {code: name for code, name in every if COUNTRY.fullmatch(code) and code not in NO_COUNTRIES}


def _languages(locale: Locale) -> dict[str, str]:
    return {code: name for code, name in locale.languages.items() if LANGUAGE.fullmatch(code)}


def _months(locale: Locale) -> dict[str, str]:
    return {str(number): name for number, name in locale.months["stand-alone"]["wide"].items()}


def _days(locale: Locale) -> dict[str, str]:
    return {str(number): name for number, name in locale.days["stand-alone"]["wide"].items()}


# What a name is of -> its names in a locale, by a code that is the same in all.
KINDS: dict[str, Callable[[Locale], dict[str, str]]] = {
    "country": _countries,
    "language": _languages,
    "currency": lambda locale: dict(locale.currencies),
    "script": lambda locale: dict(locale.scripts),
    "month": _months,
    "day": _days,
}


def rows(kinds: Sequence[str], locales: Sequence[str]) -> list[Row]:
    """A row per name and locale with COLUMNS: the name there and in English, of what, and a country's continent.

    Names that hold a remark or a number are left out, and so are those that a locale does not have.
    """
    return [row for locale in locales for kind in kinds for row in _named(kind, locale)]


def _named(kind: str, locale: str) -> Iterator[Row]:
    own, english = KINDS[kind](_locale(locale)), KINDS[kind](Locale("en"))
    for code in sorted(own):
        if code in english and PLAIN.fullmatch(own[code]) and PLAIN.fullmatch(english[code]):
            cells = {"name": own[code], "english": english[code], "kind": kind, "locale": locale}
            if kind == "country":
                cells["continent"] = _continent(code)
            yield Row(f"CLDR, {locale}, {kind} {code}", cells)


@cache
def _locale(name: str) -> Locale:
    try:
        return Locale.parse(name)
    except (UnknownLocaleError, ValueError):
        known = ", ".join(one for one in locale_identifiers() if one.startswith(name[:1]))
        raise DataError(f"CLDR has no locale {name!r}; with that letter it has {known[:200]}") from None


def _continent(country: str) -> str:
    """The continent that most of a country's time zones are called after; `none` for islands between them."""
    zones = [zone.partition("/")[0] for zone in get_global("territory_zones").get(country, [])]
    found = [CONTINENTS[one] for one in zones if one in CONTINENTS]
    return max(sorted(set(found)), key=found.count) if found else "none"
