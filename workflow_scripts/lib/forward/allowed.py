"""What a model allows, found on a short prompt against the model as a user would call it: with ids alone."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from inspect import signature

import torch
from torch import Tensor
from transformers import PreTrainedModel

from workflow_scripts.lib.errors import StudyError
from workflow_scripts.lib.forward.folded_attention import can_fold
from workflow_scripts.lib.forward.greedy import Cached
from workflow_scripts.lib.forward.rounding import Read, Rounding, differ, measured
from workflow_scripts.lib.forward.shared_prefix import encoded, takes_cache
from workflow_scripts.lib.forward.ways import Ids, Ways, last_states
from workflow_scripts.lib.forward.windows import has_window, window_of
from workflow_scripts.lib.models import split
from workflow_scripts.lib.models.blocks import decoder_blocks
from workflow_scripts.lib.progress import log

WINDOW = 3  # tokens that a trial's windows hold: fewer than its prompt, and than its prefix


class ArchitectureError(StudyError):
    """A model whose states at the last prompt token are not what this study compares; the message says why."""


@torch.inference_mode()
def found_ways(model: PreTrainedModel) -> Ways:
    """Try each way on a short prompt; one whose states differ from those of ids alone is not used.

    ArchitectureError for a model that gives no states of one width, and for one that is not causal.
    """
    ids = _ids(model)
    states, logits = _as_called(model, ids)
    rounding = _rounding(model, ids)
    for prompt in (ids, [ids[3] + i for i in range(8)]):
        _check_causal(model, prompt, rounding)
    expected = states[-1], logits[-1]
    ways = Ways(positions="position_ids" in signature(model.forward).parameters)
    if ways.positions and not _works(lambda: rounding.agree(_whole(model, ways, ids), expected)):
        ways = replace(ways, positions=False)
    hooked = replace(ways, hooks=True)
    if _has_parts(model) and _works(lambda: rounding.agree(_whole(model, hooked, ids), expected)):
        ways = hooked
    if _works(lambda: _batches(model, ways, ids, expected, rounding)):
        ways = replace(ways, batching=True)
        for shared in _sharing(model, ways):
            if _works(partial(_shares, model, shared, ids, (states, logits), rounding)):
                windowed = replace(shared, windows=True)
                return windowed if _works(partial(_sees_windows, model, windowed, ids, rounding)) else shared
        log(f"whole prompts: {type(model).__name__} has no keys and values of a prefix that queries can share")
    else:
        log(f"one prompt at a time: in {type(model).__name__} it depends on those beside it in a batch")
    return ways


@torch.inference_mode()
def goes_on(model: PreTrainedModel, ways: Ways, *, in_window: bool = False) -> bool:
    """Can queries of several lengths write on from keys and values of their own; found as the ways are.

    `in_window`: can queries of one length, where they exceed the window.
    """
    if not (ways.sharing and ways.positions and (ways.windows or not in_window)):
        return False
    ids, end = _ids(model), 4 if in_window else 6  # of the second row's query; the first one's ends before the fourth

    def tried() -> bool:
        expected, rounding = _as_called(model, ids)[1], _rounding(model, ids)
        past = encoded(model, ids[:2], len(ids), windows=in_window)
        if past is None or past.windowed != in_window:
            return False
        for rows in (Cached(model, past, [ids[2:4], ids[2:end]]), Cached(model, None, [ids[:4], ids[:end]])):
            # Of two rows, of which the second one goes on longer.
            told = [*rows.logits(), *rows.after([0, 1], [ids[4], ids[end]]), *rows.after([1], [ids[end + 1]])]
            if not rounding.same_logits(torch.stack(told), expected[[3, end - 1, 4, end, end + 1]]):
                return False
        return True

    with window_of(model, WINDOW) if in_window else nullcontext():
        return _works(tried)


def _ids(model: PreTrainedModel) -> list[int]:
    """A short prompt of tokens from all over the vocabulary."""
    vocabulary = model.config.get_text_config(decoder=True).vocab_size
    return [vocabulary * i // 9 for i in range(1, 9)]


def _rounding(model: PreTrainedModel, ids: Ids) -> Rounding:
    return measured(model.dtype, model.device, partial(_as_called, model, ids), stated=split.rounding(model))


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


def _check_causal(model: PreTrainedModel, ids: Ids, rounding: Rounding) -> None:
    """ArchitectureError where tokens that follow change what is read of those before them.

    In lower precision two lengths round differently, and a mixture of experts may choose others in a late layer: there
    every layer after the embeddings has to differ.
    """
    alone, followed = _as_called(model, ids), _as_called(model, [*ids, *ids[::-1]])
    states, logits = (
        differ(b[: len(ids)], a, bound)
        for a, b, bound in zip(alone, followed, (rounding.states, rounding.logits), strict=True)
    )
    if (states.any() or logits.any()) if rounding.exact else states[:, 1:].all(1).any():
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


def _batches(model: PreTrainedModel, ways: Ways, ids: Ids, expected: Read, rounding: Rounding) -> bool:
    """Is what is read of a prompt in a batch, beside a shorter and a longer one, that of the prompt alone."""
    shorter, longer = ids[3:], [*ids[::-1], *ids]
    together = zip(*last_states(model, ways, None, [shorter, ids, longer]), strict=True)
    return all(map(rounding.agree, together, (_whole(model, ways, shorter), expected, _whole(model, ways, longer))))


def _sharing(model: PreTrainedModel, ways: Ways) -> Iterator[Ways]:
    if ways.hooks and takes_cache(model):
        for folding in (True, False) if can_fold(model) else (False,):
            yield replace(ways, sharing=True, folding=folding)


def _shares(model: PreTrainedModel, ways: Ways, ids: Ids, expected: Read, rounding: Rounding) -> bool:
    """Is what is read of queries of one to three tokens on a shared prefix that of the whole prompts."""
    past = encoded(model, ids[:5], len(ids), windows=ways.windows)
    if past is None:
        return False
    read = last_states(model, ways, past, [ids[5 : end + 1] for end in (5, 6, 7)])
    return rounding.agree(read, [one[5:] for one in expected])


def _sees_windows(model: PreTrainedModel, ways: Ways, ids: Ids, rounding: Rounding) -> bool:
    """The same where prompts exceed a window, and there is one: with it states are others than without."""
    if not has_window(model):
        return False
    without = _as_called(model, ids)
    with window_of(model, WINDOW):
        expected = _as_called(model, ids)
        return not rounding.agree(without, expected) and _shares(model, ways, ids, expected, rounding)


def _has_parts(model: PreTrainedModel) -> bool:
    return bool(decoder_blocks(model)) and model.get_output_embeddings() is not None
