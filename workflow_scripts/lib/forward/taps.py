"""Hooks that read states, or run the LM head, at chosen positions only.

Layer convention, as transformers' `hidden_states`: 0 = embeddings, 1..L = block outputs, L after the final norm.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor, nn
from transformers import PreTrainedModel

from workflow_scripts.lib.forward.positions import Span
from workflow_scripts.lib.forward.transfers import sent
from workflow_scripts.lib.models.blocks import decoder_blocks

LAYERS = "0 = embeddings, 1..L = block outputs, L after the final norm"


@contextmanager
def head_at(
    model: PreTrainedModel, rows: Int[Tensor, " position"], columns: Int[Tensor, " position"]
) -> Iterator[None]:
    """Within the block the LM head runs at these positions only: the model's logits are [position, vocabulary].

    What the model does to logits after its head (Gemma 2 caps them) is thereby done to these too.
    """

    def chosen(_: nn.Module, args: tuple[Tensor]) -> tuple[Tensor]:
        device = args[0].device
        return (args[0][sent(rows, device), sent(columns, device)],)

    with removed(model.get_output_embeddings().register_forward_pre_hook(chosen)):
        yield


@contextmanager
def states_at(model: PreTrainedModel, span: Span, columns: Int[Tensor, " row"]) -> Iterator[list[Tensor]]:
    """Within the block one forward fills the list: per layer, the states [row, d_model] of these tokens.

    What a block is given is what the one before it put out, whatever else blocks return. What the LM head is given is
    the last layer, after the final norm; the head itself runs in `columns` only.
    """
    layers: list[Tensor] = []

    def tap(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        layers.append(span.of(args[0] if args else kwargs["hidden_states"]))

    with ExitStack() as stack:
        for one in (*decoder_blocks(model), model.get_output_embeddings()):
            stack.enter_context(removed(one.register_forward_pre_hook(tap, with_kwargs=True)))
        stack.enter_context(head_at(model, torch.arange(len(columns), device=columns.device), columns))
        yield layers


@contextmanager
def removed(hook: Any) -> Iterator[None]:
    """Within the block a hook is there."""
    try:
        yield
    finally:
        hook.remove()
