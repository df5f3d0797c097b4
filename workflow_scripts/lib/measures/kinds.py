"""What a measure is a function of: the kinds that the list of measures has. `bounds` are what a mean lies between."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

from workflow_scripts.lib.measures.layer import Layer
from workflow_scripts.lib.measures.on_answers import Answers, Asked
from workflow_scripts.lib.measures.on_texts import Scored
from workflow_scripts.lib.measures.vectors import Floats


class Similarity(NamedTuple):
    """Of two arms' states: the cosine of what `represent` makes of each, for every contrast.

    Args:
        name: in tables
        heading: for people
        formula: in short
        represent: states [draws, queries, d] -> [draws, queries, m], or [draws, m] if not by_query
        by_query: a value for every query, or one over all queries of a draw
        of_updates: of how states differ from the anchor's, so that the anchor has none
        of_labels: needs the directions of the label words
    """

    name: str
    heading: str
    formula: str
    represent: Callable[[Floats, Layer], Floats]
    by_query: bool = True
    of_updates: bool = False
    of_labels: bool = False
    bounds: tuple[float, float] = (-1.0, 1.0)


class Change(NamedTuple):
    """Of one arm's states against the anchor's: [draws, queries, d] -> [draws, queries]."""

    name: str
    heading: str
    formula: str
    of: Callable[[Floats, Layer], Floats]
    of_labels: bool = False
    bounds: tuple[float, float] = (0.0, math.inf)


class Behaviour(NamedTuple):
    """Of one arm's answers: -> [draws, queries]; of updates, where the anchor has none. `kind`: of which answers."""

    name: str
    heading: str
    formula: str
    of: Callable[[Any, Asked], Floats]
    of_updates: bool = False
    bounds: tuple[float, float] = (0.0, 1.0)
    kind: type[Answers | Scored] = Answers


class Accord(NamedTuple):
    """Of two arms' answers to one query with one set: -> [draws, queries]; of updates, where the anchor has none.

    `kind`: of which answers.
    """

    name: str
    heading: str
    formula: str
    of: Callable[[Any, Any, Asked], Floats]
    of_updates: bool = False
    bounds: tuple[float, float] = (0.0, 1.0)
    kind: type[Answers | Scored] = Answers


class Derived(NamedTuple):
    """Always made, of other things than the chosen measures; `formula` says of what."""

    name: str
    heading: str
    formula: str
    bounds: tuple[float, float] = (-math.inf, math.inf)


Measure = Similarity | Change | Behaviour | Accord | Derived
