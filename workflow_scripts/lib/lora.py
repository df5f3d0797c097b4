"""Tuning one LoRA adapter on one set of demonstrations, and adapters on disk in peft's standard format."""

import json
import math
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model, get_peft_model_state_dict
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor
from torch.nn.functional import cross_entropy
from transformers import PreTrainedModel

from workflow_scripts.lib.prompts import TuningExample

IGNORED = -100

# peft's own affairs with transformers 6 and with GPT-2's transposed layers, which it handles itself.
warnings.filterwarnings("ignore", "`is_gradient_checkpointing` is deprecated", FutureWarning)
warnings.filterwarnings("ignore", "fan_in_fan_out is set to False", UserWarning)


class TuningError(RuntimeError):
    """Tuning that cannot be done or went wrong; the message says why and what to change."""


@dataclass(frozen=True)
class Tuning:
    """How an adapter is tuned.

    `target_modules`: "attention" (peft's choice for the architecture: query and value projections), "all-linear", or
    module names.
    """

    r: int
    alpha: int
    target_modules: str | list[str]
    learning_rate: float
    steps: int
    max_grad_norm: float

    def lora_config(self) -> LoraConfig:
        """As peft names it; no dropout, so that tuning and dump see the same network."""
        return LoraConfig(
            r=self.r,
            lora_alpha=self.alpha,
            target_modules=None if self.target_modules == "attention" else self.target_modules,
            lora_dropout=0.0,
            task_type="CAUSAL_LM",
        )


@dataclass(frozen=True)
class TunedAdapter:
    """An adapter's tensors under peft's names, with the loss before every step and after the last."""

    weights: dict[str, Tensor]
    losses: list[float]

    def norm(self, matrix: str) -> float:
        """Frobenius norm over all of the adapter's A or B matrices (`matrix` is "lora_A" or "lora_B")."""
        return math.sqrt(sum(float(t.double().square().sum()) for name, t in self.weights.items() if matrix in name))

    @property
    def moved(self) -> bool:
        """Did tuning do anything: B left zero and the loss fell."""
        return self.norm("lora_B") > 0 and self.losses[-1] < self.losses[0]


def tune(base: PreTrainedModel, examples: Sequence[TuningExample], tuning: Tuning, seed: int) -> TunedAdapter:
    """Tune an adapter on all examples at once, AdamW without weight decay; `base` is left as it was.

    The loss is the mean negative log-likelihood of the label tokens. Equal seeds give equal adapters.
    """
    torch.manual_seed(seed)
    model = adapted(base, tuning)
    trainable = [p for p in model.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(trainable, lr=tuning.learning_rate, weight_decay=0.0)
    batch = {name: t.to(base.device) for name, t in right_padded(examples).items()}
    losses: list[float] = []
    for _ in range(tuning.steps):
        loss = _loss(model, batch)
        losses.append(_finite(loss, len(losses)))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trainable, tuning.max_grad_norm)
        optimiser.step()
        optimiser.zero_grad()
    with torch.inference_mode():
        losses.append(_finite(_loss(model, batch), len(losses)))
    weights = {name: t.detach().cpu().clone() for name, t in get_peft_model_state_dict(model).items()}
    model.unload()
    return TunedAdapter(weights, losses)


def adapted(base: PreTrainedModel, tuning: Tuning) -> PeftModel:
    """`base` with a fresh adapter in it; TuningError where the architecture lacks the target modules."""
    try:
        return get_peft_model(base, tuning.lora_config())
    except ValueError as error:
        raise TuningError(f"tune_lora.target_modules: {error}; name linear modules of this architecture") from None


def _loss(model: PeftModel, batch: dict[str, Tensor]) -> Tensor:
    inputs = {name: t for name, t in batch.items() if name != "targets"}
    logits = model(**inputs, use_cache=False).logits.float()
    return cross_entropy(logits[:, :-1].flatten(0, 1), batch["targets"][:, 1:].flatten(), ignore_index=IGNORED)


def _finite(loss: Tensor, step: int) -> float:
    if not loss.isfinite():
        raise TuningError(f"the loss is {loss.item()} at step {step}; lower tune_lora.learning_rate")
    return loss.item()


def right_padded(examples: Sequence[TuningExample]) -> dict[str, Tensor]:
    """Token ids, mask and targets [example, token]; only label tokens are targets."""
    longest = max(len(one.prompt) + len(one.label) for one in examples)
    batch: dict[str, list[list[int]]] = {"input_ids": [], "attention_mask": [], "targets": []}
    for one in examples:
        length = len(one.prompt) + len(one.label)
        pad = longest - length
        batch["input_ids"].append([*one.prompt, *one.label, *[0] * pad])
        batch["attention_mask"].append([1] * length + [0] * pad)
        batch["targets"].append([IGNORED] * len(one.prompt) + list(one.label) + [IGNORED] * pad)
    tensors = {name: torch.tensor(rows) for name, rows in batch.items()}
    if not (tensors["targets"] != IGNORED).any():
        raise TuningError("no token is supervised: every label is empty")
    return tensors


@contextmanager
def with_adapter(base: PreTrainedModel, folder: Path) -> Iterator[None]:
    """Within the block `base` itself runs through the adapter, unmerged; after it, `base` is as it was.

    Callers keep using `base`: peft's wrapper has a forward of its own that hides which inputs the model takes.
    """
    try:
        model = PeftModel.from_pretrained(base, folder)
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise TuningError(f"{folder}: no adapter that fits this model: {error}") from None
    try:
        model.eval()
        yield
    finally:
        model.unload()


def save_adapter(adapter: TunedAdapter, tuning: Tuning, base: PreTrainedModel, folder: Path) -> None:
    """Write adapter_config.json and adapter_model.safetensors as peft does, with nothing that differs between runs."""
    folder.mkdir(parents=True)
    config = {**_adapted_config(base, tuning), "base_model_name_or_path": None}
    (folder / "adapter_config.json").write_text(json.dumps(config, indent=2, sort_keys=True, default=sorted) + "\n")
    save_file(adapter.weights, folder / "adapter_model.safetensors", metadata={"format": "pt"})


def _adapted_config(base: PreTrainedModel, tuning: Tuning) -> dict[str, Any]:
    model = adapted(base, tuning)
    config = model.peft_config["default"].to_dict()
    model.unload()
    return {**config, "inference_mode": True}
