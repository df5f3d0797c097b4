"""How an example becomes text."""

import string
from collections.abc import Iterable, Mapping
from typing import Annotated, NamedTuple

from pydantic import AfterValidator, Field, field_validator, model_validator

from workflow_scripts.lib.strict import Strict


class Piece(NamedTuple):
    """A stretch of a pattern: text as it stands, or (with `field`) the place of a field's value."""

    text: str
    field: str | None = None


def pieces(pattern: str) -> list[Piece]:
    """The pieces of a pattern with fields in braces; `{{` and `}}` are braces.

    What stands in braces is a column's name as it is, dots and brackets included. Raises ValueError for braces that do
    not pair, and for a field without a name or with a conversion or format, which text has no use for.
    """
    found, text = [], ""
    for before, name, form, conversion in string.Formatter().parse(pattern):
        text += before
        if name is None:  # a brace of the text ends here, or the pattern
            continue
        if not name or form or conversion:
            raise ValueError("braces hold a column's name and no more: not {}, no `!` and no `:`")
        found += [Piece(text), Piece("", name)]
        text = ""
    return [piece for piece in [*found, Piece(text)] if piece.text or piece.field]


def filled(pattern: Iterable[Piece], fields: Mapping[str, str]) -> str:
    """The text of a pattern with its fields' values."""
    return "".join(piece.text if piece.field is None else fields[piece.field] for piece in pattern)


def placeholders(pattern: str) -> list[str]:
    """Names in braces, in order, each once."""
    return list(dict.fromkeys(piece.field for piece in pieces(pattern) if piece.field is not None))


def _word(value: str) -> str:
    if not value or value != value.strip():
        raise ValueError(
            "a label word is not empty and has no space around it; `template.label` has what stands before it"
        )
    return value


LabelWord = Annotated[str, AfterValidator(_word)]


class Rewording(Strict):
    """Another template: the parts of a data set's own that differ."""

    query: str | None = None
    label: str | None = None
    separator: str | None = None
    instruction: str | None = None
    chat: bool | None = None


class Template(Strict):
    """How an example becomes text; the pieces are tokenised one by one and joined as token ids."""

    query: str = Field(
        description="text fields in braces, each a column's name; {{ and }} are braces; ends where the label is to be "
        "predicted"
    )
    label: str = " {label}"
    separator: str = Field(
        "\n\n", description="between a demonstration and what follows it; as it stands, without fields"
    )
    instruction: str = Field("", description="before everything, in every condition; as it stands, without fields")
    chat: bool = Field(
        False,
        description="in the turns of the model's own chat template: a query is a user's message, its label the answer, "
        "an instruction the system's message; `separator` is then the chat template's",
    )

    def reworded(self, rewording: Rewording | None) -> "Template":
        """The template with some parts put otherwise; ValueError as for any template."""
        return Template(**self.model_dump() | rewording.model_dump(exclude_none=True)) if rewording else self

    @field_validator("label", "query")
    @classmethod
    def _is_a_pattern(cls, value: str) -> str:
        try:
            pieces(value)
        except ValueError as error:
            raise ValueError(f"{error}; a brace of the text is written twice, {{{{ or }}}}") from None
        return value

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

    @model_validator(mode="after")
    def _fields_stand_in_the_query(self) -> "Template":
        for key in ("instruction", "separator"):
            held = [name for name in [*placeholders(self.query), "label"] if f"{{{name}}}" in getattr(self, key)]
            if held:
                raise ValueError(f"{key} holds {{{held[0]}}}, and fields are filled in `query` and `label` alone")
        return self
