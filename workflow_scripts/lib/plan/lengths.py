"""Tokens of a study's prompts: counted where its texts and tokenizers are to be had, assumed and said so elsewhere."""

from collections.abc import Mapping
from typing import NamedTuple

from workflow_scripts.lib.data.prompts import Prompts
from workflow_scripts.lib.lora.batches import tokens_of
from workflow_scripts.lib.study.factors import AT_REFERENCE
from workflow_scripts.lib.study.grid import BY_QUERY, Grid
from workflow_scripts.lib.study.material import Material, Shown
from workflow_scripts.lib.study.settings import Study

# Of a sentence of SST-2 in a template of two lines, as LLaMA-2's tokenizer has it (docs/performance.md, On a GPU).
DEMONSTRATION, QUERY, TWO_LABELS = 40, 33, (1, 1)


class OfSet(NamedTuple):
    """Tokens that a set is shown in before a query, of each query asked with it, and of each row tuned on it."""

    shown: int
    queries: tuple[int, ...]
    learnt: tuple[int, ...]


class Lengths(NamedTuple):
    """Tokens at a setting: of its sets; without a set, of a prompt's start, of all queries, of a text of the pool.

    others: how many texts of the pool are not in a set. labels: tokens of each, none of a generation task.
    answer: tokens of the mean label, or of the mean answer. counted: whether they were, or assumed.
    """

    sets: list[OfSet]
    start: int
    queries: tuple[int, ...]
    text: float
    others: int
    labels: tuple[int, ...]
    answer: float
    counted: bool


def counted(read: Material, prompts: Mapping[str, Prompts]) -> dict[str, Lengths]:
    """Setting -> its tokens."""
    return {setting: _of(read, prompts[setting], shown) for setting, shown in read.shown.items()}


def _of(read: Material, prompts: Prompts, shown: Shown) -> Lengths:
    queries = {one.id: len(prompts.query(one.fields)) for one in read.examples.queries}
    pool = [len(prompts.query(one.fields)) for one in read.examples.pool]
    sets = [
        OfSet(
            len(prompts.prefix(each.set.demonstrations)),
            tuple(queries[one.id] for one in each.asked(read.examples.queries)),
            tuple(len(tokens_of(prompts.completion(one))) for one in each.set.demonstrations),
        )
        for each in shown.sets
    ]
    start, labels = len(prompts.prefix()), tuple(map(len, prompts.labels.values()))
    told = labels or [len(prompts.learnt(one.label)) for one in read.examples.queries]
    others = len(pool) - max(len(one.learnt) for one in sets)
    text, answer = sum(pool) / len(pool), sum(told) / len(told)
    return Lengths(sets, start, tuple(queries.values()), text, others, labels, answer, counted=True)


def assumed(study: Study, grid: Grid) -> dict[str, Lengths]:
    """The same where texts or their tokens are not to be had: sentences."""
    return {setting: _assumed(study, grid, setting) for setting in grid.settings}


def _assumed(study: Study, grid: Grid, setting: str) -> Lengths:
    shots, factor = grid.choice(setting).shots, grid.settings[setting].factor
    by_query = factor == BY_QUERY and factor != AT_REFERENCE
    served = min(study.queries, study.sample_demonstrations.relevance.queries) if by_query else 1
    queries = (QUERY,) * (1 if by_query else study.queries)
    one = OfSet(1 + shots * DEMONSTRATION, queries, (1 + QUERY,) * shots)
    others, sets = study.tune_lora.distilled_on, [one] * (study.draws * served)
    return Lengths(sets, 1, (QUERY,) * study.queries, QUERY, others, TWO_LABELS, 1, counted=False)
