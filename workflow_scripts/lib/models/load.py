"""Models and tokenizers: what prepare_model pins, and how later stages load it.

`model.json` in a model's folder says where its weights are. The embedded model's stand beside it; those of a local
folder or of the hub stay where they are, pinned by digests of their files or by the hub's commit.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict

from workflow_scripts.lib.gpus import take_cards
from workflow_scripts.lib.models.blocks import draw_blocks
from workflow_scripts.lib.models.config import load_config, load_tokenizer
from workflow_scripts.lib.models.files import ModelError
from workflow_scripts.lib.models.weights import random_model, trained_model
from workflow_scripts.lib.progress import log

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

REFERENCE = "model.json"


class ModelReference(BaseModel):
    """Where a model's weights are and how they are loaded.

    Exactly one of `path` (a local folder) and `hub_id` with `commit` is set, or neither: then they stand beside this
    file. With `random_seed` weights are drawn anew from it: all of them, and only config and tokenizer are read, or
    those of the blocks.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    path: str | None = None
    hub_id: str | None = None
    commit: str | None = None
    files: dict[str, str] = {}
    dtype: str = "float32"
    precision: Literal["whole", "split"] = "whole"
    device: str = "auto"
    cards: int = 1
    allow_pickle: bool = False
    random_seed: int | None = None
    drawn: Literal["all", "blocks"] = "all"

    @property
    def takes_weights(self) -> bool:
        """Whether any weight is a checkpoint's."""
        return self.random_seed is None or self.drawn == "blocks"


@dataclass(frozen=True)
class LoadedModel:
    """A causal language model in eval mode, and its tokenizer."""

    model: "PreTrainedModel"
    tokenizer: "PreTrainedTokenizerBase"

    @property
    def precision(self) -> str:
        """What the model computes in, for the record: the type of its weights, or `split` (models/split.py)."""
        from workflow_scripts.lib.models.split import splits

        return "split" if splits(self.model) else str(self.model.dtype).removeprefix("torch.")

    def unembedding(self, tokens: Sequence[int]) -> np.ndarray:
        """What the model multiplies its last state with for some tokens, (tokens, d) float32.

        ModelError where its output is no matrix product.
        """
        weight = getattr(self.model.get_output_embeddings(), "weight", None)
        if weight is None:
            raise ModelError(f"{type(self.model).__name__} has no unembedding matrix, and its labels no directions")
        return weight[list(tokens)].detach().float().cpu().numpy()


def load_model(prepared: Path, device: str | None = None) -> LoadedModel:
    """Load a prepared model, in its own precision and with TF32 off; ModelError where that is impossible.

    `device` is another than the one that model.json names.
    """
    import torch

    from workflow_scripts.lib.models.split import split
    from workflow_scripts.lib.models.stored_halves import half_to_draw

    torch.set_float32_matmul_precision("highest")
    reference = read_reference(prepared)
    folder = locate(prepared, reference)
    asked = device or reference.device
    if asked in ("auto", "cuda"):
        take_cards(reference.cards)
    _check_device(asked)
    dtype, placement = getattr(torch, reference.dtype), device_map(asked)
    by_parts = reference.precision == "split"
    if reference.takes_weights:
        how = {"dtype": dtype, "device_map": placement, "by_parts": by_parts}
        # What goes to a GPU as it is stored is half as much, and a CPU takes longer than that to make float32 of it.
        narrow = dtype == torch.float32 and _gpus(asked) == 1
        try:
            model = trained_model(folder, allow_pickle=reference.allow_pickle, narrow=narrow, **how)
        except torch.OutOfMemoryError:
            raise _does_not_fit(folder, reference) from None
        if reference.random_seed is not None:
            draw_blocks(model, random_model(load_config(folder), reference.random_seed))
    else:
        model = random_model(load_config(folder), int(reference.random_seed or 0)).to(dtype)
        if by_parts:
            split(model, half_to_draw(model.config))
        model = model.to(_one_device(placement))
    if any(parameter.is_meta for parameter in model.parameters()):
        raise _does_not_fit(folder, reference)
    return LoadedModel(model.eval(), load_tokenizer(folder))


def _does_not_fit(folder: Path, reference: ModelReference) -> ModelError:
    held = "16 bits" if reference.precision == "split" else reference.dtype
    return ModelError(
        f"{folder}: the GPUs do not hold the whole model in {held}, and running it from disk or main memory "
        "layer by layer would take weeks; use more GPUs (`cards`), a smaller `dtype`, or `device: cpu`"
    )


def in_float32(model: "PreTrainedModel", prepared: Path) -> "PreTrainedModel":
    """The weights of a loaded model in float32, which is exact; `model` is used up.

    Where GPUs do not hold them, on the CPU, from the prepared model.
    """
    import torch

    try:
        return model.float()
    except torch.OutOfMemoryError:
        log("the GPUs do not hold the model in float32: its anchor runs on the CPU")
        return load_model(prepared, device="cpu").model.float()


def read_reference(prepared: Path) -> ModelReference:
    """Read model.json of a prepared model; ModelError where it is missing or damaged."""
    path = prepared / REFERENCE
    try:
        return ModelReference.model_validate_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} cannot be read ({error}); delete {prepared} and run again") from None


def locate(prepared: Path, reference: ModelReference) -> Path:
    """Folder with config, tokenizer and weights; a hub model comes from its cache, or is fetched into it."""
    if reference.hub_id:
        from workflow_scripts.lib.models.hub import snapshot

        weights = reference.takes_weights
        return snapshot(reference.hub_id, str(reference.commit), weights=weights, allow_pickle=reference.allow_pickle)
    return Path(reference.path) if reference.path else prepared


def device_map(device: str) -> Any:
    """What accelerate takes: `auto` spreads over the GPUs that are there, or stays on the CPU."""
    import torch

    if device == "auto":
        return "auto" if torch.cuda.is_available() else {"": "cpu"}
    return {"": device}


def _check_device(device: str) -> None:
    import torch

    try:
        torch.empty(1, device="cpu" if device == "auto" else device)
    except (RuntimeError, AssertionError) as error:  # torch asserts that it was built for the device
        raise ModelError(
            f"device {device} cannot be used here ({str(error).splitlines()[0]}); name another `device` for the "
            "model in params.yaml, such as auto or cpu"
        ) from None


def _gpus(asked: str) -> int:
    """How many GPUs a model may be on."""
    import torch

    if asked == "auto":
        return torch.cuda.device_count() if torch.cuda.is_available() else 0
    return int(asked.startswith("cuda"))


def _one_device(placement: Any) -> str:
    return str(placement[""]) if isinstance(placement, dict) else "cuda"
