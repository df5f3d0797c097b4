"""At which tokens of a query its state is taken: one of the last ones, or the mean over all."""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from workflow_scripts.lib.forward.settings import MEAN, Position, back
from workflow_scripts.lib.forward.transfers import sent


class Span(NamedTuple):
    """Tokens whose mean is the state of a row: from `first` up to, and without, `end`.

    single: It is one token in every row, which is known without asking a GPU.
    """

    first: Int[Tensor, " row"]
    end: Int[Tensor, " row"]
    single: bool

    def on(self, device: torch.device) -> "Span":
        """The same where a model's states are: moved once, and not by every layer."""
        return Span(sent(self.first, device), sent(self.end, device), self.single)

    def of(self, hidden: Float[Tensor, "row token d_model"]) -> Float[Tensor, "row d_model"]:
        """The mean over the tokens; of a single one its very state."""
        first, end, single = self.on(hidden.device)
        if single:
            return hidden[torch.arange(len(hidden), device=hidden.device), first]
        places = torch.arange(hidden.shape[1], device=hidden.device)
        within = (places >= first[:, None]) & (places < end[:, None])
        total = torch.where(within[..., None], hidden, 0).sum(1)
        return total / (end - first)[:, None].to(hidden.dtype)


def last_of(lengths: list[int]) -> Span:
    """The last token of rows of these lengths."""
    ends = torch.tensor(lengths)
    return Span(ends - 1, ends, single=True)


def taken_at(position: Position, lengths: list[int], asked: list[int]) -> Span:
    """The tokens of rows of these lengths, of which the query is the last `asked`."""
    ends, queries = torch.tensor(lengths), torch.tensor(asked)
    if position == MEAN:
        return Span(ends - queries, ends, single=all(count == 1 for count in asked))
    ends = ends - back(position)
    return Span(ends - 1, ends, single=True)
