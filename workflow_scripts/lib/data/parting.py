"""Which examples count as the same, and how one file becomes a pool and queries."""

import random
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence

from workflow_scripts.lib.data.examples import Example
from workflow_scripts.lib.data.rows import DataError

# Compatibility forms leave these apart: the same text typed and typeset.
TYPESET = str.maketrans({"‘": "'", "’": "'", "“": '"', "”": '"', "–": "-", "—": "-"})  # noqa: RUF001


def normalised(example: Example) -> str:
    """The text by which two examples of a split count as the same: without case, with single spaces."""
    return " ".join(" ".join(example.fields.values()).casefold().split())


def nearly(example: Example) -> str:
    """The text by which an example of the pool counts as a query's.

    Beside case also spaces ("fine ." and "fine."), typeset quotation marks and punctuation at either end make no
    difference: one text, cleaned twice, is common among official splits.
    """
    text = "".join(unicodedata.normalize("NFKC", normalised(example)).translate(TYPESET).casefold().split())
    first = next((i for i, one in enumerate(text) if not _is_punctuation(one)), 0)
    last = next((i for i, one in enumerate(reversed(text)) if not _is_punctuation(one)), 0)
    return text[first : len(text) - last]


def _is_punctuation(character: str) -> bool:
    return unicodedata.category(character).startswith("P")


def distinct(examples: Iterable[Example]) -> list[Example]:
    """The first of each text."""
    first: dict[str, Example] = {}
    for one in examples:
        first.setdefault(normalised(one), one)
    return list(first.values())


def repeated(examples: Sequence[Example], where: str = "") -> Counter[str]:
    """How many `distinct` leaves out, by reason; of one text with two labels the first row's is kept."""
    first = {normalised(one): one.label for one in distinct(examples)}
    other = sum(one.label != first[normalised(one)] for one in examples)
    again = len(examples) - len(first) - other
    return Counter({f"repeated{where}": again, f"repeated{where} with another label than the first": other})


def apart(pool: Iterable[Example], queries: Iterable[Example]) -> list[Example]:
    """The pool without what is nearly a query."""
    asked = set(map(nearly, queries))
    return [one for one in pool if nearly(one) not in asked]


def set_aside(
    examples: list[Example], wanted: float, seed: int, *, by_label: bool = True
) -> tuple[list[Example], list[Example]]:
    """Part different texts into (pool, queries) by `seed`; each keeps the order that they have.

    `wanted` is a share or a number of queries. By label, labels have the same shares on both sides, as far as whole
    examples allow, and each keeps at least one text in the pool. What is nearly the same text goes to one side.
    """
    number = round(len(examples) * wanted) if wanted < 1 else int(wanted)
    if not 0 < number < len(examples):
        raise DataError(f"`queries` sets {number} of {len(examples)} different texts aside; both sides need some")
    together: dict[str, list[Example]] = {}
    for one in examples:
        together.setdefault(nearly(one), []).append(one)
    alike: dict[str, list[list[Example]]] = {}
    for group in together.values():
        alike.setdefault(group[0].label if by_label else "", []).append(group)
    shares = _shares({label: sum(map(len, groups)) for label, groups in alike.items()}, number)
    chosen = {one.id for label, groups in alike.items() for one in _drawn(groups, shares[label], f"{seed}/{label}")}
    return [one for one in examples if one.id not in chosen], [one for one in examples if one.id in chosen]


def _shares(counts: dict[str, int], number: int) -> dict[str, int]:
    """Whole numbers that add up to `number`, in the proportions of `counts`: those with the largest rests round up."""
    exact = {label: count * number / sum(counts.values()) for label, count in counts.items()}
    whole = {label: int(share) for label, share in exact.items()}
    for label in sorted(exact, key=lambda label: (whole[label] - exact[label], label))[: number - sum(whole.values())]:
        whole[label] += 1
    return whole


def _drawn(groups: list[list[Example]], number: int, key: str) -> list[Example]:
    """About `number` examples in whole groups, in an order drawn by `key`; one group at least is left."""
    order = random.Random(f"{key}/queries").sample(groups, len(groups))
    drawn: list[Example] = []
    for group in order[:-1]:
        if len(drawn) + len(group) <= number:
            drawn += group
    return drawn
