"""Training of the pocket model: one curriculum from single words to texts, then on to natural labels."""

import random
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import LlamaForCausalLM

from workflow_scripts.lib.world.documents import Mixture, document
from workflow_scripts.lib.world.texts import vocabulary

RAMP_SHARE = 0.7  # of the steps: the curriculum is complete from there on
LENGTHS = (64, 128, 272)  # tokens of a document: first half of the ramp, second half, after it
OTHER_WEIGHT = 0.3  # of the mean loss on tokens that are not labels, once the ramp is a quarter up
WARMUP_STEPS = 30
DECAY_FROM = 0.6  # of the steps
LAST_RATE = 0.03  # of the learning rate
GRADIENT_NORM = 1.0


class Batch(NamedTuple):
    """Token ids and label weights, both [documents, tokens]; a weight is 0 where no label stands."""

    input_ids: Tensor
    label_weights: Tensor


def train(
    model: LlamaForCausalLM,
    *,
    seed: int,
    steps: int,
    tokens_per_step: int,
    learning_rate: float,
    progress: Callable[[int, int, float], None],
) -> None:
    """Train every weight of `model` in place, on documents made on the fly.

    Each step takes about `tokens_per_step` tokens; `progress` gets steps done, steps in all, and the mean
    cross-entropy of labels in nats. Equal arguments give byte-equal weights on one machine with one number of
    threads (the caller's torch.set_num_threads); the global random state is neither read nor changed.
    """
    rng = random.Random(f"training of the pocket model, seed {seed}")
    words = vocabulary()
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=learning_rate, betas=(0.9, 0.95), weight_decay=0.01, fused=True
    )
    model.train()
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate * rate_at(step, steps)
        batch = draw_batch(rng, mixture_at(step / steps), tokens_per_step, words)
        label_loss, other_loss = losses(model, batch)
        (label_loss + other_weight_at(step / steps) * other_loss).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), GRADIENT_NORM)
        optimizer.step()
        optimizer.zero_grad()
        progress(step + 1, steps, label_loss.item())
    model.eval()


def rate_at(step: int, steps: int) -> float:
    """Return the learning rate at a step, as a share of its maximum: warm-up, plateau, linear decay."""
    decay = (1 - step / steps) / (1 - DECAY_FROM)
    return min(1.0, (step + 1) / WARMUP_STEPS) * min(1.0, max(LAST_RATE, decay))


def mixture_at(fraction: float) -> Mixture:
    """Return the mixture of documents after a fraction of the steps.

    The order matters more than the exact shares: first pairs of a single word and a label on one line, where
    copying from a like word pays at once; then phrases and sentences, which need the class of a word rather
    than the word; only then labels that could be answered from the weights without reading the document.
    """
    ramp = _ramp(fraction)
    return Mixture(
        length=_length_at(ramp),
        plain=0.12 * min(1.0, ramp / 0.3),
        natural=0.5 * ramp if ramp >= 0.6 else 0.0,
        cue_only=ramp < 0.15,
        phrase=max(0.05, 1 - ramp),
        narrow=max(0.1, 0.6 - 0.5 * ramp),
        narrow_cues=(1, 1, 2, 10),
        short=max(0.04, 1 - 1.2 * ramp),
        bare=max(0.25, 1 - 2.5 * ramp),
        ambiguous=0.5 * max(0.0, (ramp - 0.4) / 0.6),
        noise=0.05 * ramp,
    )


def other_weight_at(fraction: float) -> float:
    """Return the weight of the loss on tokens that are not labels after a fraction of the steps.

    They teach which words go together, but from the start they would drown the copying of labels.
    """
    return OTHER_WEIGHT * min(1.0, _ramp(fraction) / 0.25)


def draw_batch(rng: random.Random, mixture: Mixture, tokens: int, words: dict[str, int]) -> Batch:
    """Return documents of one length, about `tokens` tokens in all and at least one document."""
    documents = [document(rng, mixture) for _ in range(max(1, tokens // mixture.length))]
    ids = [[words[token] for token in drawn.tokens] for drawn in documents]
    return Batch(torch.tensor(ids), torch.tensor([drawn.label_weights for drawn in documents]))


def losses(model: LlamaForCausalLM, batch: Batch) -> tuple[Tensor, Tensor]:
    """Return the weighted mean cross-entropy of labels and the mean of all other tokens, scalars in nats."""
    logits = model(input_ids=batch.input_ids, use_cache=False).logits[:, :-1].flatten(0, 1)
    by_token = F.cross_entropy(logits, batch.input_ids[:, 1:].flatten(), reduction="none")
    weights = batch.label_weights[:, 1:].flatten()
    return (by_token * weights).sum() / weights.sum().clamp(min=1e-6), by_token[weights == 0].mean()


def _ramp(fraction: float) -> float:
    return min(1.0, fraction / RAMP_SHARE)


def _length_at(ramp: float) -> int:
    short, middle, full = LENGTHS
    if ramp < 0.5:
        return short
    return middle if ramp < 1 else full
