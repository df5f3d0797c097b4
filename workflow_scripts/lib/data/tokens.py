"""Text as token ids, in which a field's value never becomes a special token."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from workflow_scripts.lib.data.template import Piece, filled
from workflow_scripts.lib.errors import StudyError

PLAIN = "x"  # a value that says nothing to any tokenizer
SHOWN = 60  # characters of a text that an error shows


class TokenizerError(StudyError):
    """A tokenizer that cannot be used for prompts, or a text that it cannot take as text."""


class Tokens:
    """A tokenizer of transformers, and which of its tokens are no text.

    special: id -> text of the tokens that are marks and no words (`</s>`, `[SEP]`). One character or blank space is no
        mark: texts hold those whatever a tokenizer declares.
    unknown: id of the token that stands for what the vocabulary lacks; None where that is the tokenizer's BOS or EOS
        (then it is a mark), or where there is none.
    """

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        declared = dict(zip(tokenizer.all_special_ids, tokenizer.all_special_tokens, strict=True))
        added = {id_: one.content for id_, one in tokenizer.added_tokens_decoder.items() if one.special}
        marks = {id_: text for id_, text in (declared | added).items() if len(text.strip()) > 1}
        ends = (tokenizer.bos_token_id, tokenizer.eos_token_id)
        self.unknown = None if tokenizer.unk_token_id in ends else tokenizer.unk_token_id
        self.unknown_text = None if self.unknown is None else str(tokenizer.unk_token)
        self.special = {id_: text for id_, text in marks.items() if id_ != self.unknown}

    def ids(self, text: str) -> list[int]:
        """Ids of a text; what reads like an added token is that token."""
        return list(self.tokenizer(text, add_special_tokens=False)["input_ids"]) if text else []

    def ids_of_text(self, text: str, after: str) -> list[int]:
        """Ids of a text that follows `after`; what reads like a special token is text."""
        joined, before = self._split(after + text), self._split(after)
        return joined[len(before) :] if joined[: len(before)] == before else self._split(text)

    def special_in(self, ids: Sequence[int]) -> list[int]:
        """The special tokens among ids, in order."""
        return [one for one in ids if one in self.special]

    def around(self, text: str) -> tuple[list[int], list[int]]:
        """What the tokenizer itself puts before and after a text, whatever it calls it (BOS, `[CLS]`, `</s>`).

        TokenizerError where it does something else to the text than putting ids around it, or other things each time.
        """
        bare, whole = self.ids(text), list(self.tokenizer(text)["input_ids"])
        if any(self.ids(text) != bare for _ in range(3)):
            raise TokenizerError(
                "the tokenizer gives the same text other ids each time; switch off what makes it random (`dropout` in "
                "tokenizer.json)"
            )
        for at in range(len(whole) - len(bare) + 1):
            if whole[at : at + len(bare)] == bare:
                return whole[:at], whole[at + len(bare) :]
        raise TokenizerError(
            f"{type(self.tokenizer).__name__} gives {_shown(text)} other ids with its special tokens ({whole[:8]}...) "
            f"than without ({bare[:8]}...), so that no prompt can be joined; use another tokenizer"
        )

    def _split(self, text: str) -> list[int]:
        """Special tokens split as any text is: the switch that tokenizers have for it."""
        if not text:
            return []
        return list(self.tokenizer(text, add_special_tokens=False, split_special_tokens=True)["input_ids"])


class Pattern:
    """Token ids of a pattern with its fields' values.

    The whole text is tokenised at once, so that ids are those that the tokenizer gives the text. Special tokens that
    the pattern itself writes are meant. Where a value reads like one, the stretches between the pattern's own are
    tokenised as mere text.
    """

    def __init__(self, tokens: Tokens, pieces: Sequence[Piece]) -> None:
        self.tokens, self.pieces = tokens, pieces
        self.plain = {piece.field: PLAIN for piece in pieces if piece.field is not None}
        self.plain_ids = tokens.ids(filled(pieces, self.plain))
        self.own = tokens.special_in(self.plain_ids)

    def ids(self, fields: Mapping[str, str]) -> list[int]:
        """Ids with these values; TokenizerError for one that the tokenizer cannot take as text."""
        text = filled(self.pieces, fields)
        ids = self.tokens.ids(text)
        if self.tokens.special_in(ids) == self.own and not self._reads_unknown(fields):
            return ids
        for after in ("", "\n"):  # some tokenizers put a space before the first stretch, some before every one
            if self._joined(self.plain, after) == self.plain_ids:
                ids = self._joined(fields, after)
                break
        strange = self.tokens.special_in(ids)
        if strange != self.own:
            marks = " ".join(dict.fromkeys(self.tokens.special[one] for one in strange if one not in self.own))
            raise TokenizerError(
                f"the tokenizer takes {marks or 'what reads like a special token'} for itself, and not for text, in "
                f"{_shown(text)}; leave that text out"
            )
        return ids

    def _reads_unknown(self, fields: Mapping[str, str]) -> bool:
        text = self.tokens.unknown_text
        return text is not None and any(text in fields[name] for name in self.plain)

    def _joined(self, fields: Mapping[str, str], after: str) -> list[int]:
        ids: list[int] = []
        for i, part in enumerate(self._parts()):
            if isinstance(part, int):
                ids.append(part)
            else:
                ids += self.tokens.ids_of_text(filled(part, fields), after if i else "")
        return ids

    def _parts(self) -> list[int | list[Piece]]:
        """The pattern cut at the special tokens that it writes."""
        own = {self.tokens.special[one]: one for one in self.own}
        cut = re.compile("|".join(map(re.escape, sorted(own, key=len, reverse=True))) or "(?!)")
        parts: list[int | list[Piece]] = []
        rest: list[Piece] = []
        for piece in self.pieces:
            at = 0
            for mark in cut.finditer(piece.text):
                parts += [[*rest, Piece(piece.text[at : mark.start()])], own[mark.group()]]
                rest, at = [], mark.end()
            rest.append(piece._replace(text=piece.text[at:]))
        return [*parts, rest]


def _shown(text: str) -> str:
    return repr(text if len(text) <= SHOWN else f"{text[:SHOWN]}...")
