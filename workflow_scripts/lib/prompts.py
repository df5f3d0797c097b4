"""Prompts as token ids. Imports nothing of ours."""

import string

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
