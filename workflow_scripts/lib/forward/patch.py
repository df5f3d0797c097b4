"""A run of the model in which one layer's state at the last prompt token is another than its own."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from copy import copy
from functools import partial
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from transformers import PreTrainedModel

from workflow_scripts.lib.forward.reader import Ids, LastToken, Reader
from workflow_scripts.lib.forward.transfers import sent
from workflow_scripts.lib.models.blocks import decoder_blocks

NO_LAYER = slice(0)


@contextmanager
def states_put(
    model: PreTrainedModel,
    layers: Int[Tensor, " row"],
    columns: Int[Tensor, " row"],
    states: Float[Tensor, "row d_model"],
) -> Iterator[None]:
    """Within the block every forward goes on from these states, each at its layer, in its row and column.

    Layers are those of taps.py, and so are the places: layers 0 to L - 1 are what a block is given, and L, after the
    final norm, is what the LM head is given. All that lies below, and every other position, is the model's own. Enter
    it before any block that chooses positions for the head.
    """
    places = [*decoder_blocks(model), model.get_output_embeddings()]
    with ExitStack() as stack:
        for layer in layers.unique().tolist():
            rows = (layers == layer).nonzero().flatten()
            hook = partial(_put, rows, columns[rows], states[rows])
            stack.callback(places[layer].register_forward_pre_hook(hook, with_kwargs=True).remove)
        yield


def _put(
    rows: Tensor, columns: Tensor, states: Tensor, _: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """What a module is given, with states in some places."""
    patched = (args[0] if args else kwargs["hidden_states"]).clone()
    at, states = (sent(rows, patched.device), sent(columns, patched.device)), sent(states, patched.device)
    patched[at] = states.to(patched.dtype)
    return ((patched, *args[1:]), kwargs) if args else (args, {**kwargs, "hidden_states": patched})


def scoring(reader: Reader, answer: Ids) -> Reader:
    """The same reader with one answer in place of labels, of a query that has an answer of its own."""
    one = copy(reader)
    one.labels, one.more = [answer], len(answer) - 1
    return one


def read_patched(
    reader: Reader, prefix: Ids, query: Ids, layers: Int[Tensor, " run"], states: Float[Tensor, "run d_model"]
) -> LastToken:
    """What the model answers to `prefix` + `query` with each of the states put in at its layer; no states are kept.

    All but the last token is encoded once for all runs, where the model allows that. What a label of several tokens has
    after the first one sees the state through the layers above; at the last layer that is nothing.
    """

    def within(runs: Sequence[int], run: Sequence[Ids]) -> AbstractContextManager[None]:
        some = list(runs)
        return states_put(reader.model, layers[some], torch.tensor([len(ids) - 1 for ids in run]), states[some])

    before = [*prefix, *query[:-1]]
    return reader.read(before, [query[-1:]] * len(states), layers=NO_LAYER, within=within)
