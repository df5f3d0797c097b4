"""How LoRA adapters are tuned and what tuning gives; adapters written in peft's standard format."""

import json
import math
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, cast

import torch
from peft import LoraConfig, PeftModel, get_peft_model, get_peft_model_state_dict
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers import PreTrainedModel

from workflow_scripts.lib import machine
from workflow_scripts.lib.errors import StudyError
from workflow_scripts.lib.lora.files import CONFIG, PREFIX, WEIGHTS, A, AdapterError, B, matrices
from workflow_scripts.lib.lora.settings import TuneLora
from workflow_scripts.lib.lora.targets import all_linear, feed_forward, is_linear, linear_modules

# peft's own affairs with transformers 6 and with GPT-2's transposed layers, which it handles itself.
warnings.filterwarnings("ignore", "`is_gradient_checkpointing` is deprecated", FutureWarning)
warnings.filterwarnings("ignore", "fan_in_fan_out is set to False", UserWarning)


class TuningError(StudyError):
    """Tuning that cannot be done or went wrong; the message says why and what to change."""


def lora_config(base: PreTrainedModel, tuning: TuneLora) -> LoraConfig:
    """As peft names it; no dropout, so that tuning and dump see the same network."""
    targets = {"attention": lambda _: None, "feed-forward": feed_forward, "all-linear": all_linear}
    asked = tuning.target_modules
    return LoraConfig(
        r=tuning.r,
        lora_alpha=cast(int, tuning.alpha),  # peft divides it, and takes any number
        target_modules=targets[asked](base) if isinstance(asked, str) else asked,
        lora_dropout=0.0,
        task_type="CAUSAL_LM",
    )


@dataclass(frozen=True)
class TunedAdapter:
    """An adapter's tensors under peft's names, with the loss before every step and after the last.

    `on_the_way`: step -> the adapter as it was after it, of the steps that were to be kept.
    """

    weights: dict[str, Tensor]
    losses: list[float]
    on_the_way: "dict[int, TunedAdapter]" = field(default_factory=dict)

    def norm(self, matrix: str) -> float:
        """Frobenius norm over all of the adapter's A or B matrices (`matrix` is "lora_A" or "lora_B")."""
        return math.sqrt(sum(float(t.double().square().sum()) for name, t in self.weights.items() if matrix in name))

    @property
    def moved(self) -> bool:
        """Did tuning do anything: B left zero and the loss fell."""
        return self.norm("lora_B") > 0 and self.losses[-1] < self.losses[0]

    def summary(self) -> dict[str, Any]:
        """What tuning.parquet says of it."""
        norms = {"norm_a": self.norm("lora_A"), "norm_b": self.norm("lora_B")}
        return {"losses": self.losses, **norms, "moved": self.moved}


@contextmanager
def adapted(base: PreTrainedModel, tuning: TuneLora) -> Iterator[PeftModel]:
    """`base` wrapped by peft with a fresh adapter; after the block it is as it was.

    TuningError where the architecture lacks the target modules, or has them in another kind than linear.
    """
    trained = [(p, p.requires_grad) for p in base.parameters()]
    choice = ", ".join(dict.fromkeys(name.rpartition(".")[2] for name in linear_modules(base)))
    try:
        model = get_peft_model(base, lora_config(base, tuning))
    except ValueError as error:
        what = f"peft knows no {type(base).__name__} to choose for" if tuning.target_modules == "attention" else error
        raise TuningError(f"tune_lora.target_modules: {what}; name linear modules, here of {choice}") from None
    try:
        for name in matrices(get_peft_model_state_dict(model, save_embedding_layers=False)):
            _check_linear(model.get_base_model().get_submodule(name), name)
        yield model
    except AdapterError as error:
        raise TuningError(f"tune_lora.target_modules: {error}") from None
    finally:
        model.unload()
        for parameter, required in trained:
            parameter.requires_grad_(required)


def _check_linear(wrapped: Any, name: str) -> None:
    module = wrapped.get_base_layer()
    if not is_linear(module):
        raise AdapterError(f"only linear modules can be adapted, and {name} is a {type(module).__name__}; leave it out")


def fresh_weights(base: PreTrainedModel, tuning: TuneLora, seeds: Sequence[int]) -> list[dict[str, Tensor]]:
    """What peft initialises an adapter to after `torch.manual_seed`, for each seed, under peft's names."""
    first = _peft_weights(base, tuning, seeds[0])
    with ThreadPoolExecutor(machine.cores()) as pool:  # each seed has a generator of its own
        drawn = list(pool.map(partial(_drawn, base, first), seeds))
    # Drawing is fast and wrapping a large model is not; but what peft draws is peft's to say.
    if all(torch.equal(first[name], drawn[0][name]) for name in first):
        return drawn
    return [_peft_weights(base, tuning, seed) for seed in seeds]


def _peft_weights(base: PreTrainedModel, tuning: TuneLora, seed: int) -> dict[str, Tensor]:
    torch.manual_seed(seed)
    with adapted(base, tuning) as model:
        return {
            name: t.detach().cpu().clone()
            for name, t in get_peft_model_state_dict(model, save_embedding_layers=False).items()
        }


def _drawn(base: PreTrainedModel, like: dict[str, Tensor], seed: int) -> dict[str, Tensor]:
    """The draws of peft in its order: two linear layers as torch makes them, then A anew; B is zero.

    Of what is drawn anew only the generator's steps are taken: one a number, whatever its range.
    """
    dice = torch.Generator().manual_seed(seed)
    weights: dict[str, Tensor] = {}
    for name, (a, b) in matrices(like).items():
        torch.empty(a.numel() + b.numel()).uniform_(generator=dice)
        first = nn.init.kaiming_uniform_(torch.empty(a.shape), a=math.sqrt(5), generator=dice)
        dtype = next(base.get_submodule(name).parameters()).dtype  # peft goes through it
        weights[f"{PREFIX}{name}{A}"] = first.to(dtype).to(a.dtype)
        weights[f"{PREFIX}{name}{B}"] = torch.zeros_like(b)
    return weights


def adapter_config(base: PreTrainedModel, tuning: TuneLora) -> str:
    """adapter_config.json of every adapter of this base and tuning, with nothing that differs between runs."""
    with adapted(base, tuning) as model:
        config = model.peft_config["default"].to_dict()
    fixed = {**config, "base_model_name_or_path": None, "inference_mode": True}
    return json.dumps(fixed, indent=2, sort_keys=True, default=sorted) + "\n"


def save_adapter(adapter: TunedAdapter, config: str, folder: Path) -> None:
    """Write adapter_config.json (`config`) and adapter_model.safetensors as peft does, equal work to equal bytes."""
    folder.mkdir(parents=True)
    (folder / CONFIG).write_text(config, encoding="utf-8")
    save_file(adapter.weights, folder / WEIGHTS, metadata={"format": "pt"})
