"""Prompts run in batches on a model: a prefix encoded once, queries of about the same length, as memory holds them."""

from collections.abc import Callable, Sequence
from typing import TypeVar

import torch
from torch import Tensor
from transformers import PreTrainedModel

from workflow_scripts.lib.errors import StudyError
from workflow_scripts.lib.forward.allowed import found_ways
from workflow_scripts.lib.forward.budget import Budget, Tokens, gpu_memory
from workflow_scripts.lib.forward.rope_lengths import check_lengths, turning_point, turns_after
from workflow_scripts.lib.forward.shared_prefix import FrozenPrefix, Parts, PrefixError, encoded
from workflow_scripts.lib.forward.token_batches import by_length, fitting
from workflow_scripts.lib.forward.ways import Ids
from workflow_scripts.lib.progress import log

Row = TypeVar("Row")


class PromptError(StudyError):
    """A prompt that memory does not hold, even alone."""

    def __init__(self, tokens: int) -> None:
        super().__init__(
            f"memory does not hold a prompt of {tokens} tokens alone; use fewer shots, shorter texts, or for the "
            "model another device"
        )


class Runner:
    """Runs prompts on one model.

    What the model allows is found once, on a short prompt, against transformers' own `output_hidden_states`. Rows that
    write have a budget of their own, as each keeps a copy of the prefix.
    """

    def __init__(self, model: PreTrainedModel, *, tokens_per_batch: Tokens, progress: Callable[[int], None]) -> None:
        """`progress` is told how many prompts a batch held; `auto` tokens are as many as memory is seen to hold."""
        self.model, self.progress = model, progress
        self.ways = found_ways(model)
        self.budget, self.writing = (
            Budget(tokens_per_batch, gpu_memory(model)) if self.ways.batching else Budget(1, None) for _ in range(2)
        )
        self.turn = turning_point(model.config)
        self.told = False

    def in_batches(
        self,
        past: FrozenPrefix | None,
        lengths: Sequence[int],
        run: Callable[[list[int]], Row],
        budget: Budget,
        *,
        more: int = 0,
        alone: bool = False,
        alike: bool = False,
    ) -> tuple[list[Row], Tensor]:
        """What `run` gives for batches of prompts, and where each prompt stands in all of them.

        `more`: tokens that run after each length. With `alone` every prompt has a batch of its own, with `alike` none
        has prompts of several lengths.
        """
        waiting = by_length(lengths)
        back = torch.tensor(waiting).argsort()
        rows: list[Row] = []
        cuts = sorted({*lengths}) if alike else self._cuts(past, more)
        while waiting:
            own = [lengths[i] for i in waiting]
            batch = waiting[: 1 if alone else fitting(own, budget.tokens, cuts)]
            row = self._attempt(past, batch, max(own[: len(batch)]), run, budget)
            if row is None:
                budget.halve()
                continue
            rows.append(row)
            waiting = waiting[len(batch) :]
            self.progress(len(batch))
        return rows, back

    def split(
        self, prefix: Ids, queries: Sequence[Ids], more: int, parts: Parts | None = None
    ) -> tuple[FrozenPrefix | None, Sequence[Ids]]:
        """The frozen prefix and what runs on it; without a prefix, or where it cannot be shared, whole prompts.

        `more`: tokens that run after the longest query. `parts`: keys and values that stand in the place of those that
        the model makes of the prefix. PromptError where memory does not hold the prefix, PrefixError where `parts`
        cannot stand there.
        """
        try:
            past, run = self._shared(prefix, queries, len(prefix) + max(map(len, queries)) + more)
        except torch.OutOfMemoryError:
            raise PromptError(len(prefix)) from None
        if parts is None:
            return past, run
        if past is None:
            raise PrefixError(f"{type(self.model).__name__} cannot run these prompts on keys and values of a prefix")
        return past.exchanged(parts), run

    def _shared(self, prefix: Ids, queries: Sequence[Ids], longest: int) -> tuple[FrozenPrefix | None, Sequence[Ids]]:
        check_lengths(self.model.config, [longest])
        if prefix and self.ways.sharing:
            if turns_after(self.model.config, len(prefix), longest):
                self.tell(f"whole prompts: after {self.turn} tokens the model has other rotary frequencies")
                return None, [[*prefix, *ids] for ids in queries]
            past = encoded(self.model, prefix, longest, windows=self.ways.windows)
            if past is not None:
                return past, queries
            self.tell(f"whole prompts: {longest} tokens exceed the window that the model attends to")
        return None, [[*prefix, *ids] for ids in queries]

    def _cuts(self, past: FrozenPrefix | None, more: int) -> list[int]:
        """Lengths of prompts between which a batch must not reach: with it, or with what follows it, one turns."""
        return [] if self.turn is None or past is not None else [self.turn - i for i in range(more + 1)]

    def _attempt(
        self,
        past: FrozenPrefix | None,
        batch: list[int],
        longest: int,
        run: Callable[[list[int]], Row],
        budget: Budget,
    ) -> Row | None:
        """None where memory does not hold the batch; a single prompt that does not fit is an error."""
        try:
            with budget.watched(len(batch) * longest):
                return run(batch)
        except torch.OutOfMemoryError:
            if len(batch) == 1:
                raise PromptError(longest + (past.get_seq_length() if past else 0)) from None
            return None

    def tell(self, line: str) -> None:
        """Say once how prompts run, where that is not the usual way."""
        if not self.told:
            log(line)
        self.told = True
