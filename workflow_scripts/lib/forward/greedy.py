"""Answers that a model writes, each token the likeliest after all before it, many side by side on one prefix."""

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor
from transformers import DynamicCache, PreTrainedModel

from workflow_scripts.lib.forward.shared_prefix import FrozenPrefix
from workflow_scripts.lib.forward.taps import head_at
from workflow_scripts.lib.forward.token_batches import right_padded
from workflow_scripts.lib.forward.ways import Ids, Ways, last_states

Logits = Float[Tensor, "row vocabulary"]


class Whole:
    """Queries that go on by being run again with what they have written: right for every model, and slow."""

    def __init__(self, model: PreTrainedModel, ways: Ways, past: FrozenPrefix | None, queries: Sequence[Ids]) -> None:
        self.model, self.ways, self.past = model, ways, past
        self.texts = [list(ids) for ids in queries]

    def logits(self) -> Logits:
        """Of the token after each query."""
        return last_states(self.model, self.ways, self.past, self.texts)[1]

    def after(self, rows: Sequence[int], tokens: Sequence[int]) -> Logits:
        """Of the token after one more of some rows, which are the only rows from here on."""
        self.texts = [[*self.texts[row], token] for row, token in zip(rows, tokens, strict=True)]
        return self.logits()


class Cached:
    """Queries that go on from keys and values of their own, which begin as the prefix's.

    Rows are padded on the right, so that the padding of a shorter one lies between its query and what it writes: a mask
    hides it, and positions count the row's own tokens. A window would count the padding, so that rows which exceed one
    must be of one length.
    """

    def __init__(self, model: PreTrainedModel, past: FrozenPrefix | None, queries: Sequence[Ids]) -> None:
        self.model, self.queries = model, queries
        before = past.get_seq_length() if past else 0
        lengths = torch.tensor([len(ids) for ids in queries])
        real = torch.arange(int(lengths.max())) < lengths[:, None]
        self.seen = torch.cat([torch.ones(len(queries), before, dtype=torch.bool), real], dim=1)
        self.next = lengths + before
        self.cache = DynamicCache(config=model.config) if past is None else _copied(past, len(queries))

    def logits(self) -> Logits:
        """Of the token after each query."""
        ids, last = right_padded(self.queries), torch.tensor([len(ids) - 1 for ids in self.queries])
        before = self.seen.shape[1] - ids.shape[1]
        return self._forward(ids, torch.arange(before, self.seen.shape[1]).expand(len(ids), -1), last)

    def after(self, rows: Sequence[int], tokens: Sequence[int]) -> Logits:
        """Of the token after one more of some rows, which are the only rows from here on."""
        kept = torch.tensor(rows)
        if len(rows) < len(self.next):
            self.cache.batch_select_indices(kept.to(self.model.device))
        self.seen = torch.cat([self.seen[kept], torch.ones(len(rows), 1, dtype=torch.bool)], dim=1)
        positions = self.next[kept]
        self.next = positions + 1
        return self._forward(torch.tensor(tokens)[:, None], positions[:, None], torch.zeros_like(kept))

    def _forward(self, ids: Tensor, positions: Tensor, columns: Tensor) -> Logits:
        device = self.model.device
        with head_at(self.model, torch.arange(len(ids)), columns):
            logits: Logits = self.model(
                input_ids=ids.to(device),
                attention_mask=self.seen.long().to(device),
                position_ids=positions.to(device),
                past_key_values=self.cache,
                use_cache=True,
            ).logits
        return logits


def _copied(past: FrozenPrefix, count: int) -> DynamicCache:
    """The prefix's keys and values for so many rows, in a cache that keeps of a window what the next token sees."""
    copies: list[tuple[Tensor, ...]] = []
    for of_layer, window in zip(past.parts, past.windows, strict=True):
        of_rows = [part.expand(count, -1, -1, -1) for part in of_layer]
        copies.append((*of_rows, *([] if window is None else [torch.tensor(window)])))
    return DynamicCache(copies)


@torch.inference_mode()
def written(rows: Whole | Cached, count: int, ended: Callable[[Ids], bool], *, most: int) -> list[list[int]]:
    """What each of `count` rows writes: the likeliest token after the query, and so on.

    A row ends with the token at which it is `ended`, or with its `most`-th. Ended rows are run no further.
    """
    texts: list[list[int]] = [[] for _ in range(count)]
    going = list(range(count))
    logits = rows.logits()
    while True:
        tokens = logits.argmax(-1).tolist()
        for row, token in zip(going, tokens, strict=True):
            texts[row].append(token)
        on = [i for i, row in enumerate(going) if len(texts[row]) < most and not ended(texts[row])]
        if not on:
            return texts
        going = [going[i] for i in on]
        logits = rows.after(on, [tokens[i] for i in on])
