"""Examples from rows: their text fields and label words or answers, every cell looked at."""

from collections import Counter
from collections.abc import Callable
from typing import Any, NamedTuple

from workflow_scripts.lib.data.cells import NotTextError, label_of, text_of
from workflow_scripts.lib.data.examples import Example
from workflow_scripts.lib.data.rows import DataError, Row
from workflow_scripts.lib.data.sources import HubDataset, ReadDataset
from workflow_scripts.lib.data.template import placeholders


class Labelled(NamedTuple):
    """Examples, each with its row's number for an id, and how many other rows there were, by reason."""

    examples: list[Example]
    removed: Counter[str]


def labelled(rows: list[Row], source: ReadDataset, where: str) -> Labelled:
    """The examples that rows hold; DataError names the first row of each kind that is of no use, and their number.

    A row whose label is mapped to null is left out, whatever its texts are.
    """
    if not rows:
        raise DataError(f"{where}: holds no rows")
    fields = placeholders(source.template.query)
    made = Labelled([], Counter())
    unknown: Counter[str] = Counter()
    declared = source.labels or {}
    unusable: dict[str, list[str]] = {}
    for i, row in enumerate(rows):
        try:
            label, word = _target(row, source)
            if word is None:
                (made.removed if label in declared else unknown)[label] += 1
            else:
                made.examples.append(Example(f"{i:06d}", {name: _cell(row, name, text_of) for name in fields}, word))
        except NotTextError as error:
            if error.kind is None:
                raise DataError(str(error)) from None
            unusable.setdefault(error.kind, []).append(str(error))
    _check_labels(unknown, source, where)
    return _kept(Labelled(made.examples, _left_out(made.removed, unusable, source)), where)


def _target(row: Row, source: ReadDataset) -> tuple[str, str | None]:
    """What the file has and what stands in the prompt for it: a label word, None for no such label, or the answer."""
    labels = source.labels
    if labels is None:
        answer = _cell(row, source.target_column, text_of)
        return answer, answer
    label = _cell(row, source.target_column, lambda value: label_of(value, labels))
    return label, labels.get(label)


def _cell(row: Row, column: str, read: Callable[[Any], str]) -> str:
    try:
        return read(row.cells.get(column))
    except NotTextError as error:
        raise NotTextError(f"{row.where}: `{column}` {error}", error.kind) from None


def _check_labels(unknown: Counter[str], source: ReadDataset, where: str) -> None:
    if not unknown:
        return
    found = ", ".join(f"{_short(value)} ({count} rows)" for value, count in unknown.most_common(5))
    hidden = isinstance(source, HubDataset) and "-1" in unknown
    raise DataError(
        f"{where}: labels outside the declared set: {found}; `labels` declares {', '.join(source.labels or {})}; "
        + ("-1 is what the hub has for labels that are kept secret: name another split" if hidden else ADD)
    )


def _short(value: str) -> str:
    return repr(value if len(value) <= 40 else f"{value[:37]}...")


ADD = "add them, or map them to null to leave their rows out"


def _left_out(mapped: Counter[str], unusable: dict[str, list[str]], source: ReadDataset) -> Counter[str]:
    """Rows that are left out, by reason; DataError where the settings do not say that they may be."""
    if unusable and not source.skip_unusable:
        found = "; ".join(f"{some[0]} ({len(some)} rows are {kind})" for kind, some in unusable.items())
        raise DataError(f"{found}; mend them, or leave them out by `skip_unusable: true`")
    of_labels = {"with a label mapped to null": mapped.total()} if mapped else {}
    return Counter({**of_labels, **{kind: len(some) for kind, some in unusable.items()}})


def _kept(made: Labelled, where: str) -> Labelled:
    if not made.examples:
        raise DataError(f"{where}: no row is left: {', '.join(f'{n} {why}' for why, n in made.removed.items())}")
    return made
