"""Prompts as token ids. Imports nothing of ours."""

import hashlib
import string
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator


class Strict(BaseModel):
    """Unknown keys are errors; values do not change after they were checked."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Template(Strict):
    """How an example becomes text; the pieces are tokenised one by one and joined as token ids."""

    query: str = Field(description="text fields in braces; ends where the label is to be predicted")
    label: str = " {label}"
    separator: str = Field("\n\n", description="between a demonstration and what follows it")
    instruction: str = Field("", description="before everything, in every condition")

    @field_validator("label")
    @classmethod
    def _holds_label(cls, value: str) -> str:
        if placeholders(value) != ["label"]:
            raise ValueError(f"must hold {{label}} and no other field, and is {value!r}")
        return value

    @field_validator("query")
    @classmethod
    def _holds_a_field(cls, value: str) -> str:
        if not placeholders(value) or "label" in placeholders(value):
            raise ValueError(f"must hold at least one text field and not {{label}}, and is {value!r}")
        return value


def placeholders(pattern: str) -> list[str]:
    """Names in braces, in order, each once."""
    return list(dict.fromkeys(name for _, name, _, _ in string.Formatter().parse(pattern) if name is not None))


class LabelError(ValueError):
    """Label words that a tokenizer cannot tell apart."""


@dataclass(frozen=True)
class Demonstration:
    """A labelled example as the prompt shows it."""

    fields: dict[str, str]
    label: str


@dataclass(frozen=True)
class TuningExample:
    """Token ids of an IT prompt and of the label that follows it; only the label is supervised."""

    prompt: list[int]
    label: list[int]


class Prompts:
    """Builds every prompt of one tokenizer, template and label set, always by joining token ids.

    A prompt is `prefix(demonstrations) + query(fields)`. Anchor and IT have no demonstrations, so the query's
    ids are the same in all three conditions and end every one of them. BOS stands once, in the prefix, where the
    tokenizer itself puts one.
    """

    def __init__(self, tokenizer: Any, template: Template, labels: Sequence[str]) -> None:
        """`labels` are the label words, in the order of the data set's label indices."""
        self.template = template
        self.tokenizer = tokenizer
        self.labels = {word: self._label_ids(word) for word in labels}
        if len({tuple(ids) for ids in self.labels.values()}) < len(labels):
            raise LabelError(
                f"label words share their token ids with this tokenizer: {self.labels}; choose other words"
            )
        self._start = self._bos() + self._ids(template.instruction)
        self._separator = self._continuation(self._context() + self._label_text(labels[0]), template.separator)

    def query(self, fields: dict[str, str]) -> list[int]:
        """Ids of a query, up to the token that predicts its label."""
        return self._ids(self.template.query.format(**fields))

    def prefix(self, demonstrations: Sequence[Demonstration] = ()) -> list[int]:
        """Ids of all that stands before the query."""
        joined = list(self._start)
        for one in demonstrations:
            joined += self.query(one.fields) + self.labels[one.label] + self._separator
        return joined

    def tuning_examples(self, demonstrations: Sequence[Demonstration]) -> list[TuningExample]:
        """What IT learns from the same demonstrations: each alone, as a query with its label."""
        start = self.prefix()
        return [TuningExample(start + self.query(one.fields), self.labels[one.label]) for one in demonstrations]

    def digest(self, demonstrations: Sequence[Demonstration]) -> str:
        """16 hex digits over the demonstrations' ids in order: equal in ICL and IT, or they saw different things."""
        return ids_digest(self.prefix(demonstrations))

    def _bos(self) -> list[int]:
        bos = self.tokenizer.bos_token_id
        return [bos] if bos is not None and self.tokenizer("x")["input_ids"][:1] == [bos] else []

    def _ids(self, text: str) -> list[int]:
        return list(self.tokenizer(text, add_special_tokens=False)["input_ids"]) if text else []

    def _context(self) -> str:
        return self.template.query.format(**dict.fromkeys(placeholders(self.template.query), "x"))

    def _label_text(self, word: str) -> str:
        return self.template.label.format(label=word)

    def _label_ids(self, word: str) -> list[int]:
        ids = self._continuation(self._context(), self._label_text(word))
        if not ids:
            raise LabelError(f"the tokenizer has no token for label word {word!r}")
        return ids

    def _continuation(self, left: str, right: str) -> list[int]:
        """Ids of `right` where it follows `left`; its ids alone where the tokenizer merges across the seam."""
        joined, before = self._ids(left + right), self._ids(left)
        return joined[len(before) :] if joined[: len(before)] == before else self._ids(right)


def ids_digest(ids: Sequence[int]) -> str:
    """16 hex digits of the SHA-256 of token ids."""
    return hashlib.sha256(",".join(map(str, ids)).encode()).hexdigest()[:16]
