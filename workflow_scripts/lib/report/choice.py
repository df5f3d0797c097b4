"""What of a table a figure shows: fixed words, and what the reader has chosen. script.py does the same in the page."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from workflow_scripts.lib.measures.contrasts import OWN
from workflow_scripts.lib.report.tidy import Row, Tidy

Where = Mapping[str, Any]  # key -> the words that a row may have there, or `@` and what the reader chooses
EVERY = ""  # of data sets: all of the model


class State(NamedTuple):
    """What a reader has chosen; the page starts with the first of each."""

    model: str
    dataset: str = EVERY
    layer: str = "last"
    measure: str = ""
    contrast: str = EVERY


def chosen(table: Tidy, where: Where, state: State) -> list[dict[str, Any]]:
    """The rows of a table that a figure shows."""
    asked = {key: words for key, words in where.items() if words != "@layer"}
    wanted = {key: _words(words, state) for key, words in asked.items()}
    at = {name: i for i, name in enumerate(table.keys)}
    told = {at[key]: words for key, words in wanted.items() if words is not None}
    layered = len(asked) < len(where)

    def shown(row: Row) -> bool:
        if layered and not (row[at["above"]] == 0 if state.layer == "last" else row[at["layer"]] == int(state.layer)):
            return False
        return all(row[place] in words for place, words in told.items())

    return table.records(row for row in table.rows if shown(row))


def _words(words: Any, state: State) -> set[Any] | None:
    """Words that are allowed; None for any. A contrast is never shown without what it is a control of."""
    if words == "@contrast":
        return None if state.contrast == EVERY else {state.contrast, OWN.name}
    if isinstance(words, str):
        value = getattr(state, words.removeprefix("@"))
        return None if value == EVERY else {value}
    return set(words)
