"""Tuning one adapter on every set of demonstrations, many side by side and each as if it were alone."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import PreTrainedModel

from workflow_scripts.lib.forward.rope_lengths import check_lengths, turning_point
from workflow_scripts.lib.forward.token_batches import batches
from workflow_scripts.lib.lora.batches import Batch, Example, batch_of, supervised, tokens_of
from workflow_scripts.lib.lora.config import TunedAdapter, TuningError, fresh_weights
from workflow_scripts.lib.lora.memory import tokens_at_once
from workflow_scripts.lib.lora.recompute import recomputed
from workflow_scripts.lib.lora.settings import TuneLora
from workflow_scripts.lib.lora.stack import Stack, StackError
from workflow_scripts.lib.lora.tf32 import in_tf32


@dataclass(frozen=True)
class Case:
    """One adapter to tune; `name` says in errors whose it is.

    shown: ids that stand before every example, where it is their keys and values that are tuned, and not the model.
    fixed: so many of them keep theirs.
    """

    name: str
    examples: Sequence[Example]
    seed: int
    shown: Sequence[int] = ()
    fixed: int = 0

    @property
    def supervised_tokens(self) -> int:
        """Tokens of all examples that have a loss."""
        return sum(map(supervised, self.examples))


def tune(
    base: PreTrainedModel,
    cases: Sequence[Case],
    tuning: TuneLora,
    progress: Callable[[int, str], None] = lambda count, note: None,
    kept_steps: Sequence[int] = (),
) -> Iterator[TunedAdapter]:
    """Tune an adapter for every case, in order; `base` is left as it was.

    Every step of an adapter sees all of its examples. Its loss is the mean over their tokens that have one
    (lora/batches.py), its gradient is clipped by its own norm, AdamW has no weight decay. Equal seeds give equal
    adapters. After `kept_steps` an adapter is kept as it is then. `progress` is told how many adapters made a step.
    TuningError names the case whose loss or gradient is not finite.
    """
    for case in cases:
        if not case.supervised_tokens:
            raise TuningError(f"{case.name}: no token is supervised: every label is empty")
    for start in range(0, len(cases), tuning.adapters_at_once):
        try:
            yield from _side_by_side(base, cases[start : start + tuning.adapters_at_once], tuning, progress, kept_steps)
        except StackError as error:
            raise TuningError(f"tune_lora.target_modules: {error}; leave it out") from None
        except torch.OutOfMemoryError:
            raise TuningError(
                "memory does not hold the adapters and a batch of their examples; lower tune_lora.adapters_at_once "
                f"(is {tuning.adapters_at_once}) or tune_lora.tokens_per_batch (is {tuning.tokens_per_batch})"
            ) from None


def _side_by_side(
    base: PreTrainedModel,
    cases: Sequence[Case],
    tuning: TuneLora,
    progress: Callable[[int, str], None],
    kept_steps: Sequence[int],
) -> list[TunedAdapter]:
    stack = Stack(base, fresh_weights(base, tuning, [case.seed for case in cases]), tuning.alpha / tuning.r)
    examples = [one for case in cases for one in case.examples]
    made = batched(base, cases, tokens_at_once(stack, examples, tuning))
    losses: list[list[float]] = []
    kept: dict[int, list[dict[str, Tensor]]] = {}
    # One AdamW over the stack is one for each adapter, because it works element by element.
    optimiser = torch.optim.AdamW(stack.weights.values(), lr=tuning.learning_rate, weight_decay=0.0)
    with stack.attached(), recomputed(base, tuning), in_tf32(base, tuning):
        for step in range(tuning.steps):
            losses.append(finite("loss", _summed(stack, made, backward=True), cases, step))
            finite("gradient's norm", stack.clip(tuning.max_grad_norm), cases, step)
            optimiser.step()
            optimiser.zero_grad()
            if step + 1 in kept_steps:
                kept[step + 1] = [stack.adapter(i) for i in range(len(cases))]
            progress(len(cases), f"loss {_mean(losses[0]):.3f} to {_mean(losses[-1]):.3f}")
        with torch.inference_mode():
            losses.append(finite("loss", _summed(stack, made), cases, tuning.steps))
    return [
        TunedAdapter(
            stack.adapter(i),
            [step[i] for step in losses],
            {step: TunedAdapter(then[i], [one[i] for one in losses[: step + 1]]) for step, then in kept.items()},
        )
        for i in range(len(cases))
    ]


def batched(base: PreTrainedModel, cases: Sequence[Case], tokens_per_batch: int) -> list[Batch]:
    """The examples of all cases in batches of rows of about the same length, on the base's device."""
    rows = [(owner, one) for owner, case in enumerate(cases) for one in case.examples]
    lengths = [len(tokens_of(one)) for _, one in rows]
    shares = [1 / case.supervised_tokens for case in cases]
    check_lengths(base.config, lengths)
    turn = turning_point(base.config)
    made = batches(lengths, tokens_per_batch, [] if turn is None else [turn])
    return [batch_of(base, [rows[i] for i in batch], shares) for batch in made]


def _summed(stack: Stack, made: Sequence[Batch], backward: bool = False) -> Tensor:
    return torch.stack([stack.losses(batch, backward) for batch in made]).sum(0)


def finite(
    what: str, values: Tensor, cases: Sequence[Case], step: int, lower: str = "tune_lora.learning_rate"
) -> list[float]:
    """The values [case]; TuningError with the first case whose value is not finite, and the setting to `lower`."""
    found = values.tolist()
    for case, value in zip(cases, found, strict=True):
        if not math.isfinite(value):
            raise TuningError(f"{case.name}: the {what} is {value} at step {step}; lower {lower}")
    return found


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
