"""Prompts as token ids."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from workflow_scripts.lib.artifacts.provenance import ids_digest
from workflow_scripts.lib.data.chat import in_turns
from workflow_scripts.lib.data.examples import Wording
from workflow_scripts.lib.data.sets import Demonstration
from workflow_scripts.lib.data.template import Piece, Template, filled, pieces
from workflow_scripts.lib.data.tokens import PLAIN, Pattern, TokenizerError, Tokens
from workflow_scripts.lib.errors import StudyError


class LabelError(StudyError):
    """Label words that a tokenizer cannot tell apart, or does not know; answers that it cannot end."""


class Completion(NamedTuple):
    """Token ids of a prompt and of the label or answer that follows it; in tuning only that is supervised."""

    prompt: list[int]
    label: list[int]


class Prompts:
    """Builds every prompt of one tokenizer, template and label set, always by joining token ids.

    A prompt is `prefix(demonstrations) + query(fields)`. An arm that shows nothing has no demonstrations, and the
    query's ids are the same in every arm and end every prompt. What the tokenizer itself puts before a text stands
    once, in the prefix; what it puts after one (`[SEP]`, EOS) stands nowhere, as the label is to follow.

    Without label words the task is generation: what follows a query is its answer, a text of any length, which ends
    where the separator begins.

    before: ids that the tokenizer itself puts before a text.
    words: label word -> its ids, as they stand in a demonstration; answers are put there as they are asked for.
    ending: ids that follow every label where it is scored and learnt; none, unless one label begins with another. Of
        answers the separator.
    labels: label word -> its ids with the ending: no label's begin with another's.
    merged: label words and answers whose first token, in the text, would hold the end of the query too; they have the
        ids of the word alone.
    """

    def __init__(
        self, tokenizer: Any, template: Template, labels: Sequence[str], told: Mapping[str, Wording] | None = None
    ) -> None:
        """`labels` are the label words, in the order of the data set's label indices.

        `told`: data set -> how its demonstrations are told, where they are shown with these queries.
        """
        self.others = {
            task: Prompts(tokenizer, wording.template.model_copy(update={"chat": template.chat}), wording.words)
            for task, wording in (told or {}).items()
        }
        template = in_turns(tokenizer, template) if template.chat else template
        self.template, self.tokenizer, self.tokens = template, tokenizer, Tokens(tokenizer)
        self._query, self._label = pieces(template.query), pieces(template.label)
        self._pattern = Pattern(self.tokens, self._query)
        self._ids: dict[tuple[tuple[str, str], ...], list[int]] = {}  # of texts that were asked or shown already
        self.generation = not labels
        self.merged: list[str] = []
        self.words = {word: self._label_ids(word) for word in labels}
        _check_distinct(self.words)
        self.separator, _ = self._continuation(
            [*self._query, *self._label], [Piece(template.separator)], self._context(labels[0] if labels else PLAIN)
        )
        if self.generation:
            self._check_separator()
        self.ending = self.separator if self.generation else _ending(self.words, self.separator)
        self.labels = {word: self.learnt(word) for word in labels}
        self.before, _ = self.tokens.around(template.instruction + filled(self._query, self._pattern.plain))
        self._start = self.before + Pattern(self.tokens, [Piece(template.instruction)]).ids({})
        self._check_start()

    def query(self, fields: Mapping[str, str]) -> list[int]:
        """Ids of a query, up to the token that predicts its label."""
        text = tuple(fields.items())
        if text not in self._ids:
            self._ids[text] = self._pattern.ids(fields)
        return list(self._ids[text])

    def prefix(self, demonstrations: Iterable[Demonstration] = ()) -> list[int]:
        """Ids of all that stands before the query."""
        joined = list(self._start)
        for one in demonstrations:
            own = self._telling(one)
            joined += own.query(one.fields) + own.shown(one.label) + own.separator
        return joined

    def shown(self, label: str) -> list[int]:
        """Ids of a label word or an answer, as it stands in a demonstration."""
        if self.generation and label not in self.words:
            self.words[label] = self._label_ids(label)
        return self.words[label]

    def learnt(self, label: str) -> list[int]:
        """Ids of a label word or an answer as it is learnt and scored: with the ending."""
        return self.shown(label) + self.ending

    def completion(self, demonstration: Demonstration) -> Completion:
        """What IT learns from a demonstration: it alone, as a query with its label."""
        own = self._telling(demonstration)
        return Completion(own.prefix() + own.query(demonstration.fields), own.learnt(demonstration.label))

    def continuation(self, demonstration: Demonstration) -> Completion:
        """The same after a prefix that is there already: its query and its label alone."""
        own = self._telling(demonstration)
        return Completion(own.query(demonstration.fields), own.learnt(demonstration.label))

    def length(self, demonstration: Demonstration) -> int:
        """Tokens that a demonstration adds to a prefix."""
        return len(self.prefix([demonstration])) - len(self.prefix())

    def digest(self, demonstrations: Iterable[Demonstration]) -> str:
        """16 hex digits over the demonstrations' ids in order: equal in all arms, or they were given different sets."""
        return ids_digest(self.prefix(demonstrations))

    def ends(self, written: Sequence[int]) -> bool:
        """Whether what a model writes after a query has come to the separator."""
        return self._cut(written) < len(written) or self.template.separator in self._text(written)

    def answer(self, written: Sequence[int]) -> str:
        """The text that a model writes after a query, up to the separator, without space around it."""
        return self._text(written[: self._cut(written)]).split(self.template.separator)[0].strip()

    def _cut(self, written: Sequence[int]) -> int:
        """Where the separator's own ids begin; the end, where they do not stand there."""
        ends, length = list(self.separator), len(self.separator)
        places = (i for i in range(len(written) - length + 1) if list(written[i : i + length]) == ends)
        return next(places, len(written))

    def _text(self, ids: Sequence[int]) -> str:
        return str(self.tokenizer.decode(list(ids), clean_up_tokenization_spaces=False))

    def _telling(self, demonstration: Demonstration) -> "Prompts":
        return self.others[demonstration.task] if demonstration.task else self

    def _context(self, word: str) -> dict[str, str]:
        return {**self._pattern.plain, "label": word}

    def _label_ids(self, word: str) -> list[int]:
        ids, follows = self._continuation(self._query, self._label, self._context(word))
        if not ids:
            raise LabelError(f"the tokenizer has no token for {'answer' if self.generation else 'label word'} {word!r}")
        if self.tokens.unknown in ids and not self.generation:
            raise LabelError(f"the tokenizer's vocabulary lacks label word {word!r}; choose another word")
        self.merged += [] if follows else [word]
        return ids

    def _continuation(
        self, left: Sequence[Piece], right: Sequence[Piece], fields: Mapping[str, str]
    ) -> tuple[list[int], bool]:
        """Ids of `right` where it follows `left`; its ids alone, and False, where a token would hold some of both."""
        joined, before = (Pattern(self.tokens, some).ids(fields) for some in ([*left, *right], left))
        if joined[: len(before)] == before:
            return joined[len(before) :], True
        return Pattern(self.tokens, right).ids(fields), False

    def _check_separator(self) -> None:
        if not self.separator or self.tokens.unknown in self.separator:
            raise LabelError(
                f"the tokenizer has no token for the separator {self.template.separator!r}, which ends an answer; "
                "choose another in `template.separator`"
            )

    def _check_start(self) -> None:
        first = (self._start + self._pattern.plain_ids)[len(self.before) :]
        if self.before and first[: len(self.before)] == self.before:
            raise TokenizerError(
                f"the template begins with {self.tokenizer.decode(self.before)!r}, which this tokenizer itself puts "
                "before every text; leave it out of the template"
            )


def _check_distinct(words: Mapping[str, Sequence[int]]) -> None:
    first: dict[tuple[int, ...], str] = {}
    for word, ids in words.items():
        if tuple(ids) in first:
            raise LabelError(
                f"label words {first[tuple(ids)]!r} and {word!r} share their token ids with this tokenizer "
                f"({list(ids)}); choose other words"
            )
        first[tuple(ids)] = word


def _ending(words: Mapping[str, Sequence[int]], separator: Sequence[int]) -> list[int]:
    """The least of the separator that, put after every label, leaves none that begins with another.

    A label that begins with another could never be the likelier of the two: a label then ends where the template says.
    """
    for length in range(len(separator) + 1):
        ended = sorted([*ids, *separator[:length]] for ids in words.values())
        if all(other[: len(one)] != one for one, other in pairwise(ended)):
            return list(separator[:length])
    short, long = next((a, b) for a in words for b in words if a != b and list(words[b][: len(words[a])]) == words[a])
    raise LabelError(
        f"label word {long!r} begins with {short!r}, and the template's separator does not tell where a label ends; "
        "choose other words or another separator"
    )
