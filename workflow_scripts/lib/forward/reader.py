"""States of every layer at the last prompt token, and what the model would answer there.

A prompt is a prefix and a query. The prefix is encoded once, all queries run on it, and of every layer only the last
position is kept. Where an architecture forbids that, whole prompts run through the same code.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformers import PreTrainedModel

from workflow_scripts.lib.errors import StudyError
from workflow_scripts.lib.forward.allowed import found_ways
from workflow_scripts.lib.forward.budget import Budget, Tokens, gpu_memory
from workflow_scripts.lib.forward.positions import Span, taken_at
from workflow_scripts.lib.forward.rope_lengths import check_lengths, turning_point, turns_after
from workflow_scripts.lib.forward.settings import LAST, Position
from workflow_scripts.lib.forward.shared_prefix import FrozenPrefix, Parts, PrefixError, encoded
from workflow_scripts.lib.forward.token_batches import by_length, fitting
from workflow_scripts.lib.forward.ways import Ids, Ways, label_answer, last_states
from workflow_scripts.lib.progress import log

EVERY_LAYER = slice(None)
# The numbers of a batch's prompts, and what runs of each (its end, where the prefix is shared) -> what to do meanwhile.
Within = Callable[[Sequence[int], Sequence[Ids]], AbstractContextManager[None]]


class StateError(StudyError):
    """A state that is not finite, or all zero; `prompt` is the number of the prompt it arose from."""

    def __init__(self, prompt: int, layer: int, where: str = "") -> None:
        super().__init__(f"{where or f'prompt {prompt}'}: the state at layer {layer} is not finite or all zero")
        self.prompt, self.layer = prompt, layer


class PromptError(StudyError):
    """A prompt that memory does not hold, even alone."""

    def __init__(self, tokens: int) -> None:
        super().__init__(
            f"memory does not hold a prompt of {tokens} tokens alone; use fewer shots, shorter texts, or for the "
            "model another device"
        )


@dataclass(frozen=True)
class LastToken:
    """What is read at the last token of each prompt; float32, on the CPU, in the prompts' order.

    The states are those of the layers that were asked for.
    """

    states: Float[Tensor, "prompt layer d_model"]
    label_log_probs: Float[Tensor, "prompt label"]
    open_label: Int[Tensor, " prompt"]
    top_token: Int[Tensor, " prompt"]


class Reader:
    """Reads the last token of prompts on one model.

    What the model allows is found once, on a short prompt, against transformers' own `output_hidden_states`. An
    adapter may be put into the model, or taken out, between two reads.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        labels: Sequence[Ids],
        *,
        tokens_per_batch: Tokens,
        position: Position = LAST,
        progress: Callable[[int], None] = lambda done: None,
    ) -> None:
        """`position`: at which tokens of a query its state is taken; labels are always scored after the last.

        `progress` is told how many prompts a batch held; `auto` tokens are as many as memory is seen to hold.
        """
        self.model, self.labels, self.position, self.progress = model, labels, position, progress
        self.ways = found_ways(model)
        self.budget = Budget(tokens_per_batch, gpu_memory(model)) if self.ways.batching else Budget(1, None)
        self.more = max(map(len, labels), default=1) - 1  # tokens of a label that run after a prompt
        self.turn = turning_point(model.config)
        self.told = False

    def read(
        self,
        prefix: Ids,
        queries: Sequence[Ids],
        *,
        alone: bool = False,
        layers: slice = EVERY_LAYER,
        parts: Parts | None = None,
        within: Within = lambda prompts, run: nullcontext(),
    ) -> LastToken:
        """Read the last token of `prefix` + each query, or its states at the reader's position.

        A label's log-probability is the sum over its tokens given the prompt. The open label is the one that the model
        would write, each of its tokens the likeliest of the vocabulary; -1 where that is none. Batches hold queries of
        about the same length within the budget of tokens (or one query); where memory does not hold them, the budget is
        halved for good. With `alone` every query has a batch of its own. States are kept of `layers`, and every batch
        runs `within` a block that is told which prompts it holds. `parts`: keys and values that stand in the place of
        those that the model makes of the prefix. Raises StateError for a state that is not finite or is all zero,
        PromptError for a prompt that memory does not hold, PrefixError where `parts` cannot stand there.
        """
        try:
            asked = [len(ids) for ids in queries]
            past, queries = self._split(prefix, queries)
        except torch.OutOfMemoryError:
            raise PromptError(len(prefix)) from None
        if parts is not None:
            if past is None:
                raise PrefixError(
                    f"{type(self.model).__name__} cannot run these prompts on keys and values of a prefix"
                )
            past = past.exchanged(parts)
        waiting = by_length([len(ids) for ids in queries])
        back = torch.tensor(waiting).argsort()
        rows: list[LastToken] = []
        while waiting:
            lengths = [len(queries[i]) for i in waiting]
            batch = waiting[: 1 if alone else fitting(lengths, self.budget.tokens, self._cuts(past))]
            run = [queries[i] for i in batch]
            span = taken_at(self.position, [len(ids) for ids in run], [asked[i] for i in batch])
            with within(batch, run):
                row = self._attempt(past, run, span, layers)
            if row is None:
                self.budget.halve()
                continue
            rows.append(row)
            waiting = waiting[len(batch) :]
            self.progress(len(batch))
        read = LastToken(*(torch.cat([getattr(row, name) for row in rows])[back] for name in LastToken.__annotations__))
        check_states(read.states)
        return read

    def _split(self, prefix: Ids, queries: Sequence[Ids]) -> tuple[FrozenPrefix | None, Sequence[Ids]]:
        """The frozen prefix and what runs on it; without a prefix, or where it cannot be shared, whole prompts."""
        longest = len(prefix) + max(map(len, queries)) + self.more
        check_lengths(self.model.config, [longest])
        if prefix and self.ways.sharing:
            if turns_after(self.model.config, len(prefix), longest):
                self._tell(f"whole prompts: after {self.turn} tokens the model has other rotary frequencies")
                return None, [[*prefix, *ids] for ids in queries]
            past = encoded(self.model, prefix, longest)
            if past is not None:
                return past, queries
            self._tell(f"whole prompts: {longest} tokens exceed the window that the model attends to")
        return None, [[*prefix, *ids] for ids in queries]

    def _cuts(self, past: FrozenPrefix | None) -> list[int]:
        """Lengths of prompts between which a batch must not reach: with it, or with a label's tokens, one turns."""
        return [] if self.turn is None or past is not None else [self.turn - i for i in range(self.more + 1)]

    def _attempt(
        self, past: FrozenPrefix | None, queries: Sequence[Ids], span: Span, layers: slice
    ) -> LastToken | None:
        """None where memory does not hold the batch; a single query that does not fit is an error."""
        try:
            with self.budget.watched(len(queries) * max(map(len, queries))):
                return _one_batch(self.model, self.ways, past, queries, span, self.labels, layers)
        except torch.OutOfMemoryError:
            if len(queries) == 1:
                raise PromptError(len(queries[0]) + (past.get_seq_length() if past else 0)) from None
            return None

    def _tell(self, line: str) -> None:
        if not self.told:
            log(line)
        self.told = True


def check_states(states: Float[Tensor, "prompt layer d_model"]) -> None:
    """StateError where a state is not finite or all zero, with the prompt's number and the layer."""
    bad = ~states.isfinite().all(-1) | (states == 0).all(-1)
    if bad.any():
        prompt, layer = bad.nonzero()[0].tolist()
        raise StateError(prompt, layer)


@torch.inference_mode()
def _one_batch(
    model: PreTrainedModel,
    ways: Ways,
    past: FrozenPrefix | None,
    queries: Sequence[Ids],
    span: Span,
    labels: Sequence[Ids],
    layers: slice,
) -> LastToken:
    states, logits = last_states(model, ways, past, queries, span)
    log_probs = logits.float().log_softmax(-1)
    top = log_probs.argmax(-1)
    answers = [
        (log_probs[:, label[0]], top == label[0])
        if len(label) == 1
        else label_answer(model, ways, past, queries, label)
        for label in labels
    ]
    scores, written = (torch.stack(part, dim=1).cpu() for part in zip(*answers, strict=True))
    open_label = torch.where(written.any(1), written.int().argmax(1), -1)
    return LastToken(states[:, layers].float().cpu(), scores, open_label, top.cpu())
