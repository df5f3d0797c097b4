"""Full fine-tuning: every weight of the model is tuned, and what is kept is by how much each one changed."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor
from transformers import PreTrainedModel

from workflow_scripts.lib.lora.batches import Batch
from workflow_scripts.lib.lora.config import TuningError
from workflow_scripts.lib.lora.settings import TuneLora
from workflow_scripts.lib.lora.tf32 import in_tf32
from workflow_scripts.lib.lora.train import Case, batched, finite
from workflow_scripts.lib.tuning.deltas import DELTAS

RATE = "tune_lora.full.learning_rate"  # what to lower where a loss is not finite


@dataclass(frozen=True)
class TunedModel:
    """Parameter -> by how much it changed, float32 at least, on the CPU; the loss before every step and after the last.

    `on_the_way`: step -> the same after it, of the steps that were to be kept.
    """

    deltas: Mapping[str, Tensor]
    losses: list[float]
    on_the_way: "dict[int, TunedModel]" = field(default_factory=dict)

    def summary(self) -> dict[str, Any]:
        """What tuning.parquet says of it; it has no matrices A and B."""
        changed = any(bool(delta.any()) for delta in self.deltas.values())
        return {"losses": self.losses, "moved": changed and self.losses[-1] < self.losses[0]}


def tune_all(
    base: PreTrainedModel,
    cases: Sequence[Case],
    tuning: TuneLora,
    progress: Callable[[int, str], None] = lambda count, note: None,
    kept_steps: Sequence[int] = (),
) -> Iterator[TunedModel]:
    """Tune the whole model on every case, one after the other; between cases and after them `base` is as it was.

    Loss, clipping and optimiser are those of adapters (lora/train.py), the learning rate is `tuning.full`'s own. A
    model of lower precision is tuned in float32, which holds its weights exactly. It takes five times the weights'
    memory: what they were, what they become, gradient and two moments. TuningError for a model with more parameters
    than `tuning.full` allows, and with the case's name where a loss is not finite.
    """
    check_size(base, tuning)
    for case in cases:
        try:
            with _trainable(base) as start, in_tf32(base, tuning):
                made = _tuned(base, start, case, tuning, progress, kept_steps)
        except torch.OutOfMemoryError:
            raise TuningError(
                f"{case.name}: memory does not hold the weights, their gradient, two moments and a batch; lower "
                f"tune_lora.tokens_per_batch (is {tuning.most_tokens_per_batch}), or leave `full` out of `arms`"
            ) from None
        yield made


def check_size(model: PreTrainedModel, tuning: TuneLora) -> None:
    """TuningError for a model with too many parameters; `model` may be on `meta`."""
    count, most = sum(parameter.numel() for parameter in model.parameters()), tuning.full.most_parameters
    if count > most:
        raise TuningError(
            f"{type(model).__name__} has {count:,} parameters, and full fine-tuning takes 20 bytes of memory for each "
            f"and 4 on disk for each and set: leave `full` out of `arms`, or raise tune_lora.full.most_parameters (is "
            f"{most:,})"
        )


def save_deltas(deltas: Mapping[str, Tensor], folder: Path) -> None:
    """Write them as safetensors, equal work to equal bytes."""
    folder.mkdir(parents=True)
    save_file({name: delta.contiguous() for name, delta in deltas.items()}, folder / DELTAS, metadata={"format": "pt"})


def _tuned(
    base: PreTrainedModel,
    start: Mapping[str, Tensor],
    case: Case,
    tuning: TuneLora,
    progress: Callable[[int, str], None],
    kept_steps: Sequence[int],
) -> TunedModel:
    parameters, made = list(base.parameters()), batched(base, [case], tuning.most_tokens_per_batch)
    optimiser = torch.optim.AdamW(parameters, lr=tuning.full.learning_rate, weight_decay=0.0)
    losses: list[float] = []
    kept: dict[int, dict[str, Tensor]] = {}
    for step in range(tuning.steps):
        losses += finite("loss", _loss(base, made, backward=True), [case], step, RATE)
        norm = torch.nn.utils.clip_grad_norm_(parameters, tuning.max_grad_norm)
        finite("gradient's norm", norm[None], [case], step, RATE)
        optimiser.step()
        optimiser.zero_grad()
        if step + 1 in kept_steps:
            kept[step + 1] = _deltas(base, start)
        progress(1, f"{case.name}: loss {losses[0]:.3f} to {losses[-1]:.3f}")
    with torch.no_grad():
        losses += finite("loss", _loss(base, made), [case], tuning.steps, RATE)
    on_the_way = {step: TunedModel(then, losses[: step + 1]) for step, then in kept.items()}
    return TunedModel(_deltas(base, start), losses, on_the_way)


def _loss(base: PreTrainedModel, made: Sequence[Batch], backward: bool = False) -> Tensor:
    """The mean over supervised tokens, [1]; with `backward`, gradients are added up as well."""
    total = torch.zeros(1, dtype=base.dtype, device=base.device)
    for batch in made:
        share = (batch.losses(base) * batch.weights).sum()
        if backward:
            share.backward()
        total += share.detach()
    return total


def _deltas(base: PreTrainedModel, start: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: (one.detach() - start[name]).cpu() for name, one in base.named_parameters()}


@contextmanager
def _trainable(base: PreTrainedModel) -> Iterator[dict[str, Tensor]]:
    """Within the block all weights may be changed, in float32 at least; gives what they were, and puts it back."""
    held = [(one, one.data) for one in (*base.parameters(), *base.buffers()) if one.is_floating_point()]
    asked = [(one, one.requires_grad) for one in base.parameters()]
    start = {name: one.data for name, one in base.named_parameters()}
    for one, before in held:
        one.data = before.to(torch.promote_types(before.dtype, torch.float32), copy=True)
    base.requires_grad_(True)
    try:
        yield start
    finally:
        for one, before in held:
            one.data = before
        for one, required in asked:
            one.requires_grad_(required)
            one.grad = None
