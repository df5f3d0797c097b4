"""All measures of a level: what its arms' states and answers give, as rows of tables."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import combinations
from typing import NamedTuple

from workflow_scripts.lib.measures import NOISE
from workflow_scripts.lib.measures.blocks import ArmStates, Memory, States
from workflow_scripts.lib.measures.contrasts import OWN, Contrast
from workflow_scripts.lib.measures.kinds import Accord, Behaviour, Change, Measure, Similarity
from workflow_scripts.lib.measures.layer import Layer
from workflow_scripts.lib.measures.noise import noise_share, shared_noise
from workflow_scripts.lib.measures.on_answers import Answers, Asked
from workflow_scripts.lib.measures.on_texts import Scored
from workflow_scripts.lib.measures.parts import products_of
from workflow_scripts.lib.measures.rows import Of, Row, rows_by_answer, rows_of_draws, rows_of_queries
from workflow_scripts.lib.measures.similarities import Chance, Values, chance, random_directions, similarity_of
from workflow_scripts.lib.measures.vectors import Floats
from workflow_scripts.lib.measures.workers import workers


class Level(NamedTuple):
    """A level's arms, in the order of the study's list; runs that only show noise are in its layers.

    Args:
        anchor: the anchor's name; it has no draws
        draws: their numbers
        asked: what was asked, with the anchor's answers
        answers: of every other arm
        layers: numbers of those whose states there are
        read: a layer's number -> what its states are measured against, and those of every other arm
        sets_serve_all: every set was asked all queries, so that updates have parts
    """

    anchor: str
    draws: Sequence[int]
    asked: Asked
    answers: Mapping[str, Answers | Scored]
    layers: Sequence[int]
    read: Callable[[int], tuple[Layer, States]]
    sets_serve_all: bool


class ProductsRow(NamedTuple):
    """Products of two arms' updates at a layer (parts.Products), row-major."""

    layer: int
    one: str
    other: str
    draws: Sequence[int]
    same_query: Floats
    all_queries: Floats
    queries: int


class Compared(NamedTuple):
    """Rows of similarity.parquet and of products.parquet, without the level."""

    rows: list[Row]
    products: list[ProductsRow]


def compare(
    level: Level, measures: Sequence[Measure], contrasts: Sequence[Contrast], threads: int = 1
) -> Iterator[Compared]:
    """What the answers give, then layer by layer what the states give; noise and products are always made.

    The next layer is read while one is measured. Equal input gives equal numbers whatever the number of threads. A
    measure that needs directions of the labels is left out where a layer has none, one of other answers than the
    level's too, and a contrast that needs labels where answers are texts.
    """
    _check_answers(level)
    contrasts = [contrast for contrast in contrasts if not (contrast.of_labels and len(level.asked.texts))]
    yield Compared(list(_of_answers(level, measures)), [])
    memory, directions = Memory(), None
    with workers(threads) as some:
        for layer, states in some.ahead(level.read, level.layers):
            _check_states(level, layer, states)
            arms = ArmStates(layer, level.anchor, states, some, memory)
            if directions is None:
                directions = random_directions(arms.shape, level.draws, some)
            rows = _of_states(level, arms, measures, contrasts, chance(arms, directions))
            yield Compared(list(rows), list(_products(level, arms)))


def _of_answers(level: Level, measures: Sequence[Measure]) -> Iterator[Row]:
    everyone = {level.anchor: level.asked.anchor, **level.answers}
    for measure in measures:
        if isinstance(measure, Behaviour | Accord) and not isinstance(level.asked.anchor, measure.kind):
            continue
        arms = level.answers if isinstance(measure, Behaviour | Accord) and measure.of_updates else everyone
        if isinstance(measure, Behaviour):
            for arm, answers in arms.items():
                of = Of(None, arm, None, None, measure.name)
                yield from rows_of_queries(level.draws, of, measure.of(answers, level.asked))
        elif isinstance(measure, Accord):
            for one, other in combinations(arms, 2):
                of = Of(None, one, other, OWN.name, measure.name)
                values = measure.of(arms[one], arms[other], level.asked)
                yield from rows_of_queries(level.draws, of, values)


def _of_states(
    level: Level, arms: ArmStates, measures: Sequence[Measure], contrasts: Sequence[Contrast], random: Chance
) -> Iterator[Row]:
    yield from _of_noise(level, arms)
    for measure in measures:
        if not isinstance(measure, Similarity | Change) or (measure.of_labels and arms.layer.span is None):
            continue
        if isinstance(measure, Similarity):
            yield from _rows_of(level, arms, measure, similarity_of(measure, arms, contrasts, random))
        else:
            for arm in arms.states:
                of = Of(arms.layer.number, arm, None, None, measure.name)
                yield from rows_of_queries(level.draws, of, arms.values(arm, measure.of))


def _rows_of(level: Level, arms: ArmStates, measure: Similarity, found: Iterable[Values]) -> Iterator[Row]:
    answers = {level.anchor: level.asked.anchor, **level.answers}
    for one, other, contrast, values in found:
        of = Of(arms.layer.number, one, other, contrast.name, measure.name)
        if not measure.by_query:
            yield from rows_of_draws(level.draws, of, values, arms.shape[1])
            continue
        yield from rows_of_queries(level.draws, of, values)
        if contrast is OWN and (same := answers[one].same(answers[other])) is not None:
            yield from rows_by_answer(level.draws, of, values, same)


def _of_noise(level: Level, arms: ArmStates) -> Iterator[Row]:
    layer = arms.layer
    if not layer.repeats:
        return
    shares = {arm: arms.values(arm, noise_share) for arm in arms.states}
    for arm, share in shares.items():
        yield from rows_of_queries(level.draws, Of(layer.number, arm, None, None, NOISE.name), share)
    for one, other in combinations(shares, 2):
        of = Of(layer.number, one, other, OWN.name, NOISE.name)
        yield from rows_of_queries(level.draws, of, shared_noise(shares[one], shares[other]))


def _products(level: Level, arms: ArmStates) -> Iterator[ProductsRow]:
    if level.sets_serve_all:
        found = products_of(arms.states, arms.layer.anchor, arms.workers)
        for (one, other), products in found.items():
            same, every = (matrix.ravel() for matrix in products)
            yield ProductsRow(arms.layer.number, one, other, level.draws, same, every, len(arms.layer.anchor))


def _check_answers(level: Level) -> None:
    for arm, answers in level.answers.items():
        wanted = len(level.draws), len(level.asked.labels)
        if answers.shape != wanted:
            raise ValueError(f"answers of {arm} are {answers.shape}, and should be {wanted}")


def _check_states(level: Level, layer: Layer, states: States) -> None:
    if list(states) != list(level.answers):
        raise ValueError(f"states are of {list(states)} and answers of {list(level.answers)}")
    wanted = len(level.draws), len(level.asked.labels)
    for arm, array in states.items():
        if array.shape[:2] != wanted:
            raise ValueError(f"states of {arm} at layer {layer.number} are {array.shape[:2]}, and should be {wanted}")
