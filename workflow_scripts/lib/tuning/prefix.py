"""Tuning the keys and values of a prompt's demonstrations: it starts as ICL, and nothing else of the model changes.

Prefix tuning (Li and Liang 2021) that begins with what the model itself makes of a text, as in Cartridges (Eyuboglu et
al. 2025, arXiv 2506.06266), whose file format in peft is that of tuning/prefix_file.py.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from transformers import PreTrainedModel

from workflow_scripts.lib.forward.allowed import found_ways
from workflow_scripts.lib.forward.rope_lengths import check_lengths, turns_after
from workflow_scripts.lib.forward.shared_prefix import FrozenPrefix, Parts, encoded
from workflow_scripts.lib.forward.ways import Ways, inputs_on
from workflow_scripts.lib.lora.batches import Batch, tokens_of
from workflow_scripts.lib.lora.config import TuningError
from workflow_scripts.lib.lora.settings import TuneLora
from workflow_scripts.lib.lora.stack import frozen
from workflow_scripts.lib.lora.tf32 import in_tf32
from workflow_scripts.lib.lora.train import Case, batched, finite

RATE = "tune_lora.prefix.learning_rate"  # what to lower where a loss is not finite


@dataclass(frozen=True)
class TunedPrefix:
    """Keys and values of every layer, with the loss before every step and after the last.

    parts: (keys, values) of each layer, [1, head, token, d_head] in float32 at least, on the CPU.
    fixed: so many tokens at the start are as the model made them.
    distance: root of the summed squares by which keys and values left where they started.
    on_the_way: step -> the same after it, of the steps that were to be kept.
    """

    parts: Parts
    fixed: int
    distance: float
    losses: list[float]
    on_the_way: "dict[int, TunedPrefix]" = field(default_factory=dict)

    def summary(self) -> dict[str, Any]:
        """What tuning.parquet says of it; it has no matrices A and B."""
        return {"losses": self.losses, "moved": self.distance > 0 and self.losses[-1] < self.losses[0]}


def tune_prefixes(
    base: PreTrainedModel,
    cases: Sequence[Case],
    tuning: TuneLora,
    progress: Callable[[int, str], None] = lambda count, note: None,
    kept_steps: Sequence[int] = (),
) -> Iterator[TunedPrefix]:
    """Tune the keys and values of what every case shows, one case after the other; `base` is left as it was.

    They start as what the model makes of `case.shown`, so that before the first step this is ICL. Loss, clipping and
    optimiser are those of adapters (lora/train.py), the learning rate is `tuning.prefix`'s own; examples continue after
    the prefix. The first `case.fixed` tokens
    (what stands before the demonstrations, where much attention rests) keep their keys and values. TuningError where
    the architecture has none that rows can share, and with the case's name where a loss is not finite.
    """
    ways = replace(found_ways(base), folding=False)
    for case in cases:
        try:
            yield _tuned(base, ways, case, tuning, progress, kept_steps)
        except torch.OutOfMemoryError:
            raise TuningError(
                f"{case.name}: memory does not hold the keys and values of {len(case.shown)} tokens, their optimiser "
                f"and a batch of examples; lower tune_lora.tokens_per_batch (is {tuning.most_tokens_per_batch})"
            ) from None


def _tuned(
    base: PreTrainedModel,
    ways: Ways,
    case: Case,
    tuning: TuneLora,
    progress: Callable[[int, str], None],
    kept_steps: Sequence[int],
) -> TunedPrefix:
    prefix = TrainedPrefix(base, ways, case)
    batches = batched(base, [case], tuning.most_tokens_per_batch)
    optimiser = torch.optim.AdamW(prefix.trained, lr=tuning.prefix.learning_rate, weight_decay=0.0)
    losses: list[float] = []
    kept: dict[int, TunedPrefix] = {}
    with frozen(base), in_tf32(base, tuning):
        for step in range(tuning.steps):
            losses += finite("loss", prefix.loss(batches, backward=True), [case], step, RATE)
            norm = torch.nn.utils.clip_grad_norm_(prefix.trained, tuning.max_grad_norm)
            finite("gradient's norm", norm[None], [case], step, RATE)
            optimiser.step()
            optimiser.zero_grad()
            if step + 1 in kept_steps:
                kept[step + 1] = prefix.kept(losses)
            progress(1, f"{case.name}: loss {losses[0]:.3f} to {losses[-1]:.3f}")
        with torch.no_grad():
            losses += finite("loss", prefix.loss(batches), [case], tuning.steps, RATE)
    on_the_way = {step: replace(then, losses=losses[: step + 1]) for step, then in kept.items()}
    return replace(prefix.kept(losses), on_the_way=on_the_way)


class TrainedPrefix:
    """The keys and values of a case's prefix; those after the fixed tokens are trained, in float32 at least."""

    def __init__(self, base: PreTrainedModel, ways: Ways, case: Case) -> None:
        self.base, self.ways, self.fixed = base, ways, case.fixed
        self.past = shared(base, ways, case.shown, max(map(len, map(tokens_of, case.examples))))
        self.dtype = torch.promote_types(base.dtype, torch.float32)
        # Clones, as what is made in inference mode can have no gradient.
        self.started = [tensor.clone() for layer in self.past.parts for tensor in layer]
        self.trained = [one[..., self.fixed :, :].to(self.dtype, copy=True).requires_grad_() for one in self.started]

    def parts(self) -> Parts:
        """Keys and values of each layer, in the model's precision."""
        joined = [
            torch.cat([start[..., : self.fixed, :], own.to(start.dtype)], dim=-2)
            for start, own in zip(self.started, self.trained, strict=True)
        ]
        return list(zip(joined[::2], joined[1::2], strict=True))

    def loss(self, batches: Sequence[Batch], backward: bool = False) -> Float[Tensor, " 1"]:
        """The mean over supervised tokens; with `backward`, gradients are added up as well."""
        total = torch.zeros(1, dtype=self.dtype, device=self.base.device)
        for batch in batches:
            inputs = inputs_on(self.base, self.ways, self.past.exchanged(self.parts()), batch.ids)
            share = (batch.losses(self.base, **inputs) * batch.weights).sum()
            if backward:
                share.backward()
            total += share.detach()
        return total

    def kept(self, losses: list[float]) -> TunedPrefix:
        """What there is of it now, on the CPU."""
        pieces = list(zip(self.started, self.trained, strict=True))
        with torch.no_grad():
            squares = [(own - start[..., self.fixed :, :]).double().square().sum().item() for start, own in pieces]
            whole = [torch.cat([a[..., : self.fixed, :].to(b), b], dim=-2).cpu() for a, b in pieces]
        return TunedPrefix(
            list(zip(whole[::2], whole[1::2], strict=True)), self.fixed, sum(squares) ** 0.5, list(losses)
        )


def shared(base: PreTrainedModel, ways: Ways, shown: Sequence[int], longest_row: int) -> FrozenPrefix:
    """Keys and values of ids that rows of up to so many tokens run on; TuningError where they cannot share them."""
    longest = len(shown) + longest_row
    check_lengths(base.config, [longest])
    shares = ways.sharing and not turns_after(base.config, len(shown), longest)
    past = encoded(base, shown, longest, windows=ways.windows) if shares else None
    if past is None:
        raise TuningError(
            f"{type(base).__name__} has no keys and values of a prefix that prompts of {longest} tokens can share, so "
            "there is nothing to tune in their place; leave `prefix` out of `arms`"
        )
    return past
