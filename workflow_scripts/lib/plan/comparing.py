"""What a comparison costs: measured on random states of a few dimensions, and taken in proportion to theirs."""

import time
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from workflow_scripts.lib.arms import ANCHOR
from workflow_scripts.lib.measures import level as kernel
from workflow_scripts.lib.measures import named
from workflow_scripts.lib.measures.contrasts import CONTRASTS
from workflow_scripts.lib.measures.layer import Layer, label_span
from workflow_scripts.lib.measures.on_answers import Answers, Asked
from workflow_scripts.lib.measures.settings import CHOOSABLE, CompareHiddenStates

LABELS = 4
QUERIES, WIDTHS = 20, (32, 128)
OF_ROW, OF_FILE, PACKED = 5, 4000, 0.6  # bytes on disk of a row and a file; share of itself that a product takes there
HELD = 12  # bytes of memory of a value at work


class Comparison(NamedTuple):
    """Of a layer of a level: seconds of one core, rows, and bytes of products of updates."""

    seconds: float
    rows: int
    products: int

    def disk(self, layers: int) -> float:
        """Bytes of the two tables of a level with so many layers."""
        return layers * (self.rows * OF_ROW + self.products)


def comparison(arms: Sequence[str], draws: int, queries: int, width: int, settings: CompareHiddenStates) -> Comparison:
    """Of so many draws of sets given to some arms, each asked so many queries."""
    asked = min(queries, QUERIES)
    found = [_timed(random_level(arms, draws, asked, 1, one), settings) for one in WIDTHS]
    (few, rows), (many, _) = found
    slope = max(0.0, many - few) / (WIDTHS[1] - WIDTHS[0])
    seconds = (few - slope * WIDTHS[0] + slope * width) * queries / asked
    twos = len(arms) * (len(arms) + 1) // 2
    return Comparison(max(seconds, few), rows, round(PACKED * twos * (16 * draws**2 + 16)))


def _timed(level: kernel.Level, settings: CompareHiddenStates) -> tuple[float, int]:
    started = time.process_time()
    compared = kernel.compare(level, named(CHOOSABLE, settings.measures), named(CONTRASTS, settings.contrasts))
    rows = sum(len(one.rows) for one in compared)
    return time.process_time() - started, rows


def random_level(arms: Sequence[str], draws: int, queries: int, layers: int, width: int) -> kernel.Level:
    """A level of random states whose arms share a part of their updates."""
    dice = np.random.default_rng(0)

    def normal(*size: int) -> np.ndarray:
        return dice.standard_normal(size, np.float32)

    anchor, shared = normal(queries, width), normal(queries, width)
    states = {arm: anchor + 0.3 * (shared + normal(draws, queries, width)) for arm in arms}
    gold = np.arange(queries) % LABELS
    span, repeat = label_span(normal(LABELS, width)), anchor + 1e-6 * normal(queries, width)

    def answers(count: int) -> Answers:
        scores = normal(count, queries, LABELS)
        return Answers(scores, scores.argmax(axis=-1))

    def read(number: int) -> tuple[Layer, dict[str, np.ndarray]]:
        return Layer(anchor, gold, [repeat], span, number), {arm: array.copy() for arm, array in states.items()}

    of_arms = {arm: answers(draws) for arm in arms}
    asked = Asked(gold, answers(1))
    return kernel.Level(ANCHOR.name, range(draws), asked, of_arms, range(layers), read, sets_serve_all=True)
