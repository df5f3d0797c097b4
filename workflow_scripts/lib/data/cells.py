"""Cells as texts and labels: what has one meaning is decoded, all else is refused."""

import math
import re
from collections.abc import Container
from typing import Any

# Of the control characters only tab and line ends are text. U+0080 to U+009F are what cp1252 or UTF-8 leave that
# somebody read as latin-1. U+FEFF stands inside a file that others were put together to.
NO_TEXT = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufeff]")


class NotTextError(ValueError):
    """A cell that is no text. `kind` says of which kind the rows are that a data set may leave out, or None."""

    def __init__(self, message: str, kind: str | None = None) -> None:
        super().__init__(message)
        self.kind = kind


def text_of(value: Any) -> str:
    """A cell's text, without space around it; whole numbers are their digits, bytes are UTF-8.

    NotTextError for any other cell, and for characters that are in no text.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    text = _decoded(value) if isinstance(value, bytes) else value
    if text is None or (isinstance(text, float) and math.isnan(text)):
        raise NotTextError("is null", "null")
    if not isinstance(text, str):
        raise NotTextError(f"is a {type(value).__name__} and no text: {_short(value)}")
    if found := NO_TEXT.search(text):
        raise _unwritten(found[0], text)
    if not any(map(str.isprintable, text.strip())):
        raise NotTextError("is empty", "empty")
    return text.strip()


def label_of(value: Any, declared: Container[str]) -> str:
    """A label as `labels` declares it: 1.0 (of a column with nulls) may be called 1, and true may be called True."""
    names = _names(value)
    return next((name for name in names if name in declared), names[0])


def _names(value: Any) -> list[str]:
    if isinstance(value, bool):
        return [str(value).lower(), str(value)]
    if isinstance(value, float) and math.isfinite(value):
        return [str(int(value)), str(value)] if value.is_integer() else [str(value)]
    return [text_of(value)]


def _decoded(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise NotTextError(f"is binary and not UTF-8: {_short(value)}") from None


def _unwritten(character: str, text: str) -> NotTextError:
    code = f"U+{ord(character):04X}"
    if "\ud800" <= character <= "\udfff":
        message = f"holds half of a surrogate pair ({code}), which is no character"
        return NotTextError(message, "with half a surrogate pair")
    if character == "\ufeff":
        message = f"holds a byte-order mark ({code}), as files do that were put together from several: {_short(text)}"
        return NotTextError(message, "with a byte-order mark")
    cause = ", as text has that was once decoded as latin-1 and is none" if code >= "U+0080" else ""
    return NotTextError(f"holds the control character {code}{cause}: {_short(text)}", "with control characters")


def _short(value: Any) -> str:
    shown = ascii(value)
    return shown if len(shown) <= 60 else f"{shown[:57]}..."
