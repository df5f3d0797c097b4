"""How adapters are tuned: the block `tune_lora` of params.yaml."""

from typing import Literal

from pydantic import Field

from workflow_scripts.lib.strict import Positive, Strict

MOST_TOKENS = 2048  # of a batch: what gains nothing more on a CPU
MOST_ON_GPU = 16_384  # there more gain: launches are paid a batch


class PrefixTuning(Strict):
    """What tuning keys and values has of its own; all else is as it is for adapters."""

    learning_rate: float = Field(
        0.02, gt=0, description="of AdamW: a step moves each number of keys and values by as much, and most are about 1"
    )


class FullTuning(Strict):
    """What full fine-tuning has of its own; all else is as it is for adapters."""

    learning_rate: float = Field(2e-4, gt=0, description="of AdamW; a tenth of what adapters take, or less")
    most_parameters: Positive = Field(
        200_000_000, description="of a model that may be tuned whole: 20 bytes of memory each, and 4 on disk a set"
    )


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
    prefix: PrefixTuning = PrefixTuning()
    full: FullTuning = FullTuning()
    tf32: bool = Field(
        True,
        description="on a GPU, products of tuning have 10 of float32's 23 bits (TF32), at several times the speed; "
        "states are read in full precision always. Without effect on a CPU",
    )
    recompute: bool = Field(
        False,
        description="of LoRA: what blocks keep for the way back is computed again there (gradient checkpointing): a "
        "third more work, for models of which memory holds too few tokens",
    )
    distilled_on: Positive = Field(32, description="texts of the pool on which an adapter learns to imitate")
    tokens_per_batch: Positive | Literal["auto"] = Field(
        description="bounds memory for activations; auto: 2,048, on a GPU 16,384, or what the job's share of memory is "
        "seen to hold"
    )
    adapters_at_once: Positive = Field(description="tuned side by side; bounds memory for their weights")

    @property
    def most_tokens_per_batch(self) -> int:
        """Tokens of a batch where memory does not bound them."""
        return MOST_TOKENS if self.tokens_per_batch == "auto" else self.tokens_per_batch

    def used_by(self, trains: str) -> "TuneLora":
        """The same, without what tuning of another kind alone looks at: that tunes nothing anew."""
        others = {"prefix": PrefixTuning(), "full": FullTuning()}
        used = {"prefix": "prefix", "model": "full"}.get(trains)
        return self.model_copy(update={key: plain for key, plain in others.items() if key != used})
