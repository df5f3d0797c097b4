"""Rotary frequencies that depend on the length of what is run: all tokens of a batch get those of its longest row."""

from collections.abc import Iterator, Sequence
from typing import Any

from workflow_scripts.lib.errors import StudyError


class LengthError(StudyError):
    """Prompts longer than those that a model has one set of rotary frequencies for."""


def turning_point(config: Any) -> int | None:
    """Tokens up to which a model's rotary frequencies are the original ones and after which others; None for no such.

    Rows on both sides of it share no batch, and no prefix: keys of a short prefix are not those of a long prompt.
    """
    text = config.get_text_config(decoder=True)
    points = [_originally(text, one) for one in _ropes(text) if one.get("rope_type") in ("longrope", "dynamic")]
    return min(points, default=None)


def turns_after(config: Any, prefix: int, whole: int) -> bool:
    """Are the frequencies of a prefix of so many tokens others than those of the whole prompt."""
    turn = turning_point(config)
    return turn is not None and prefix <= turn < whole


def longest(config: Any) -> int | None:
    """Tokens that a prompt may have for its frequencies to be settled; None for no such limit.

    `dynamic` frequencies differ for every length after the original one, and transformers keeps those of the longest
    prompt seen: states would depend on what was run before.
    """
    text = config.get_text_config(decoder=True)
    return min((_originally(text, one) for one in _ropes(text) if one.get("rope_type") == "dynamic"), default=None)


def check_lengths(config: Any, lengths: Sequence[int]) -> None:
    """LengthError where a prompt's frequencies are not settled."""
    limit = longest(config)
    if limit is not None and max(lengths, default=0) > limit:
        raise LengthError(
            f"a prompt has {max(lengths)} tokens, and with rope_type dynamic the rotary frequencies of one that is "
            f"longer than {limit} depend on the prompts before it; use fewer shots or shorter texts"
        )


def _ropes(text: Any) -> Iterator[dict[str, Any]]:
    """The rotary parameters of a config, or of each of its kinds of layers."""
    rope = getattr(text, "rope_parameters", None) or {}
    yield from (one for one in (rope, *rope.values()) if isinstance(one, dict))


def _originally(text: Any, rope: dict[str, Any]) -> int:
    if rope["rope_type"] == "dynamic":
        return int(text.max_position_embeddings)
    return int(rope.get("original_max_position_embeddings") or text.max_position_embeddings)
