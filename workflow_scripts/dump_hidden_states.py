"""Dump one arm's states of every layer at the last prompt token, or another, and its answers, for all sets of a level.

An arm is what its prompt shows of a set and what the model's weights are. That is all this stage is told of it.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import torch

from workflow_scripts.lib.artifacts.provenance import ids_digest, origin
from workflow_scripts.lib.artifacts.states_format import Given, Unembedding
from workflow_scripts.lib.artifacts.states_writing import (
    Answered,
    Asked,
    OfLabels,
    OfTexts,
    StateWriter,
    state_writer,
)
from workflow_scripts.lib.command import command
from workflow_scripts.lib.data.examples import Example, Examples, read_examples
from workflow_scripts.lib.data.prompts import Prompts
from workflow_scripts.lib.data.sets import ANOTHER, DemonstrationSet, OtherTask, read_sets, read_told
from workflow_scripts.lib.data.shown import SHOWN, Shown, beside
from workflow_scripts.lib.data.template import Rewording
from workflow_scripts.lib.forward.final_norm import before_final_norm
from workflow_scripts.lib.forward.kept import kept
from workflow_scripts.lib.forward.reader import LastToken, Reader, StateError
from workflow_scripts.lib.forward.settings import DumpHiddenStates, back
from workflow_scripts.lib.forward.shared_prefix import Parts
from workflow_scripts.lib.forward.taps import LAYERS
from workflow_scripts.lib.models.load import LoadedModel, in_float32, load_model
from workflow_scripts.lib.progress import Progress
from workflow_scripts.lib.tuning.put_in import put_in

Run = Literal["batched", "alone", "float32"]


def dump_hidden_states(
    examples: Path,
    model: Path,
    *,
    arm: str,
    shows: str | None,
    run: Run,
    demonstrations: Path | None,
    adapters: Path | None,
    other: Path | None,
    imported: Path | None,
    rewording: Rewording | None,
    settings: DumpHiddenStates,
    states: Path,
) -> None:
    """Write `states`: a row per (set, query that it serves) with the state of every layer and what is answered.

    Of classification these are scores of the labels, of generation that of the answer and, if so set, a greedy answer.

    Args:
        examples: Prepared data set; its queries are asked.
        model: Prepared model.
        arm: What the arm is called.
        shows: How its prompt shows a set, one of lib/data/shown.py; null for not at all.
        run: `batched`; or, to see the noise, `alone` (each query alone in its batch), `float32` (other weights).
        demonstrations: Sets of the level; null for an arm that is given none.
        adapters: Folder with what was tuned on the same sets, in {set}/ each; null for the model as it is.
        other: Another prepared data set, for a way of showing that takes its demonstrations; null for others.
        imported: Folder of one peft adapter that all is run through, whoever tuned it; null for none.
        rewording: What is put otherwise in the data set's template; null for nothing.
        settings: The block of params.yaml that is called as this stage.
        states: Parquet file to write.
    """
    data, loaded = read_examples(examples).reworded(rewording), load_model(model)
    if run == "float32":
        loaded = LoadedModel(in_float32(loaded.model, model), loaded.tokenizer)
    task = OtherTask(ANOTHER, read_examples(other)) if other else None
    told = read_told(demonstrations) if demonstrations else {}
    told |= {task.name: task.examples.wording} if task else {}
    prompts = Prompts(loaded.tokenizer, data.template, data.words, told)
    asked, at_hand = _asked(data, demonstrations), beside(task, data.queries, prompts.length)
    made = origin(
        layers=LAYERS,
        precision=loaded.precision,
        device=loaded.model.device.type,
        **{"arm": arm, "shows": shows, "run": run, "label_words": data.words, "template": data.template},
    )
    unembedding = None if data.generation else _unembedding(loaded, prompts)
    passes = 1 + data.generation + (data.generation and _most(settings, run) > 0)
    with (
        # A CPU that writes does not compute; while a GPU computes, it has nothing else to do.
        state_writer(states, made, unembedding, beside=loaded.model.device.type != "cpu") as writer,
        Progress("prompts", passes * sum(len(queries) for _, queries in asked)) as progress,
    ):
        reader = Reader(
            loaded.model,
            list(prompts.labels.values()),
            tokens_per_batch=settings.tokens_per_batch,
            position=settings.position,
            progress=progress.advance,
        )
        dump = Dump(reader, prompts, data, writer, settings, arm, run)
        for each, queries in asked:
            tuned = adapters / each.id if adapters and each else imported
            dump.append(each, SHOWN[shows](each, at_hand) if each and shows else (), tuned, queries)


def _unembedding(loaded: LoadedModel, prompts: Prompts) -> Unembedding:
    """By what the model as it is, with nothing tuned in it, tells the labels' first tokens."""
    rows = loaded.unembedding([ids[0] for ids in prompts.labels.values()])
    before = before_final_norm(loaded.model, torch.from_numpy(rows))
    return Unembedding(rows, None if before is None else before.numpy())


def _asked(data: Examples, demonstrations: Path | None) -> list[tuple[DemonstrationSet | None, list[Example]]]:
    """Every set and the queries that it serves; all of them without one."""
    if demonstrations is None:
        return [(None, data.queries)]
    return [(each.set, each.asked(data.queries)) for each in read_sets(demonstrations)]


class Dump:
    """Asks one model queries for one set after the other and appends what it reads to one file."""

    def __init__(
        self,
        reader: Reader,
        prompts: Prompts,
        data: Examples,
        writer: StateWriter,
        settings: DumpHiddenStates,
        arm: str,
        run: Run,
    ) -> None:
        self.reader, self.prompts, self.writer, self.settings = reader, prompts, writer, settings
        self.arm, self.run = arm, run
        self.most = _most(settings, run)
        self.ids = {one.id: prompts.query(one.fields) for one in data.queries}
        self.targets = {one.id: target for one, target in zip(data.queries, data.targets, strict=True)}

    def append(
        self, given: DemonstrationSet | None, shown: Shown, tuned: Path | None, queries: Sequence[Example]
    ) -> None:
        """Ask queries after the demonstrations shown, with what was tuned put in, if there is a folder of that."""
        prefix, query_ids = self.prompts.prefix(shown), [self.ids[one.id] for one in queries]
        with put_in(self.reader.model, tuned) as parts:
            read = self._read(given, prefix, queries, parts)
            answers = self._texts(prefix, queries, parts) if self.prompts.generation else _labels(read)
        of_set = (given.id, self.prompts.digest(given.demonstrations)) if given else ()
        at = -1 - back(self.reader.position)
        asked = Asked(
            [one.id for one in queries],
            [self.targets[one.id] for one in queries],
            [self.prompts.learnt(one.label)[0] for one in queries],
            [ids_digest(prefix + ids) for ids in query_ids],
            [ids[at] for ids in query_ids],
            [str(self.prompts.tokenizer.decode([ids[at]])) for ids in query_ids],
        )
        # A repeat of the anchor is exact on disk, so that the noise it shows has the rounding of the others in it.
        layers, states = kept(read.states.numpy(), self.settings, exact=self.run != "batched")
        answered = Answered(states, read.top_token.numpy(), answers, layers)
        self.writer.write(Given(self.arm, *of_set), asked, answered)

    def _texts(self, prefix: list[int], queries: Sequence[Example], parts: Parts | None) -> OfTexts:
        """The score of each query's answer, and what is written in its place."""
        query_ids, answers = [self.ids[one.id] for one in queries], [self.prompts.learnt(one.label) for one in queries]
        scores = self.reader.score(prefix, query_ids, answers, alone=self.run == "alone", parts=parts)
        written: list[str | None] = [None] * len(queries)
        if self.most:
            texts = self.reader.write(prefix, query_ids, self.prompts.ends, most=self.most, parts=parts)
            written = [self.prompts.answer(text) for text in texts]
        return OfTexts([one.label for one in queries], [len(ids) for ids in answers], scores.numpy(), written)

    def _read(
        self, given: DemonstrationSet | None, prefix: list[int], queries: Sequence[Example], parts: Parts | None
    ) -> LastToken:
        try:
            return self.reader.read(
                prefix, [self.ids[one.id] for one in queries], alone=self.run == "alone", parts=parts
            )
        except StateError as error:
            where = f"{self.arm}{f', set {given.id}' if given else ''}, query {queries[error.prompt].id}"
            raise StateError(error.prompt, error.layer, where) from None


def _most(settings: DumpHiddenStates, run: Run) -> int:
    """Tokens of a greedy answer; none of the repeats of the anchor, which tell the noise of states."""
    return settings.new_tokens if run == "batched" else 0


def _labels(read: LastToken) -> OfLabels:
    return OfLabels(read.label_log_probs.numpy(), read.open_label.numpy())


if __name__ == "__main__":
    command(dump_hidden_states)
