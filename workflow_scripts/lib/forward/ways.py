"""One forward of a causal language model that reads chosen positions only, by the ways that the model allows."""

from collections.abc import Sequence
from dataclasses import dataclass
from inspect import signature
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from transformers import PreTrainedModel

from workflow_scripts.lib.forward.folded_attention import folded
from workflow_scripts.lib.forward.positions import Span, last_of
from workflow_scripts.lib.forward.shared_prefix import FrozenPrefix
from workflow_scripts.lib.forward.taps import head_at, states_at
from workflow_scripts.lib.forward.token_batches import right_padded
from workflow_scripts.lib.forward.transfers import sent

Ids = Sequence[int]


@dataclass(frozen=True)
class Ways:
    """What a model allows; without any of it, prompts run whole and alone, as ids and nothing else.

    hooks: Its layers can be read by hooks.
    positions: Its tokens can be told their positions, counted from 0.
    batching: Prompts of several lengths can share a batch.
    sharing: Queries can share an encoded prefix.
    folding: They can do so without a copy of it per row.
    windows: They can do so where prompts exceed the window that layers attend to.
    """

    hooks: bool = False
    positions: bool = False
    batching: bool = False
    sharing: bool = False
    folding: bool = False
    windows: bool = False


def last_states(
    model: PreTrainedModel, ways: Ways, past: FrozenPrefix | None, queries: Sequence[Ids], span: Span | None = None
) -> tuple[Float[Tensor, "row layer d_model"], Float[Tensor, "row vocabulary"]]:
    """One forward; logits at each query's last token, and states there, or over a span of tokens."""
    lengths = [len(ids) for ids in queries]
    columns = sent(torch.tensor(lengths) - 1, model.device)
    span = (span or last_of(lengths)).on(model.device)
    if ways.hooks:
        with states_at(model, span, columns) as layers:
            logits = _forward(model, ways, past, queries).logits
    else:
        output = _forward(model, ways, past, queries, output_hidden_states=True)
        layers = [span.of(layer) for layer in output.hidden_states]
        logits = output.logits[torch.arange(len(queries), device=columns.device), columns]
    return torch.stack([layer.to(logits.device) for layer in layers], dim=1), logits


def answer_scores(
    model: PreTrainedModel, ways: Ways, past: FrozenPrefix | None, queries: Sequence[Ids], answers: Sequence[Ids]
) -> tuple[Float[Tensor, " row"], Bool[Tensor, " row"]]:
    """An answer after each query: its log-probability, and whether each of its tokens is the likeliest of all tokens.

    The log-probability is the sum over its tokens, each given the prompt and the tokens before it. What is likeliest at
    each of them is what the model would write if it always took the likeliest token.
    """
    both = list(zip(queries, answers, strict=True))
    rows = sent(torch.tensor([row for row, answer in enumerate(answers) for _ in answer]), model.device)
    columns = sent(torch.tensor([len(ids) - 1 + i for ids, answer in both for i in range(len(answer))]), model.device)
    continued = [[*ids, *answer[:-1]] for ids, answer in both]
    if ways.hooks:
        with head_at(model, rows, columns):
            logits = _forward(model, ways, past, continued).logits
    else:
        logits = _forward(model, ways, past, continued).logits[rows, columns]
    log_probs = logits.float().log_softmax(-1)
    tokens = sent(torch.tensor([token for answer in answers for token in answer]), log_probs.device)
    lengths = [len(answer) for answer in answers]
    scores = log_probs[torch.arange(len(tokens), device=tokens.device), tokens].split(lengths)
    likeliest = (log_probs.argmax(-1) == tokens).split(lengths)
    return torch.stack([one.sum() for one in scores]), torch.stack([one.all() for one in likeliest])


def _forward(model: PreTrainedModel, ways: Ways, past: FrozenPrefix | None, queries: Sequence[Ids], **more: Any) -> Any:
    inputs = inputs_on(model, ways, past, right_padded(queries))
    if past is None or not ways.folding:
        return model(**inputs, **more)
    with folded(model, past):
        return model(**inputs, **more)


def inputs_on(
    model: PreTrainedModel, ways: Ways, past: FrozenPrefix | None, rows: Int[Tensor, "row token"]
) -> dict[str, Any]:
    """What the model is called with for rows on a prefix.

    Position ids continue after it; stated, because a model may count them from the batch it is given.
    """
    ids = sent(rows, model.device)
    inputs: dict[str, Any] = {"input_ids": ids}
    if "use_cache" in signature(model.forward).parameters:
        inputs["use_cache"] = past is not None
    before = 0
    if past is not None:
        before, inputs["past_key_values"] = past.get_seq_length(), past
    if ways.positions:
        inputs["position_ids"] = torch.arange(before, before + ids.shape[1], device=ids.device).expand(len(ids), -1)
    return inputs
