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


class FrozenWindow(FrozenLayer):
    """The same in a layer that attends to a window: only what the first token after the prefix sees of it.

    The model makes the mask itself, and is told where these keys stand as transformers' own layer would tell it.
    """

    is_sliding = True

    def __init__(self, keys: Tensor, values: Tensor, window: int) -> None:
        self.before = keys.shape[-2]
        self.kept = min(self.before, window - 1)  # the window holds the token itself
        super().__init__(*(part[..., self.before - self.kept :, :] for part in (keys, values)))

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """How many keys queries may meet, and the position of the first one."""
        return self.kept + query_length, self.before - self.kept

    def get_seq_length(self) -> int:
        """Tokens of the prefix, those that no query sees included."""
        return self.before


class FrozenPrefix(Cache):
    """The frozen layers of one prefix.

    windows: of each layer the tokens that it attends to, None for all of them.
    """

    def __init__(self, parts: Parts, windows: Sequence[int | None]) -> None:
        self.parts, self.windows = parts, windows
        self.frozen = [
            FrozenLayer(keys, values) if window is None else FrozenWindow(keys, values, window)
            for (keys, values), window in zip(parts, windows, strict=True)
        ]
        super().__init__(layers=list(self.frozen))

    @property
    def windowed(self) -> bool:
        """Is there a layer in which some token does not see all before it."""
        return any(window is not None for window in self.windows)

    def exchanged(self, parts: Parts) -> "FrozenPrefix":
        """The same place in a prompt with other keys and values; PrefixError where they are of other shapes."""
        own, others = ([tuple(one.shape) for layer in some for one in layer] for some in (self.parts, parts))
        if own != others:
            raise PrefixError(
                f"keys and values are of {len(others) // 2} layers {others[:1]}, and the prompt's of {len(own) // 2} "
                f"layers {own[:1]}; tune them again on this model and these demonstrations"
            )
        pieces = zip(self.parts, parts, strict=True)
        return FrozenPrefix([(k.to(a), v.to(b)) for (a, b), (k, v) in pieces], self.windows)

    def join(self, joined: bool) -> None:
        """Whether layers put the prefix's keys and values before those of the rows."""
        for layer in self.frozen:
            layer.joined = joined


@torch.inference_mode()
def encoded(
    model: PreTrainedModel, prefix: Sequence[int], longest: int, *, windows: bool = False
) -> FrozenPrefix | None:
    """The prefix's frozen cache, for prompts of at most `longest` tokens; None where sharing it would be wrong.

    That is where the model keeps something else than the keys and values of all tokens (a state, a compressed
    memory), or attends to a window that a prompt exceeds, unless the model allows `windows`.
    """
    ids = torch.tensor([prefix], device=model.device)
    own = {"past_key_values": _recording(model)} if windows else {}
    with head_at(model, torch.tensor([0]), torch.tensor([len(prefix) - 1])):
        cache = getattr(model(input_ids=ids, use_cache=True, **own), "past_key_values", None)
    layers: list[Any] = cache.layers if type(cache) is DynamicCache else []
    if not layers or not all(_holds_all(layer, len(prefix)) for layer in layers):
        return None
    sizes = [getattr(layer, "sliding_window", None) for layer in layers]
    exceeded = [window if window is not None and window < longest else None for window in sizes]
    # One mask serves all layers with a window.
    if any(exceeded) and (not windows or len({*exceeded} - {None}) > 1):
        return None
    return FrozenPrefix([(layer.keys, layer.values) for layer in layers], exceeded)


def _recording(model: PreTrainedModel) -> DynamicCache:
    """The cache that a model makes itself, but whose layers with a window keep all tokens."""
    cache = DynamicCache(config=model.config)
    for layer in cache.layers:
        if type(layer) is DynamicSlidingWindowLayer:
            layer.activate_past_recording()
    return cache


def _holds_all(layer: Any, tokens: int) -> bool:
    kept = type(layer) in (DynamicLayer, DynamicSlidingWindowLayer) and layer.is_initialized
    return kept and layer.keys.shape[-2] == tokens


def takes_cache(model: PreTrainedModel) -> bool:
    """Does the model's forward take keys and values of earlier tokens at all."""
    return "past_key_values" in signature(model.forward).parameters and not model.config.is_encoder_decoder
