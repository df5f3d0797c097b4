"""What is compared: the block `compare_hidden_states` of params.yaml."""

from typing import Literal

from pydantic import field_validator

from workflow_scripts.lib.measures import MEASURES
from workflow_scripts.lib.measures.contrasts import CONTRASTS, OTHER_DRAW, OTHER_LABEL, OWN
from workflow_scripts.lib.measures.kinds import Derived
from workflow_scripts.lib.strict import Strict

CONTROLLED = (OWN, OTHER_DRAW, OTHER_LABEL)
CHOOSABLE = tuple(measure for measure in MEASURES if not isinstance(measure, Derived))


class CompareHiddenStates(Strict):
    """How arms are matched, and what is measured of the matches; noise is measured always."""

    contrasts: list[Literal[tuple(contrast.name for contrast in CONTRASTS)]]  # type: ignore[valid-type]
    measures: list[Literal[tuple(measure.name for measure in CHOOSABLE)]]  # type: ignore[valid-type]

    @field_validator("contrasts", "measures")
    @classmethod
    def _once(cls, names: list[str]) -> list[str]:
        if len(set(names)) < len(names):
            raise ValueError("must name each once")
        return names

    @field_validator("contrasts")
    @classmethod
    def _controlled(cls, names: list[str]) -> list[str]:
        lacking = [contrast.name for contrast in CONTROLLED if contrast.name not in names]
        if lacking:
            raise ValueError(f"must name {', '.join(lacking)}: no similarity is told without its controls")
        return names
