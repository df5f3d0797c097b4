"""How adapters are tuned: the block `tune_lora` of params.yaml."""

from typing import Literal

from pydantic import Field

from workflow_scripts.lib.strict import Positive, Strict

MOST_TOKENS = 2048  # of a batch: what gains nothing more on a CPU


class TuneLora(Strict):
    """LoRA tuning of one adapter on one set of demonstrations.

    `tokens_per_batch` and `adapters_at_once` bound memory and change no result but by rounding.
    """

    r: Positive = Field(description="rank of an adapter's matrices")
    alpha: float = Field(gt=0, description="alpha / r scales the update")
    target_modules: Literal["attention", "feed-forward", "all-linear"] | list[str] = Field(
        description="modules that have adapters; attention: peft's choice for the architecture (query and value "
        "projections); all-linear: every linear one that all tokens run through, so no experts that are given some; "
        "feed-forward: those of all-linear that stand in no attention"
    )
    learning_rate: float = Field(gt=0, description="of AdamW: how strongly an adapter is tuned")
    steps: Positive = Field(description="of tuning; each sees all demonstrations of the set")
    max_grad_norm: float = Field(gt=0)
    distilled_on: Positive = Field(32, description="texts of the pool on which an adapter learns to imitate")
    tokens_per_batch: Positive | Literal["auto"] = Field(
        description="bounds memory for activations; auto: 2,048, or what the job's share of memory is seen to hold"
    )
    adapters_at_once: Positive = Field(description="tuned side by side; bounds memory for their weights")

    @property
    def most_tokens_per_batch(self) -> int:
        """Tokens of a batch where memory does not bound them."""
        return MOST_TOKENS if self.tokens_per_batch == "auto" else self.tokens_per_batch
