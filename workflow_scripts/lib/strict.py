"""Blocks of settings: unknown keys are errors, and values do not change after they were checked."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Positive = Annotated[int, Field(gt=0)]
Seed = Annotated[int, Field(ge=0, lt=2**63)]  # as numpy and torch take them


class Strict(BaseModel):
    """Unknown keys are errors; values do not change after they were checked."""

    model_config = ConfigDict(extra="forbid", frozen=True)
