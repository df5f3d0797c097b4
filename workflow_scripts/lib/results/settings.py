"""What params.yaml says of aggregate_similarity."""

from pydantic import Field

from workflow_scripts.lib.strict import Strict


class AggregateSimilarity(Strict):
    """Settings of the stage of that name."""

    confidence: float = Field(gt=0.5, lt=1, description="of intervals and bands")
    resamples: int = Field(ge=100, description="of the bootstrap")
