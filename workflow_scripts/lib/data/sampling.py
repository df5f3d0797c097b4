"""How the sets of demonstrations of a setting are drawn.

A draw's examples and their order depend on the pool, the seed and the draw's number alone. So levels are paired by
draw: 4 shots are the first 4 of the 16, and flipped labels stand on the examples that had the gold ones. Where
demonstrations are chosen by how alike a query they are, each query has a set of its own in every draw.
"""

import random
from collections.abc import Sequence
from dataclasses import replace
from statistics import fmean

from workflow_scripts.lib.data.alike import Similarity
from workflow_scripts.lib.data.choice import Choice, SampleDemonstrations
from workflow_scripts.lib.data.drawing import PoolError, candidates, drawn, drawn_for, shuffled
from workflow_scripts.lib.data.examples import Example, Examples
from workflow_scripts.lib.data.parting import apart
from workflow_scripts.lib.data.sets import (
    Demonstration,
    DemonstrationSet,
    OtherTask,
    Place,
    ServingSet,
    another_order,
)
from workflow_scripts.lib.data.tf_idf import tf_idf

FEWER = "lower factors.shots or reference.shots"


def sample_sets(
    data: Examples,
    choice: Choice,
    *,
    draws: int,
    settings: SampleDemonstrations,
    seed: int,
    other: OtherTask | None = None,
    similarity: Similarity = tf_idf,
) -> list[ServingSet]:
    """The sets of all draws, each once, of `other` if there is one; PoolError where the pool is too small.

    `similarity`: how alike queries and examples are, where each query has sets of its own.
    """
    shown = replace(other.examples, pool=apart(other.examples.pool, data.queries)) if other else data
    balanced = settings.balanced and not shown.generation  # answers are no classes
    asked = _asked(data.queries, choice, settings)
    alike = similarity(asked, shown.pool) if asked else []
    similarities = dict(zip((one.id for one in asked), alike, strict=True))
    sets: dict[str, ServingSet] = {}

    def serve(made: DemonstrationSet, place: Place) -> None:
        named = [replace(one, task=other.name) for one in made.demonstrations] if other else made.demonstrations
        own = DemonstrationSet(tuple(named))
        sets.setdefault(own.id, ServingSet(own)).serves.append(place)

    for draw in range(draws):
        key = f"{seed}/{draw}"
        if choice.relevance == "any":
            serve(sample(shown, choice, key=key, balanced=balanced), Place(draw))
        among = candidates(shown.pool, key, balanced=balanced) if similarities else []
        for query, of_query in similarities.items():
            made, mean = sample_for(query, of_query, among, shown, choice, key=key, balanced=balanced)
            serve(made, Place(draw, query, mean))
    return list(sets.values())


def _asked(queries: Sequence[Example], choice: Choice, settings: SampleDemonstrations) -> Sequence[Example]:
    """The queries that have sets of their own: none where a set serves all."""
    if choice.relevance == "any":
        return []
    return queries[: settings.relevance.queries]


def sample(data: Examples, choice: Choice, *, key: str, balanced: bool) -> DemonstrationSet:
    """The set of one draw for all queries; `key` names seed and draw."""
    if choice.shots > len(data.pool):
        raise PoolError(f"{choice.shots} shots are more than the pool's {len(data.pool)} examples; {FEWER}")
    return _made(data, choice, drawn(data.pool, key, balanced=balanced)[: choice.shots], key)


def sample_for(
    query: str,
    similarity: Sequence[float],
    among: Sequence[int],
    data: Examples,
    choice: Choice,
    *,
    key: str,
    balanced: bool,
) -> tuple[DemonstrationSet, float]:
    """The set of one draw for one query, and how alike they are in the mean.

    `query` is its id, `similarity` of it and every example of the pool, `among` the places of the draw's candidates.
    """
    if choice.shots > len(among):
        raise PoolError(
            f"{choice.shots} shots are more than the {len(among)} examples, half of the pool, that a draw chooses "
            f"among at the levels of factors.relevance; {FEWER}"
        )
    order = drawn_for(query, similarity, choice.relevance, among, data.pool, key, balanced=balanced)
    chosen = order[: choice.shots]
    mean = fmean(similarity[i] for i in chosen)
    return _made(data, choice, shuffled(chosen, query, key), key), mean


def _made(data: Examples, choice: Choice, places: Sequence[int], key: str) -> DemonstrationSet:
    chosen = [data.pool[i] for i in places]
    labels = (
        _answers(chosen, choice.labels, data.pool, key)
        if data.generation
        else _labels(chosen, choice.labels, data.words, key)
    )
    inputs = _inputs(chosen, choice.inputs, data.pool, key)
    shown = zip(chosen, inputs, labels, strict=True)
    made = [Demonstration(one.id, fields, word, one.label) for one, fields, word in shown]
    if choice.order:
        made = another_order(made, random.Random(f"{key}/order/{choice.order}"))
    return DemonstrationSet(tuple(made))


def _labels(chosen: Sequence[Example], rule: str, words: Sequence[str], key: str) -> list[str]:
    if rule == "random":
        dice = random.Random(f"{key}/labels")
        return [dice.choice(words) for _ in chosen]
    return [_mapping(rule, words, key)[one.label] for one in chosen]


def _answers(chosen: Sequence[Example], rule: str, pool: Sequence[Example], key: str) -> list[str]:
    """Answers of a generation task as they are shown.

    flipped: those of the set, dealt out so that none stands by its own text, as far as they differ. random: any of the
    pool. PoolError for permuted, which gives classes other words, and for flipped answers of a single demonstration.
    """
    own = [one.label for one in chosen]
    if rule == "permuted":
        raise PoolError(
            "labels: permuted gives every class another word, and a generation task has no classes; "
            "gold, flipped and random have a meaning there"
        )
    if rule == "random":
        dice = random.Random(f"{key}/labels")
        return [dice.choice(pool).label for _ in chosen]
    return _deranged(own) if rule == "flipped" else own


def _deranged(answers: list[str]) -> list[str]:
    """The same answers turned by as little as leaves the fewest at their places."""
    if len(answers) < 2:
        raise PoolError(
            "labels: flipped deals a set's answers out to each other's texts, and 1 shot has no other; "
            "take more shots, or leave flipped out of factors.labels"
        )
    turned = ([*answers[by:], *answers[:by]] for by in range(1, len(answers)))
    return min(turned, key=lambda some: sum(map(str.__eq__, some, answers)))


def _mapping(rule: str, words: Sequence[str], key: str) -> dict[str, str]:
    """Class -> word, one word for each, of a rule that keeps to one mapping throughout a set.

    flipped: every class takes the next one's word, so that no label is right. permuted: a mapping of the draw's own,
    so that each set teaches another task.
    """
    turned = {"gold": words, "flipped": [*words[1:], *words[:1]]}
    shown = turned[rule] if rule in turned else random.Random(f"{key}/words").sample(words, len(words))
    return dict(zip(words, shown, strict=True))


def _inputs(chosen: Sequence[Example], rule: str, pool: Sequence[Example], key: str) -> list[dict[str, str]]:
    """Fields as they are shown. Random words are as many, drawn from all words of the pool in the same field."""
    if rule == "real":
        return [one.fields for one in chosen]
    dice = random.Random(f"{key}/inputs")
    every = {name: [word for one in pool for word in one.fields[name].split()] for name in chosen[0].fields}

    def words(name: str, text: str) -> list[str]:
        own = text.split()
        return dice.sample(own, len(own)) if rule == "shuffled-words" else dice.choices(every[name], k=len(own))

    return [{name: " ".join(words(name, text)) for name, text in one.fields.items()} for one in chosen]
