"""What a prepared model says of itself, for the report and for those who share out cores and memory.

`about.json` beside `model.json`: of the standard library and pydantic alone, as every start of Snakemake reads it.
"""

from pathlib import Path

from pydantic import BaseModel, ConfigDict

ABOUT = "about.json"


class About(BaseModel):
    """text: where the model and its weights come from, in words. parameters: its weights, tied ones once."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    text: str
    parameters: int

    def write(self, prepared: Path) -> None:
        """Put it into a prepared model's folder."""
        (prepared / ABOUT).write_text(self.model_dump_json(indent=1) + "\n", encoding="utf-8")


def read_about(prepared: Path) -> About:
    """What a prepared model says of itself; OSError where it says nothing, ValueError where that is damaged."""
    return About.model_validate_json((prepared / ABOUT).read_text(encoding="utf-8"))
