"""What a model allows, found on a short prompt against the model as a user would call it: with ids alone."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from inspect import signature

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from transformers import PreTrainedModel

from workflow_scripts.lib.errors import StudyError
from workflow_scripts.lib.forward.folded_attention import can_fold
from workflow_scripts.lib.forward.greedy import Cached
from workflow_scripts.lib.forward.shared_prefix import encoded, takes_cache
from workflow_scripts.lib.forward.ways import Ids, Ways, last_states
from workflow_scripts.lib.models.blocks import decoder_blocks
from workflow_scripts.lib.models.split import rounding
from workflow_scripts.lib.progress import log

Read = tuple[Float[Tensor, "*token layer d_model"], Float[Tensor, "*token vocabulary"]]  # states and logits


class ArchitectureError(StudyError):
    """A model whose states at the last prompt token are not what this study compares; the message says why."""


@torch.inference_mode()
def found_ways(model: PreTrainedModel) -> Ways:
    """Try each way on a short prompt; one whose states differ from those of ids alone is not used.

    ArchitectureError for a model that gives no states of one width, and for one that is not causal.
    """
    vocabulary = model.config.get_text_config(decoder=True).vocab_size
    ids = [vocabulary * i // 9 for i in range(1, 9)]
    for prompt in (ids, [vocabulary // 2 + i for i in range(8)]):
        _check_causal(model, prompt)
    states, logits = _as_called(model, ids)
    expected = states[-1], logits[-1]
    ways = Ways(positions="position_ids" in signature(model.forward).parameters)
    agree = partial(_agree, rounding(model))
    if ways.positions and not _works(lambda: agree(_whole(model, ways, ids), expected)):
        ways = replace(ways, positions=False)
    hooked = replace(ways, hooks=True)
    if _has_parts(model) and _works(lambda: agree(_whole(model, hooked, ids), expected)):
        ways = hooked
    if _works(lambda: _batches(model, ways, ids, expected)):
        ways = replace(ways, batching=True)
        for shared in _sharing(model, ways):
            if _works(partial(_shares, model, shared, ids, expected)):
                return shared
        log(f"whole prompts: {type(model).__name__} has no keys and values of a prefix that queries can share")
    else:
        log(f"one prompt at a time: in {type(model).__name__} it depends on those beside it in a batch")
    return ways


@torch.inference_mode()
def goes_on(model: PreTrainedModel, ways: Ways) -> bool:
    """Can queries of several lengths write on from keys and values of their own; found as the ways are."""
    if not (ways.sharing and ways.positions):
        return False
    vocabulary = model.config.get_text_config(decoder=True).vocab_size
    ids = [vocabulary * i // 9 for i in range(1, 9)]
    expected = _as_called(model, ids)[1]

    def tried() -> bool:
        past = encoded(model, ids[:2], len(ids))
        return past is not None and all(
            map(as_expected, (Cached(model, past, [ids[2:4], ids[2:6]]), Cached(model, None, [ids[:4], ids[:6]])))
        )

    def as_expected(rows: Cached) -> bool:
        """Of two rows, of which the longer one goes on longer."""
        told = [*rows.logits(), *rows.after([0, 1], [ids[4], ids[6]]), *rows.after([1], [ids[7]])]
        return _agree(rounding(model), told, expected[[3, 5, 4, 6, 7]])

    return _works(tried)


def _as_called(model: PreTrainedModel, ids: Ids) -> Read:
    """What the model gives of every token for ids and nothing else."""
    output = model(torch.tensor([ids], device=model.device), output_hidden_states=True)
    states: Sequence[Tensor] = getattr(output, "hidden_states", None) or ()
    name, shapes = type(model).__name__, sorted({tuple(map(int, layer.shape)) for layer in states})
    if not shapes or any(len(shape) != 3 or shape[:2] != (1, len(ids)) for shape in shapes):
        raise ArchitectureError(f"{name} gives no state of every token at every layer, so there is nothing to compare")
    if len(shapes) > 1:
        widths = " and ".join(str(shape[-1]) for shape in shapes)
        raise ArchitectureError(f"{name} has states of {widths} dimensions at different layers, which are not compared")
    logits = getattr(output, "logits", None)
    if not isinstance(logits, Tensor) or logits.shape[:2] != (1, len(ids)):
        raise ArchitectureError(f"{name} gives no logits of every token, so labels have no scores")
    stacked = torch.stack([layer[0].to(logits.device) for layer in states], dim=1)
    if not stacked.isfinite().all():
        dtype = str(model.dtype).removeprefix("torch.")
        raise ArchitectureError(f"{name} has states that are not finite in {dtype}; choose another `dtype`")
    return stacked, logits[0]


def _check_causal(model: PreTrainedModel, ids: Ids) -> None:
    """ArchitectureError where tokens that follow change what is read of those before them.

    In lower precision two lengths round differently, and a mixture of experts may choose others in a late layer: there
    every layer after the embeddings has to differ.
    """
    alone, followed = _as_called(model, ids), _as_called(model, [*ids, *ids[::-1]])
    eps = rounding(model)
    differ, other = (_differ(eps, b[: len(ids)], a) for a, b in zip(alone, followed, strict=True))
    exact = eps <= torch.finfo(torch.float32).eps
    if (differ.any() or other.any()) if exact else differ[:, 1:].all(1).any():
        raise ArchitectureError(
            f"{type(model).__name__} is no causal language model as its config.json has it: the state of a token "
            "depends on the tokens after it; use a decoder (`is_decoder: true`, for classes that are both)"
        )


def _works(tried: Callable[[], bool]) -> bool:
    """Does a way give what is expected; a model that fails when it is used does not allow it."""
    try:
        return tried()
    except torch.OutOfMemoryError:
        raise
    except Exception:  # each class of models has its own
        return False


def _whole(model: PreTrainedModel, ways: Ways, ids: Ids) -> Read:
    (states,), (logits,) = last_states(model, ways, None, [ids])
    return states, logits


def _batches(model: PreTrainedModel, ways: Ways, ids: Ids, expected: Read) -> bool:
    """Is what is read of a prompt in a batch, beside a shorter and a longer one, that of the prompt alone."""
    shorter, longer = ids[3:], [*ids[::-1], *ids]
    together = zip(*last_states(model, ways, None, [shorter, ids, longer]), strict=True)
    agree = partial(_agree, rounding(model))
    return all(map(agree, together, (_whole(model, ways, shorter), expected, _whole(model, ways, longer))))


def _sharing(model: PreTrainedModel, ways: Ways) -> Iterator[Ways]:
    if ways.hooks and takes_cache(model):
        for folding in (True, False) if can_fold(model) else (False,):
            yield replace(ways, sharing=True, folding=folding)


def _shares(model: PreTrainedModel, ways: Ways, ids: Ids, expected: Read) -> bool:
    past = encoded(model, ids[:5], len(ids))
    if past is None:
        return False
    (states,), (logits,) = last_states(model, ways, past, [ids[5:]])
    return _agree(rounding(model), (states, logits), expected)


def _has_parts(model: PreTrainedModel) -> bool:
    return bool(decoder_blocks(model)) and model.get_output_embeddings() is not None


def _agree(eps: float, read: Iterable[Tensor], expected: Iterable[Tensor]) -> bool:
    """States and logits equal up to rounding."""
    return all(a.shape == b.shape and not _differ(eps, a, b).any() for a, b in zip(read, expected, strict=True))


def _differ(eps: float, values: Float[Tensor, "*more d"], expected: Float[Tensor, "*more d"]) -> Bool[Tensor, "*more"]:
    """Vectors that differ by more than rounding: the root of the coarsest one, relative to their norm."""
    tolerance = max(eps, torch.finfo(expected.dtype).eps) ** 0.5
    # Some models mask logits of tokens that they never give.
    values, expected = (one.nan_to_num(nan=torch.nan, posinf=0, neginf=0) for one in (values, expected))
    return ~((values - expected).norm(dim=-1) <= tolerance * expected.norm(dim=-1))
