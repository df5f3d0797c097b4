"""A template in the turns of a tokenizer's own chat template: a query is a user's message, its label the answer."""

from datetime import datetime
from typing import Any

from workflow_scripts.lib.data.template import Template
from workflow_scripts.lib.data.tokens import TokenizerError, Tokens

FIRST, ANSWER, SECOND = "the-first-query", "the-first-answer", "the-second-query"
DAY = datetime(2024, 1, 1)  # of templates that tell the date: prompts are the same on any day


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
    if not answers.startswith(ends):
        raise TokenizerError(f"the chat template puts {answers!r} before an answer, and asks for one with {ends!r}")
    return Template(
        query=template.query + _as_pattern(ends),
        label=_as_pattern(answers[len(ends) :]) + template.label.lstrip(),
        separator=between,
        instruction=_without_own_start(tokenizer, opening),
    )


def _rendered(tokenizer: Any, instruction: str) -> str:
    system = [{"role": "system", "content": instruction}] if instruction else []
    turns = [("user", FIRST), ("assistant", ANSWER), ("user", SECOND)]
    messages = [*system, *({"role": role, "content": text} for role, text in turns)]
    how = {"tokenize": False, "add_generation_prompt": True, "strftime_now": DAY.strftime}
    try:
        return str(tokenizer.apply_chat_template(messages, **how))
    except Exception as error:  # a template raises what its author wrote
        why = " ".join(str(error).split())[:200]
        raise TokenizerError(f"the chat template takes no such messages ({why}); leave the instruction out") from None


def _as_pattern(text: str) -> str:
    return text.replace("{", "{{").replace("}", "}}")


def _without_own_start(tokenizer: Any, opening: str) -> str:
    """The text before the first message, without what the tokenizer puts before any text by itself."""
    own, _ = Tokens(tokenizer).around(FIRST)
    return opening.removeprefix(str(tokenizer.decode(own))) if own else opening
