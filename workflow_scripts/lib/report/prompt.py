"""One real prompt of each arm, in pieces told apart by colour: what a model is given before its state is read."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from workflow_scripts.lib.arms import Arm
from workflow_scripts.lib.data.examples import Examples, Wording
from workflow_scripts.lib.data.sets import Demonstration, DemonstrationSet
from workflow_scripts.lib.data.shown import SHOWN
from workflow_scripts.lib.data.template import pieces

DEMONSTRATIONS = 3  # of a long prompt's that are shown, at its beginning and end together


class Kind(NamedTuple):
    """A part of a prompt, in the page's key."""

    name: str
    colour: str


TEMPLATE, TEXT, LABEL = Kind("template", "#999999"), Kind("demonstration", "#2f9fd0"), Kind("its label", "#E69F00")
QUERY, LAST = Kind("query", "#009E73"), Kind("end of the prompt: the state is that of its last token", "#D55E00")
KINDS = (TEMPLATE, TEXT, LABEL, QUERY, LAST)


class Stretch(NamedTuple):
    """Text of one kind."""

    kind: Kind
    text: str


class Prompt(NamedTuple):
    """The arms that are given a prompt, and its stretches."""

    arms: str
    weights: str
    stretches: list[Stretch]


def prompts(examples: Examples, given: DemonstrationSet, arms: Sequence[Arm]) -> list[Prompt]:
    """The first query's prompt in each arm with a set; arms of the same prompt and the same weights stand together.

    Arms that show another task in the set's place are left out: how much they show of it depends on a model's tokens.
    """
    ways: dict[tuple[str | None, bool], list[Arm]] = {}
    for arm in arms:
        if not arm.of_another:
            ways.setdefault((arm.shows, arm.weights is not None or arm.imported), []).append(arm)
    return [
        Prompt(
            ", ".join(arm.heading for arm in some),
            "tuned weights" if tuned else "the model's own weights",
            list(_prompt(examples.wording, examples.queries[0].fields, SHOWN[shows](given) if shows else ())),
        )
        for (shows, tuned), some in ways.items()
    ]


def _prompt(wording: Wording, query: dict[str, str], shown: Sequence[Demonstration]) -> Iterator[Stretch]:
    template = wording.template
    yield Stretch(TEMPLATE, template.instruction)
    left_out = len(shown) - DEMONSTRATIONS
    for n, one in enumerate(shown):
        if left_out > 0 and n == DEMONSTRATIONS - 1:
            yield Stretch(TEMPLATE, f"[{left_out} more demonstrations]{template.separator}")
        if left_out <= 0 or n < DEMONSTRATIONS - 1 or n == len(shown) - 1:
            yield from _filled(template.query, one.fields, TEXT)
            yield from _filled(template.label, {"label": one.label}, LABEL)
            yield Stretch(TEMPLATE, template.separator)
    *asked, last = [one for one in _filled(template.query, query, QUERY) if one.text]
    yield from asked
    yield Stretch(LAST, last.text)


def _filled(pattern: str, fields: dict[str, str], kind: Kind) -> Iterator[Stretch]:
    for piece in pieces(pattern):
        yield Stretch(TEMPLATE, piece.text) if piece.field is None else Stretch(kind, fields[piece.field])
