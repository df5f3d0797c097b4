"""Checks of every prompt that a model is to read of a data set, with the model's own tokenizer."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from workflow_scripts.lib.data.examples import Examples
from workflow_scripts.lib.data.prompts import LabelError, Prompts
from workflow_scripts.lib.data.sets import ServingSet
from workflow_scripts.lib.data.template import filled, pieces
from workflow_scripts.lib.data.tokens import TokenizerError
from workflow_scripts.lib.errors import StudyError

Asked = tuple[str, dict[str, str]]  # an example's id and its fields


class EmbeddingError(StudyError):
    """A token that the model has no embedding for."""


def asked(examples: Examples, sets: Iterable[ServingSet], task: str | None = None) -> list[Asked]:
    """Every example that stands in a prompt, once: the queries, and what the sets show of them.

    With `task`, the demonstrations of that one alone, which stand in its template.
    """
    queries = {} if task else {one.id: one.fields for one in examples.queries}
    shown = {one.id: one.fields for each in sets for one in each.set.demonstrations if one.task == task}
    return list((queries | shown).items())


def answers(examples: Examples, sets: Iterable[ServingSet], task: str | None = None) -> dict[str, str]:
    """Every answer of a generation task that is expected or shown -> an example with it; with `task`, that one's."""
    queries = {} if task else {one.label: one.id for one in examples.queries}
    return {one.label: one.id for each in sets for one in each.set.demonstrations if one.task == task} | queries


def embedded(config: Any) -> int | None:
    """How many tokens a model has embeddings for; None where its config does not say."""
    return getattr(config.get_text_config(decoder=True), "vocab_size", None)


def check_prompts(prompts: Prompts, examples: Sequence[Asked], embeddings: int | None) -> None:
    """TokenizerError or EmbeddingError with the first example whose prompt would be none of the text, and why.

    A prompt begins as the tokenizer itself begins that very text; a text has the same ids each time; all of them have
    an embedding. That a tokenizer has more tokens than the model is no fault where no prompt holds them.
    """
    for where, ids in _of_template(prompts):
        _check_embedded(where, ids, prompts, embeddings)
    before, template = prompts.before, prompts.template
    for where, fields in examples:
        try:
            begins, _ = prompts.tokens.around(template.instruction + filled(pieces(template.query), fields))
            ids = prompts.query(fields)
        except TokenizerError as error:
            raise TokenizerError(f"{where}: {error}") from None
        if begins != before:
            raise TokenizerError(f"{where}: the tokenizer puts {begins} before this text and {before} before others")
        _check_embedded(where, ids, prompts, embeddings)


def check_answers(prompts: Prompts, told: Mapping[str, str], embeddings: int | None) -> None:
    """The same of answers -> an example that has it, and LabelError for one that holds the separator, where it ends."""
    for answer, where in told.items():
        if prompts.template.separator in answer:
            raise LabelError(
                f"{where}: the answer holds the separator {prompts.template.separator!r}, at which answers end; choose "
                "another in `template.separator`, or leave the example out"
            )
        try:
            ids = prompts.learnt(answer)
        except TokenizerError as error:
            raise TokenizerError(f"{where}: {error}") from None
        _check_embedded(f"{where}: the answer", ids, prompts, embeddings)


def _of_template(prompts: Prompts) -> Iterator[tuple[str, list[int]]]:
    yield "what stands before every prompt", prompts.prefix()
    yield "the template's separator", prompts.separator
    for word, ids in prompts.labels.items():
        yield f"label word {word!r}", ids


def _check_embedded(where: str, ids: Sequence[int], prompts: Prompts, embeddings: int | None) -> None:
    if ids and embeddings is not None and max(ids) >= embeddings:
        token = prompts.tokenizer.convert_ids_to_tokens(max(ids))
        raise EmbeddingError(
            f"{where}: the model has embeddings for {embeddings} tokens and none for token {max(ids)} ({token!r}); "
            "take the tokenizer that belongs to the weights, or resize the model's embeddings"
        )
