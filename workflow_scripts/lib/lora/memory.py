"""How many tokens are tuned at once: as many as the settings say, or as a job's share of memory is seen to hold."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch.autograd.graph import saved_tensors_hooks

from workflow_scripts.lib import machine
from workflow_scripts.lib.lora.batches import Example, batch_of, tokens_of
from workflow_scripts.lib.lora.recompute import kept_recomputed
from workflow_scripts.lib.lora.settings import MOST_ON_GPU, MOST_TOKENS, TuneLora
from workflow_scripts.lib.lora.stack import Stack
from workflow_scripts.lib.progress import log

if TYPE_CHECKING:
    from torch import Tensor

Tokens = int | Literal["auto"]

LEAST = 64  # a row or two: with less, tuning takes forever
TRANSIENT = 1.5  # bytes at the peak of a step to those kept for its way back; 1.25 measured at 135M and 512 tokens
OF_ADAPTER = 4  # an adapter's weights, their gradients, and AdamW's two moments


def tokens_at_once(stack: Stack, examples: Sequence[Example], tuning: TuneLora) -> int:
    """Tokens of a batch. `auto`: as many as gain anything, or as memory holds beside the weights; the log says it."""
    if tuning.tokens_per_batch != "auto":
        return tuning.tokens_per_batch
    kept = kept_bytes(stack, examples)
    of_token = TRANSIENT * (kept_recomputed(stack.base, kept) if tuning.recompute else kept)
    free = free_bytes(stack)
    most = MOST_ON_GPU if stack.base.device.type == "cuda" else MOST_TOKENS
    tokens = max(LEAST, min(most, int(free / of_token)))
    log(
        f"tuning in batches of {tokens} tokens (`tokens_per_batch: auto`): one takes {of_token / 2**20:.2f} MiB, and "
        f"this job may take {free / 2**30:.1f} GiB beside its weights"
    )
    return tokens


def taught_at_once(asked: Tokens) -> int:
    """Tokens that a teacher reads at once: nothing of them is kept for a way back."""
    return MOST_TOKENS if asked == "auto" else asked


def kept_bytes(stack: Stack, examples: Sequence[Example]) -> float:
    """Bytes that a step of tuning keeps for its way back, a token of the longest example: seen, not worked out."""
    longest = max(examples, key=lambda one: len(tokens_of(one)))
    weights = {one.untyped_storage().data_ptr() for one in (*stack.base.parameters(), *stack.weights.values())}
    kept: dict[int, int] = {}

    def note(tensor: "Tensor") -> "Tensor":
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with stack.attached(), saved_tensors_hooks(note, lambda tensor: tensor):
        stack.losses(batch_of(stack.base, [(0, longest)], [1.0] * stack.count))
    return sum(kept.values()) / len(tokens_of(longest))


def free_bytes(stack: Stack) -> int:
    """Bytes that a job may take of its device, beside the model and its adapters."""
    device: Any = stack.base.device
    if device.type == "cuda":
        free = int(machine.USED * torch.cuda.mem_get_info(device)[0])
    else:
        free = machine.share(torch.get_num_threads()) - machine.LIBRARIES - _bytes(stack.base.parameters())
    return max(0, free - (OF_ADAPTER - 1) * _bytes(stack.weights.values()))


def _bytes(tensors: Any) -> int:
    return sum(one.numel() * one.element_size() for one in tensors)
