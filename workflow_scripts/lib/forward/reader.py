"""States of every layer at the last prompt token, and what the model would answer there.

A prompt is a prefix and a query. The prefix is encoded once, all queries run on it, and of every layer only the last
position is kept. Where an architecture forbids that, whole prompts run through the same code.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformers import PreTrainedModel

from workflow_scripts.lib.errors import StudyError
from workflow_scripts.lib.forward.allowed import goes_on
from workflow_scripts.lib.forward.budget import Tokens
from workflow_scripts.lib.forward.greedy import Cached, Whole, written
from workflow_scripts.lib.forward.positions import Span, taken_at
from workflow_scripts.lib.forward.runner import Runner
from workflow_scripts.lib.forward.settings import LAST, Position
from workflow_scripts.lib.forward.shared_prefix import FrozenPrefix, Parts, encoded
from workflow_scripts.lib.forward.transfers import Returning
from workflow_scripts.lib.forward.ways import Ids, Ways, answer_scores, last_states
from workflow_scripts.lib.progress import log

EVERY_LAYER = slice(None)
# The numbers of a batch's prompts, and what runs of each (its end, where the prefix is shared) -> what to do meanwhile.
Within = Callable[[Sequence[int], Sequence[Ids]], AbstractContextManager[None]]


class StateError(StudyError):
    """A state that is not finite, or all zero; `prompt` is the number of the prompt it arose from."""

    def __init__(self, prompt: int, layer: int, where: str = "") -> None:
        super().__init__(f"{where or f'prompt {prompt}'}: the state at layer {layer} is not finite or all zero")
        self.prompt, self.layer = prompt, layer


@dataclass(frozen=True)
class LastToken:
    """What is read at the last token of each prompt; float32, in main memory, in the prompts' order.

    Of a batch it is where the model is. The states are those of the layers that were asked for.
    """

    states: Float[Tensor, "prompt layer d_model"]
    label_log_probs: Float[Tensor, "prompt label"]
    open_label: Int[Tensor, " prompt"]
    top_token: Int[Tensor, " prompt"]


class Reader(Runner):
    """Reads the last token of prompts on one model.

    An adapter may be put into the model, or taken out, between two reads.
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
        super().__init__(model, tokens_per_batch=tokens_per_batch, progress=progress)
        self.labels, self.position = labels, position
        self.more = max(map(len, labels), default=1) - 1  # tokens of a label that run after a prompt

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
        past, run = self.split(prefix, queries, self.more, parts)
        lengths, returning = [len(ids) for ids in run], Returning()

        def batch(some: list[int]) -> LastToken:
            own = [run[i] for i in some]
            span = taken_at(self.position, [lengths[i] for i in some], [len(queries[i]) for i in some])
            with within(some, own):
                read = _one_batch(self.model, self.ways, past, own, span, self.labels, layers)
            return LastToken(*returning.take(*(getattr(read, name) for name in LastToken.__annotations__)))

        rows, back = self.in_batches(past, lengths, batch, self.budget, more=self.more, alone=alone)
        returning.settled()
        read = LastToken(*(torch.cat([getattr(row, name) for row in rows])[back] for name in LastToken.__annotations__))
        check_states(read.states)
        return read

    def score(
        self,
        prefix: Ids,
        queries: Sequence[Ids],
        answers: Sequence[Ids],
        *,
        alone: bool = False,
        parts: Parts | None = None,
    ) -> Float[Tensor, " prompt"]:
        """The log-probability of an answer of its own after `prefix` + each query: the sum over its tokens."""
        past, run = self.split(prefix, queries, max(map(len, answers)) - 1, parts)
        lengths = [len(ids) + len(answer) - 1 for ids, answer in zip(run, answers, strict=True)]
        returning = Returning()

        def batch(some: list[int]) -> Tensor:
            own = ([run[i] for i in some], [answers[i] for i in some])
            with torch.inference_mode():
                scores, _ = answer_scores(self.model, self.ways, past, *own)
            return returning.take(scores)[0]

        rows, back = self.in_batches(past, lengths, batch, self.budget, alone=alone)
        returning.settled()
        return torch.cat(rows)[back]

    def write(
        self,
        prefix: Ids,
        queries: Sequence[Ids],
        ended: Callable[[Ids], bool],
        *,
        most: int,
        parts: Parts | None = None,
    ) -> list[list[int]]:
        """What the model writes after `prefix` + each query if it always takes the likeliest token.

        At most `most` tokens, and none after one at which the text is `ended`; a token by which the model itself ends
        its texts is none of them.
        """
        past, run = self.split(prefix, queries, most, parts)
        ends = _ends(self.model)
        cached, alike = self._going_on(past, [] if prefix else run, most)

        def batch(some: list[int]) -> list[list[int]]:
            own = [run[i] for i in some]
            rows = Cached(self.model, past, own) if cached else Whole(self.model, self.ways, past, own)
            return written(rows, len(own), lambda text: text[-1] in ends or ended(text), most=most)

        rows, back = self.in_batches(past, [len(ids) for ids in run], batch, self.writing, more=most, alike=alike)
        texts = [text[:-1] if text[-1] in ends else text for row in rows for text in row]
        return [texts[i] for i in back.tolist()]

    def _going_on(self, past: FrozenPrefix | None, queries: Sequence[Ids], most: int) -> tuple[bool, bool]:
        """Can queries write on from keys and values of their own, and must those of a batch be of one length then."""
        if past is None and queries and self.turn is None and self.ways.sharing:
            longest = max(map(len, queries)) + most
            past = encoded(self.model, queries[0], longest, windows=self.ways.windows)
        windowed = past is not None and past.windowed
        found = self._goes_on_in_window if windowed else self._goes_on
        return found and past is not None, windowed

    @cached_property
    def _goes_on(self) -> bool:
        return self._found_to_go_on(in_window=False)

    @cached_property
    def _goes_on_in_window(self) -> bool:
        return self._found_to_go_on(in_window=True)

    def _found_to_go_on(self, *, in_window: bool) -> bool:
        found = goes_on(self.model, self.ways, in_window=in_window)
        if not found:
            log(f"{type(self.model).__name__} writes answers by running the whole prompt for each token")
        return found


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
        else answer_scores(model, ways, past, queries, [label] * len(queries))
        for label in labels
    ]
    kept = states[:, layers].float()
    if not labels:
        return LastToken(kept, torch.empty(len(queries), 0), torch.full((len(queries),), -1), top)
    scores, likeliest = (torch.stack(part, dim=1) for part in zip(*answers, strict=True))
    open_label = torch.where(likeliest.any(1), likeliest.int().argmax(1), -1)
    return LastToken(kept, scores, open_label, top)


def _ends(model: PreTrainedModel) -> set[int]:
    """Tokens with which the model itself ends its texts."""
    found = getattr(model.generation_config, "eos_token_id", None)
    return set() if found is None else {found} if isinstance(found, int) else set(found)
