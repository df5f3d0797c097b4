"""States of every layer at the last prompt token, and what the model would answer there.

Layer convention, as transformers' `hidden_states`: 0 = embeddings, 1..L = block outputs, L after the final norm.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from inspect import signature
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformers import PreTrainedModel

LAYERS = "0 = embeddings, 1..L = block outputs, L after the final norm"


class StateError(RuntimeError):
    """A state that is not finite, or all zero; `prompt` is the number of the prompt it arose from."""

    def __init__(self, prompt: int, layer: int, where: str = "") -> None:
        super().__init__(f"{where or f'prompt {prompt}'}: the state at layer {layer} is not finite or all zero")
        self.prompt, self.layer = prompt, layer


@dataclass(frozen=True)
class LastToken:
    """What is read at the last token of each prompt; float32, on the CPU, in the prompts' order."""

    states: Float[Tensor, "prompt layer d_model"]
    label_log_probs: Float[Tensor, "prompt label"]
    top_token: Int[Tensor, " prompt"]


def last_token(
    model: PreTrainedModel,
    prompts: Sequence[Sequence[int]],
    labels: Sequence[Sequence[int]],
    *,
    tokens_per_batch: int,
    progress: Callable[[int], None] = lambda done: None,
) -> LastToken:
    """Run every prompt and read its last token.

    A label's log-probability is the sum over its tokens given the prompt. Batches hold prompts of about the same
    length and at most `tokens_per_batch` tokens (or one prompt). `progress` is told how many prompts a batch held.
    Raises StateError for a state that is not finite or is all zero.
    """
    rows: list[LastToken] = []
    order: list[int] = []
    for batch in batches([len(ids) for ids in prompts], tokens_per_batch):
        rows.append(_one_batch(model, [prompts[i] for i in batch], labels))
        order += batch
        progress(len(batch))
    back = torch.tensor(order).argsort()
    read = LastToken(*(torch.cat([getattr(row, name) for row in rows])[back] for name in LastToken.__annotations__))
    check_states(read.states)
    return read


def batches(lengths: Sequence[int], budget: int) -> Iterator[list[int]]:
    """Indices by rising length, cut so that rows x longest stays within `budget` tokens."""
    batch: list[int] = []
    for i in sorted(range(len(lengths)), key=lengths.__getitem__):
        if batch and lengths[i] * (len(batch) + 1) > budget:
            yield batch
            batch = []
        batch.append(i)
    if batch:
        yield batch


def check_states(states: Float[Tensor, "prompt layer d_model"]) -> None:
    """StateError where a state is not finite or all zero, with the prompt's number and the layer."""
    bad = ~states.isfinite().all(-1) | (states == 0).all(-1)
    if bad.any():
        prompt, layer = bad.nonzero()[0].tolist()
        raise StateError(prompt, layer)


@torch.inference_mode()
def _one_batch(model: PreTrainedModel, prompts: Sequence[Sequence[int]], labels: Sequence[Sequence[int]]) -> LastToken:
    output = model(**left_padded(model, prompts), output_hidden_states=True, use_cache=False, logits_to_keep=1)
    states = torch.stack([layer[:, -1] for layer in output.hidden_states], dim=1)
    log_probs = output.logits[:, -1].float().log_softmax(-1)
    scores = [
        log_probs[:, label[0]] if len(label) == 1 else _continued_log_prob(model, prompts, label) for label in labels
    ]
    return LastToken(states.float().cpu(), torch.stack(scores, dim=1).cpu(), log_probs.argmax(-1).cpu())


def _continued_log_prob(
    model: PreTrainedModel, prompts: Sequence[Sequence[int]], label: Sequence[int]
) -> Float[Tensor, " prompt"]:
    continued = [[*ids, *label[:-1]] for ids in prompts]
    output = model(**left_padded(model, continued), use_cache=False, logits_to_keep=len(label))
    log_probs = output.logits[:, -len(label) :].float().log_softmax(-1)
    target = torch.tensor(label, device=log_probs.device).view(1, -1, 1).expand(len(prompts), -1, 1)
    return log_probs.gather(-1, target).squeeze(-1).sum(-1)


def left_padded(model: PreTrainedModel, prompts: Sequence[Sequence[int]]) -> dict[str, Any]:
    """Model inputs with every prompt's last token in the last column.

    Position ids count from each prompt's own start: without them a model with absolute positions (GPT-2) sees
    shifted ones, while a rotary model hides the mistake.
    """
    longest = max(map(len, prompts))
    ids = torch.tensor([[0] * (longest - len(one)) + list(one) for one in prompts])
    mask = torch.tensor([[0] * (longest - len(one)) + [1] * len(one) for one in prompts])
    inputs = {"input_ids": ids, "attention_mask": mask}
    if "position_ids" in signature(model.forward).parameters:
        inputs["position_ids"] = (mask.cumsum(-1) - 1).clamp(min=0)
    return {name: tensor.to(model.device) for name, tensor in inputs.items()}
