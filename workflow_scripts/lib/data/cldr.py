"""Closed-answer facts of the Unicode CLDR: what things are called in one language and in another, as Babel has them.

To add one is a row of `FACTS`: code -> name, of a language. Data and licence (Unicode-3.0) come with Babel.
"""

from collections.abc import Callable, Mapping
from importlib.metadata import version

from babel import Locale, UnknownLocaleError

from workflow_scripts.lib.data.examples import Example
from workflow_scripts.lib.data.rows import DataError
from workflow_scripts.lib.data.sources import CldrDataset

Names = Mapping[str, str]
NO_PLACES = ("EU", "EZ", "UN", "XA", "XB", "ZZ", "QO")  # unions, and codes that stand for no place


def territories(language: Locale) -> Names:
    """Countries and dependencies by ISO 3166 code; no regions of the world, which have numbers."""
    return {code: name for code, name in language.territories.items() if code.isalpha() and code not in NO_PLACES}


def languages(language: Locale) -> Names:
    """Languages by ISO 639 code, without what is said of a script or country."""
    return {code: name for code, name in language.languages.items() if code.isalpha()}


def currencies(language: Locale) -> Names:
    """Currencies by ISO 4217 code; those of the past say from when to when, and are left out."""
    return {code: name for code, name in language.currencies.items() if "(" not in name}


def calendar(language: Locale) -> Names:
    """The twelve months and the seven days, as they stand alone."""
    kinds = {"month": language.months, "day": language.days}
    return {f"{kind} {i}": name for kind, some in kinds.items() for i, name in some["stand-alone"]["wide"].items()}


FACTS = (territories, languages, currencies, calendar)


def facts_of(source: CldrDataset) -> list[Example]:
    """An example for each thing that both languages have a name for, by its code; the answer is the other name.

    DataError for facts, a language or a release of Babel that is not there.
    """
    _check_release(source.babel)
    known: dict[str, Callable[[Locale], Names]] = {facts.__name__: facts for facts in FACTS}
    if source.facts not in known:
        raise DataError(f"facts: {source.facts!r} is none of {', '.join(known)}")
    names = known[source.facts]
    given, asked = (names(_language(code)) for code in (source.source_language, source.target_language))
    codes = sorted(given.keys() & asked.keys())
    return [Example(f"{i:06d}", {"name": given[code]}, asked[code]) for i, code in enumerate(codes)]


def _check_release(wanted: str) -> None:
    here = ".".join(version("babel").split(".")[:2])
    if here != wanted:
        raise DataError(
            f"babel: {wanted} is asked for and {here} is installed, whose CLDR is another; install or name it"
        )


def _language(code: str) -> Locale:
    try:
        return Locale.parse(code)
    except (UnknownLocaleError, ValueError):
        raise DataError(f"Babel has no language {code!r}; en, cs and pt_BR are some") from None
