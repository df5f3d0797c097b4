"""Ways of showing a set of demonstrations in a prompt: one function each, from a set to demonstrations in order."""

import random
from collections.abc import Callable, Sequence
from dataclasses import replace

from workflow_scripts.lib.data.sets import Demonstration, DemonstrationSet, another_order

Shown = Sequence[Demonstration]


def as_drawn(shown: DemonstrationSet) -> Shown:
    """The set as it is."""
    return shown.demonstrations


def reordered(shown: DemonstrationSet) -> Shown:
    """The same demonstrations in another order, drawn by the set's own id."""
    return another_order(shown.demonstrations, random.Random(shown.id))


def shuffled_labels(shown: DemonstrationSet) -> Shown:
    """The same texts with the same labels, dealt out anew by the set's own id."""
    labels = [one.label for one in shown.demonstrations]
    random.Random(f"{shown.id}/labels").shuffle(labels)
    return [replace(one, label=label) for one, label in zip(shown.demonstrations, labels, strict=True)]


SHOWN: dict[str, Callable[[DemonstrationSet], Shown]] = {
    way.__name__: way for way in (as_drawn, reordered, shuffled_labels)
}
