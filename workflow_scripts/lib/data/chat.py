"""A template in the turns of a tokenizer's own chat template: a query is a user's message, its label the answer."""

import re
from collections.abc import Iterable
from itertools import takewhile
from typing import Any

from workflow_scripts.lib.data.template import Template
from workflow_scripts.lib.data.tokens import TokenizerError, Tokens

FIRST, ANSWER, SECOND = "the-first-query", "the-first-answer", "the-second-query"
# Before a template that tells the date: prompts are the same on any day.
ONE_DAY = "{% macro strftime_now(form) %}01 Jan 2024{% endmacro %}"


def in_turns(tokenizer: Any, template: Template) -> Template:
    """The template with what the chat template puts before, between and after messages; demonstrations are turns.

    An instruction is the system's message. What stands before the label in the data set's own template is left out but
    for what the chat template has there. TokenizerError for a tokenizer without a chat template, or with one that turns
    a message into another text.
    """
    if not getattr(tokenizer, "chat_template", None):
        raise TokenizerError(
            "the tokenizer has no chat template, and the template says `chat: true`; take a model that was tuned to "
            "chat, or leave `chat` out"
        )
    text = _rendered(tokenizer, template.instruction.strip())
    parts = [text]
    for message in (FIRST, ANSWER, SECOND):
        before, found, after = parts.pop().partition(message)
        if not found or message in after:
            raise TokenizerError(f"the chat template does not give a message once and as it is: {text[:200]!r}")
        parts += [before, after]
    opening, answers, between, ends = parts
    tokens = Tokens(tokenizer)
    opening = _without_own_start(tokens, opening)
    start = _start_of_a_message(opening, between, tokens.special.values())
    if not answers.startswith(ends):
        raise TokenizerError(f"the chat template puts {answers!r} before an answer, and asks for one with {ends!r}")
    return Template(
        query=_as_pattern(start) + template.query + _as_pattern(ends),
        label=_as_pattern(answers[len(ends) :]) + template.label.lstrip(),
        separator=between.removesuffix(start),
        instruction=opening.removesuffix(start),
    )


def _rendered(tokenizer: Any, instruction: str) -> str:
    system = [{"role": "system", "content": instruction}] if instruction else []
    turns = [("user", FIRST), ("assistant", ANSWER), ("user", SECOND)]
    messages = [*system, *({"role": role, "content": text} for role, text in turns)]
    try:
        made = ONE_DAY + tokenizer.get_chat_template()
        how = {"chat_template": made, "tokenize": False, "add_generation_prompt": True}
        return str(tokenizer.apply_chat_template(messages, **how))
    except Exception as error:  # a template raises what its author wrote
        why = " ".join(str(error).split())[:200]
        raise TokenizerError(f"the chat template takes no such messages ({why}); leave the instruction out") from None


def _as_pattern(text: str) -> str:
    return text.replace("{", "{{").replace("}", "}}")


def _start_of_a_message(opening: str, between: str, special: Iterable[str]) -> str:
    """What any user's message begins with, from its last special token on if it has one.

    It belongs to the query, as pieces of a template are tokenised apart and a space at its end is the next word's.
    """
    alike = takewhile(lambda ends: ends[0] == ends[1], zip(reversed(opening), reversed(between), strict=False))
    at = len(opening) - len(list(alike))
    for mark in re.finditer("|".join(map(re.escape, special)) or "(?!)", opening):
        if mark.end() > at:
            at = mark.start() if mark.start() >= at else mark.end()
    return opening[at:]


def _without_own_start(tokens: Tokens, opening: str) -> str:
    """The text before the first message, without what the tokenizer puts before any text by itself."""
    own, _ = tokens.around(FIRST)
    return opening.removeprefix(str(tokens.tokenizer.decode(own))) if own else opening
