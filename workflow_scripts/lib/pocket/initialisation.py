"""A start that favours induction: attending back to where something similar stood, and copying what followed.

Training a small model from plain random weights to learn in context takes far longer than a newcomer will
wait, so two heads of the first two layers start near a useful form:

- layer 0: head h attends softly to about WINDOWS[h] tokens back, whatever the words, and writes what it finds
  into a subspace of its own, so that every position carries a trace of the words just before it;
- layer 1: the same heads compare those traces (queries equal keys) and copy the token that is found.

Nothing is frozen and no mapping of texts to labels is built in: an untrained model labels at chance. But what
training then shows is not emergence from random weights, and should never be called so.
"""

import math

import torch
from torch import Tensor, nn
from transformers import LlamaForCausalLM
from transformers.models.llama.modeling_llama import LlamaAttention

EMBEDDING_SCALE = 0.25
FINAL_NORM = 0.3  # keeps the first logits small beside embeddings this large
WINDOWS = (1.0, 4.0)  # tokens back, head by head
WINDOW_PAIRS = ((0, 1, 2), (1, 2, 3))  # rotary pairs that hold the window: slower ones make it wider
WINDOW_SHARPNESS = 8.0  # attention logit at the centre of the window
TRACE_GAIN = 1.5
ROPE_BASE = 10000.0
MATCH_SHARPNESS = 6.0  # attention logit of a trace with itself
COPY_GAIN = 4.0
WINDOW_NOISE, MATCH_NOISE = 0.02, 0.01
SLOW_ROTATION = 0.05  # radians per token; slower rotary pairs carry content at any distance


@torch.no_grad()
def favour_induction(model: LlamaForCausalLM) -> None:
    """Overwrite embeddings, final norm, and attention heads 0 and 1 of layers 0 and 1, in place.

    Draws from torch's global generator; seed it before.
    """
    size, heads = model.config.hidden_size, model.config.num_attention_heads
    width = size // heads
    constant = _share_a_direction(model.model.embed_tokens.weight)
    model.model.norm.weight.fill_(FINAL_NORM)
    # One part for the trace and one for the copies of each head: where they overlap, training is less sure.
    parts = _basis_ending_in(constant).split(width)
    speeds = ROPE_BASE ** (-2 * torch.arange(width // 2) / width)
    first, second = (model.model.layers[index].self_attn for index in (0, 1))
    for head, (distance, pairs) in enumerate(zip(WINDOWS, WINDOW_PAIRS, strict=True)):
        rows = slice(head * width, (head + 1) * width)
        trace, copies = parts[head], parts[head + len(WINDOWS)]
        query, key = _window(distance, pairs, speeds, size)
        first.q_proj.weight[rows] = torch.outer(query, constant) + _noise(width, size, WINDOW_NOISE)
        first.k_proj.weight[rows] = torch.outer(key, constant) + _noise(width, size, WINDOW_NOISE)
        _copy_through(first, rows, trace, TRACE_GAIN)
        match = _match(trace, speeds)
        second.q_proj.weight[rows] = match + _noise(width, size, MATCH_NOISE)
        second.k_proj.weight[rows] = match + _noise(width, size, MATCH_NOISE)
        _copy_through(second, rows, copies, COPY_GAIN)


def _share_a_direction(embeddings: Tensor) -> Tensor:
    """Redraw embeddings [words, size] so that all have the same component along one unit vector, returned."""
    nn.init.normal_(embeddings, std=EMBEDDING_SCALE)
    shared = torch.sign(torch.randn(embeddings.shape[1])) * EMBEDDING_SCALE
    constant = shared / shared.norm()
    embeddings -= torch.outer(embeddings @ constant, constant)
    embeddings += shared
    return constant


def _basis_ending_in(constant: Tensor) -> Tensor:
    """Return [size, size] orthonormal rows, all random but the last, a given unit vector [size]."""
    size = len(constant)
    project = torch.eye(size) - torch.outer(constant, constant)
    return torch.cat([torch.linalg.qr(project @ torch.randn(size, size - 1))[0].T, constant[None]])


def _window(distance: float, pairs: tuple[int, ...], speeds: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Return query and key weights [head width] on the constant direction, for attention `distance` back.

    Rotary embedding turns pair i by its speed at each position, so a key turned ahead by `distance` times
    that speed agrees most with the query that stands that many tokens later.
    """
    width = 2 * len(speeds)
    scale = math.sqrt(WINDOW_SHARPNESS * math.sqrt(width) / (size / 2 * len(pairs)))
    query, key = torch.zeros(width), torch.zeros(width)
    for pair in pairs:
        angle = speeds[pair] * distance
        query[pair] = scale
        key[pair], key[pair + width // 2] = scale * torch.cos(angle), scale * torch.sin(angle)
    return query, key


def _match(trace: Tensor, speeds: Tensor) -> Tensor:
    """Return weights [head width, size] that read the trace into the slow rotary pairs, randomly turned."""
    width = len(trace)
    slow = [pair for pair in range(width // 2) if speeds[pair] < SLOW_ROTATION]
    rows = slow + [pair + width // 2 for pair in slow]
    scale = math.sqrt(MATCH_SHARPNESS / (math.sqrt(width) / 2)) * math.sqrt(width / len(rows))
    weights = torch.zeros_like(trace)
    weights[rows] = scale * torch.linalg.qr(torch.randn(width, width))[0][: len(rows)] @ trace
    return weights


def _copy_through(attention: LlamaAttention, rows: slice, subspace: Tensor, gain: float) -> None:
    """Let a head add, to where it stands, `gain` times the part in `subspace` of what it attends to."""
    attention.v_proj.weight[rows] = subspace
    attention.o_proj.weight[:, rows] = subspace.T * gain * EMBEDDING_SCALE * math.sqrt(2)


def _noise(rows: int, columns: int, scale: float) -> Tensor:
    return torch.randn(rows, columns) * scale
