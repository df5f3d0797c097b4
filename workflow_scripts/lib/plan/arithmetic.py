"""What a token costs a model: FLOPs, keys and values, activations that tuning keeps; counted on torch's meta device.

Nothing is computed and no weight has memory: torch counts the products of one forward, or one forward and back, of the
architecture as it is. Two lengths tell what grows with a token from what grows with each that it attends to.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch.autograd.graph import saved_tensors_hooks
from torch.utils.flop_counter import FlopCounterMode
from transformers import PreTrainedModel

from workflow_scripts.lib.lora.config import adapted
from workflow_scripts.lib.lora.settings import TuneLora
from workflow_scripts.lib.models.weights import empty_model

LENGTHS = (32, 96)


class Cost(NamedTuple):
    """What grows with a token, and with every token that one attends to."""

    token: float
    attended: float

    def of(self, tokens: float, attended: float) -> float:
        """Of so many tokens that attend to so many."""
        return self.token * tokens + self.attended * attended


class Reading(NamedTuple):
    """A forward: numbers of weights, and of those that a checkpoint is loaded with; `flops` without the LM head.

    layers: states of a token, embeddings too. head: FLOPs of one position. cache: keys and values of a token.
    """

    weights: int
    layers: int
    width: int
    head: float
    flops: Cost
    cache: float


class Tuning(NamedTuple):
    """A forward and back through an adapter: FLOPs, numbers that are kept between the two, the adapter's weights."""

    flops: Cost
    kept: Cost
    weights: int
    tensors: int


def reading(config: Any) -> Reading:
    """Counted for the architecture of a config."""
    model = empty_model(config).eval()
    head = model.get_output_embeddings().weight
    tied = model.get_input_embeddings().weight is head
    weights = sum(parameter.numel() for parameter in model.parameters())
    cache: list[float] = []

    def count(length: int) -> float:
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            made = _run(model, length)
        layers = getattr(made.past_key_values, "layers", [])
        cache.append(sum(one.keys.numel() + one.values.numel() for one in layers if hasattr(one, "keys")) / length)
        return counter.get_total_flops()

    text = config.get_text_config(decoder=True)
    try:
        flops = _cost(count)
    except RuntimeError:  # experts that are chosen by what tokens are: as many of them as a token is given
        flops, cache = Cost(2.0 * _active(model, text) - (0 if tied else 2.0 * head.numel()), 0.0), [0.0]
    return Reading(weights, text.num_hidden_layers + 1, text.hidden_size, 2.0 * head.numel(), flops, cache[-1])


def tuning(config: Any, settings: TuneLora) -> Tuning:
    """Counted for an architecture and where its adapters are; TuningError where it lacks the modules."""
    base = empty_model(config).eval()
    kept: list[float] = []
    with adapted(base, settings) as model:
        own = [parameter.numel() for parameter in model.parameters() if parameter.requires_grad]
        inner: Any = model.get_base_model()
        there = {_storage(parameter) for parameter in model.parameters()}

        def count(length: int) -> float:
            saved: dict[int, torch.Tensor] = {}

            def keep(tensor: torch.Tensor) -> torch.Tensor:
                if _storage(tensor) not in there:
                    saved[_storage(tensor)] = tensor
                return tensor

            with FlopCounterMode(display=False) as counter:
                with saved_tensors_hooks(keep, lambda tensor: tensor):
                    made = _run(inner, length)
                kept.append(sum(one.untyped_storage().nbytes() / one.element_size() for one in saved.values()))
                made.last_hidden_state.sum().backward()
            return counter.get_total_flops()

        flops = _cost(count)
    return Tuning(flops, _slopes(*kept), sum(own), len(own))


def _storage(tensor: torch.Tensor) -> int:
    """The same for views of one tensor: a linear module keeps its weight transposed."""
    return int(tensor.untyped_storage()._cdata)


def _run(model: PreTrainedModel, length: int) -> Any:
    # A cache, because without one transformers looks for packed prompts in the positions, which hold nothing here.
    ids = torch.zeros(1, length, dtype=torch.long, device="meta")
    decoder: Any = model.get_decoder()
    return decoder(input_ids=ids, use_cache=True)


def _cost(count: Callable[[int], float]) -> Cost:
    return _slopes(*(count(length) for length in LENGTHS))


def _slopes(short: float, long: float) -> Cost:
    """Of `token` n + `attended` n^2 at two lengths."""
    few, many = LENGTHS
    attended = max(0.0, (long / many - short / few) / (many - few))
    return Cost(short / few - attended * few, attended)


def _active(model: PreTrainedModel, text: Any) -> float:
    chosen = getattr(text, "num_experts_per_tok", None)
    every = getattr(text, "num_local_experts", None) or getattr(text, "num_experts", None)
    share = chosen / every if chosen and every else 1.0
    embeddings = id(model.get_input_embeddings().weight)
    named = ((name, p.numel()) for name, p in model.named_parameters() if id(p) != embeddings)
    return sum(count * (share if "experts" in name else 1.0) for name, count in named)
