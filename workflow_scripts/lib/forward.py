"""One forward of a causal language model that reads chosen positions only, by the ways that the model allows."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from inspect import signature
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from transformers import PreTrainedModel

from workflow_scripts.lib.folded_attention import can_fold, folded
from workflow_scripts.lib.progress import log
from workflow_scripts.lib.shared_prefix import FrozenPrefix, depends_on_length, encoded, takes_cache
from workflow_scripts.lib.taps import decoder_blocks, head_at, states_at
from workflow_scripts.lib.token_batches import right_padded

Ids = Sequence[int]


@dataclass(frozen=True)
class Ways:
    """What a model allows.

    hooks: Its layers can be read by hooks.
    batching: Prompts of several lengths can share a batch.
    sharing: Queries can share an encoded prefix.
    folding: They can do so without a copy of it per row.
    """

    hooks: bool
    batching: bool
    sharing: bool = False
    folding: bool = False


@torch.inference_mode()
def found_ways(model: PreTrainedModel) -> Ways:
    """Try hooks and a shared prefix on a short prompt; what differs from transformers' own states is not used."""
    vocabulary = model.config.get_text_config(decoder=True).vocab_size
    ids = [vocabulary * i // 9 for i in range(1, 9)]
    plain = Ways(hooks=False, batching=not depends_on_length(model))
    expected, _ = last_states(model, plain, None, [ids])
    hooked = replace(plain, hooks=True)
    ways = hooked if _has_parts(model) and _agree(last_states(model, hooked, None, [ids])[0], expected) else plain
    past = encoded(model, ids[:5], len(ids)) if ways.hooks and ways.batching and takes_cache(model) else None
    for folding in (True, False) if can_fold(model) else (False,):
        shared = replace(ways, sharing=True, folding=folding)
        if past is not None and _agree(last_states(model, shared, past, [ids[5:]])[0], expected):
            return shared
    log(f"whole prompts: {type(model).__name__} has no keys and values of a prefix that queries can share")
    return ways


def _has_parts(model: PreTrainedModel) -> bool:
    return bool(decoder_blocks(model)) and model.get_output_embeddings() is not None


def _agree(states: Tensor, expected: Tensor) -> bool:
    """Equal up to rounding: the root of the precision, relative to each layer's norm."""
    if states.shape != expected.shape:
        return False
    tolerance = torch.finfo(expected.dtype).eps ** 0.5
    return bool(((states - expected).norm(dim=-1) <= tolerance * expected.norm(dim=-1)).all())


def last_states(
    model: PreTrainedModel, ways: Ways, past: FrozenPrefix | None, queries: Sequence[Ids]
) -> tuple[Float[Tensor, "row layer d_model"], Float[Tensor, "row vocabulary"]]:
    """One forward; states and logits at each query's last token."""
    columns = torch.tensor([len(ids) - 1 for ids in queries])
    if ways.hooks:
        with states_at(model, columns) as layers:
            logits = _forward(model, ways, past, queries).logits
    else:
        output = _forward(model, ways, past, queries, output_hidden_states=True)
        rows = torch.arange(len(queries))
        layers = [layer[rows, columns] for layer in output.hidden_states]
        logits = output.logits[rows, columns]
    return torch.stack([layer.to(logits.device) for layer in layers], dim=1), logits


def label_log_prob(
    model: PreTrainedModel, ways: Ways, past: FrozenPrefix | None, queries: Sequence[Ids], label: Ids
) -> Float[Tensor, " row"]:
    """Sum over the label's tokens, each given the prompt and the tokens before it."""
    rows = torch.arange(len(queries)).repeat_interleave(len(label))
    columns = torch.tensor([len(ids) - 1 + i for ids in queries for i in range(len(label))])
    continued = [[*ids, *label[:-1]] for ids in queries]
    if ways.hooks:
        with head_at(model, rows, columns):
            logits = _forward(model, ways, past, continued).logits
    else:
        logits = _forward(model, ways, past, continued).logits[rows, columns]
    log_probs = logits.float().log_softmax(-1).view(len(queries), len(label), -1)
    return log_probs[:, torch.arange(len(label)), torch.tensor(label)].sum(-1)


def _forward(model: PreTrainedModel, ways: Ways, past: FrozenPrefix | None, queries: Sequence[Ids], **more: Any) -> Any:
    inputs = _inputs(model, past, queries)
    if past is None or not ways.folding:
        return model(**inputs, **more)
    with folded(model, past):
        return model(**inputs, **more)


def _inputs(model: PreTrainedModel, past: FrozenPrefix | None, queries: Sequence[Ids]) -> dict[str, Any]:
    """Position ids continue after the prefix; stated, because a model may count them from the batch it is given."""
    ids = right_padded(queries).to(model.device)
    inputs: dict[str, Any] = {"input_ids": ids, "use_cache": past is not None}
    before = 0
    if past is not None:
        before, inputs["past_key_values"] = past.get_seq_length(), past
    if "position_ids" in signature(model.forward).parameters:
        inputs["position_ids"] = torch.arange(before, before + ids.shape[1], device=ids.device).expand(len(ids), -1)
    return inputs
