"""A prefix encoded once, that every row of any later batch sees and none changes."""

from collections.abc import Sequence
from inspect import signature
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache, PreTrainedModel
from transformers.cache_utils import Cache, DynamicLayer, DynamicSlidingWindowLayer

from workflow_scripts.lib.errors import StudyError
from workflow_scripts.lib.forward.taps import head_at

Parts = Sequence[tuple[Tensor, Tensor]]  # keys and values of every layer, [1, head, token, d_head] each


class PrefixError(StudyError):
    """Keys and values that cannot stand where a prompt's own would."""


class FrozenLayer(DynamicLayer):
    """Keys and values [1, head, prefix, d_head] of a prefix; stores nothing of the rows that attend to them.

    transformers' own layer would keep a batch's keys, and the next batch would see them without any error.
    """

    def __init__(self, keys: Tensor, values: Tensor) -> None:
        super().__init__()
        self.lazy_initialization(keys, values)
        self.keys, self.values = keys, values
        self.prefix = keys, values
        self.joined = True

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        """The prefix's keys and values before those of every row: [row, head, prefix + token, d_head].

        The rows' own alone while attention itself looks up the prefix's.
        """
        if not self.joined:
            return key_states, value_states
        keys, values = (part.expand(key_states.shape[0], -1, -1, -1) for part in self.prefix)
        return torch.cat([keys, key_states], dim=-2), torch.cat([values, value_states], dim=-2)


class FrozenPrefix(Cache):
    """The frozen layers of one prefix."""

    def __init__(self, parts: Parts) -> None:
        self.parts = parts
        self.frozen = [FrozenLayer(keys, values) for keys, values in parts]
        super().__init__(layers=list(self.frozen))

    def exchanged(self, parts: Parts) -> "FrozenPrefix":
        """The same place in a prompt with other keys and values; PrefixError where they are of other shapes."""
        own, others = ([tuple(one.shape) for layer in some for one in layer] for some in (self.parts, parts))
        if own != others:
            raise PrefixError(
                f"keys and values are of {len(others) // 2} layers {others[:1]}, and the prompt's of {len(own) // 2} "
                f"layers {own[:1]}; tune them again on this model and these demonstrations"
            )
        pieces = zip(self.parts, parts, strict=True)
        return FrozenPrefix([(k.to(a), v.to(b)) for (a, b), (k, v) in pieces])

    def join(self, joined: bool) -> None:
        """Whether layers put the prefix's keys and values before those of the rows."""
        for layer in self.frozen:
            layer.joined = joined


@torch.inference_mode()
def encoded(model: PreTrainedModel, prefix: Sequence[int], longest: int) -> FrozenPrefix | None:
    """The prefix's frozen cache, for prompts of at most `longest` tokens; None where sharing it would be wrong.

    That is where the model keeps something else than the keys and values of all tokens (a state, a compressed or
    cropped memory), or attends to a window that a prompt exceeds.
    """
    ids = torch.tensor([prefix], device=model.device)
    with head_at(model, torch.tensor([0]), torch.tensor([len(prefix) - 1])):
        cache = getattr(model(input_ids=ids, use_cache=True), "past_key_values", None)
    layers: list[Any] = cache.layers if type(cache) is DynamicCache else []
    if not layers or not all(_holds_all(layer, longest) for layer in layers):
        return None
    return FrozenPrefix([(layer.keys, layer.values) for layer in layers])


def _holds_all(layer: Any, longest: int) -> bool:
    if type(layer) is DynamicSlidingWindowLayer:
        return layer.is_initialized and longest <= layer.sliding_window
    return type(layer) is DynamicLayer and layer.is_initialized


def takes_cache(model: PreTrainedModel) -> bool:
    """Does the model's forward take keys and values of earlier tokens at all."""
    return "past_key_values" in signature(model.forward).parameters and not model.config.is_encoder_decoder
