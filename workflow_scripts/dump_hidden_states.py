"""Dump one arm's states of every layer at the last prompt token, and its answers, for every set of a level.

An arm is what its prompt shows of a set and what the model's weights are. That is all this stage is told of it.
"""

from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Literal

from workflow_scripts.lib.artifacts.provenance import ids_digest, origin
from workflow_scripts.lib.artifacts.states import (
    Answered,
    Asked,
    Given,
    OfLabels,
    OfTexts,
    StateWriter,
    state_writer,
)
from workflow_scripts.lib.command import command
from workflow_scripts.lib.data.examples import Example, Examples, read_examples
from workflow_scripts.lib.data.prompts import Prompts
from workflow_scripts.lib.data.sets import DemonstrationSet, read_sets, read_told
from workflow_scripts.lib.data.shown import SHOWN, Shown
from workflow_scripts.lib.data.template import Rewording
from workflow_scripts.lib.forward.reader import LastToken, Reader, StateError
from workflow_scripts.lib.forward.settings import DumpHiddenStates
from workflow_scripts.lib.forward.taps import LAYERS
from workflow_scripts.lib.lora.apply import with_adapter
from workflow_scripts.lib.models.load import LoadedModel, in_float32, load_model
from workflow_scripts.lib.progress import Progress


def dump_hidden_states(
    examples: Path,
    model: Path,
    *,
    arm: str,
    shows: str | None,
    run: Literal["batched", "alone", "float32"],
    demonstrations: Path | None,
    adapters: Path | None,
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
        adapters: Folder with {set}/ adapters of the same sets; null for the model as it is.
        rewording: What is put otherwise in the data set's template; null for nothing.
        settings: The block of params.yaml that is called as this stage.
        states: Parquet file to write.
    """
    data, loaded = read_examples(examples).reworded(rewording), load_model(model)
    if run == "float32":
        loaded = LoadedModel(in_float32(loaded.model, model), loaded.tokenizer)
    told = read_told(demonstrations) if demonstrations else {}
    prompts = Prompts(loaded.tokenizer, data.template, data.words, told)
    asked = _asked(data, demonstrations)
    made = origin(
        layers=LAYERS,
        dtype=str(loaded.model.dtype).removeprefix("torch."),
        device=loaded.model.device.type,
        **{"arm": arm, "shows": shows, "run": run, "label_words": data.words, "template": data.template},
    )
    unembedding = None if data.generation else loaded.unembedding([ids[0] for ids in prompts.labels.values()])
    # The repeats of the anchor tell the noise of states, and write nothing.
    most = settings.new_tokens if run == "batched" else 0
    passes = 1 + data.generation + bool(most)
    with (
        state_writer(states, made, unembedding) as writer,
        Progress("prompts", passes * sum(len(queries) for _, queries in asked)) as progress,
    ):
        reader = Reader(
            loaded.model,
            list(prompts.labels.values()),
            tokens_per_batch=settings.tokens_per_batch,
            progress=progress.advance,
        )
        dump = Dump(reader, prompts, data, writer, arm, alone=run == "alone", most=most)
        for each, queries in asked:
            dump.append(each, SHOWN[shows](each) if each and shows else (), adapters, queries)


def _asked(data: Examples, demonstrations: Path | None) -> list[tuple[DemonstrationSet | None, list[Example]]]:
    """Every set and the queries that it serves; all of them without one."""
    if demonstrations is None:
        return [(None, data.queries)]
    return [(each.set, each.asked(data.queries)) for each in read_sets(demonstrations)]


class Dump:
    """Asks one model queries for one set after the other and appends what it reads to one file."""

    def __init__(
        self, reader: Reader, prompts: Prompts, data: Examples, writer: StateWriter, arm: str, *, alone: bool, most: int
    ) -> None:
        """`most`: tokens of a greedy answer; 0 where none is written."""
        self.reader, self.prompts, self.writer = reader, prompts, writer
        self.arm, self.alone, self.most = arm, alone, most
        self.ids = {one.id: prompts.query(one.fields) for one in data.queries}
        self.targets = {one.id: target for one, target in zip(data.queries, data.targets, strict=True)}

    def append(
        self, given: DemonstrationSet | None, shown: Shown, adapters: Path | None, queries: Sequence[Example]
    ) -> None:
        """Ask queries after the demonstrations shown, through the set's adapter if there is a folder of them."""
        prefix, query_ids = self.prompts.prefix(shown), [self.ids[one.id] for one in queries]
        with with_adapter(self.reader.model, adapters / given.id) if adapters and given else nullcontext():
            read = self._read(given, prefix, queries)
            answers = self._texts(prefix, queries) if self.prompts.generation else _labels(read)
        of_set = (given.id, self.prompts.digest(given.demonstrations)) if given else ()
        asked = Asked(
            [one.id for one in queries],
            [self.targets[one.id] for one in queries],
            [self.prompts.learnt(one.label)[0] for one in queries],
            [ids_digest(prefix + ids) for ids in query_ids],
            [ids[-1] for ids in query_ids],
            [str(self.prompts.tokenizer.decode([ids[-1]])) for ids in query_ids],
        )
        answered = Answered(read.states.numpy(), read.top_token.numpy(), answers)
        self.writer.write(Given(self.arm, *of_set), asked, answered)

    def _texts(self, prefix: list[int], queries: Sequence[Example]) -> OfTexts:
        """The score of each query's answer, and what is written in its place."""
        query_ids, answers = [self.ids[one.id] for one in queries], [self.prompts.learnt(one.label) for one in queries]
        scores = self.reader.score(prefix, query_ids, answers, alone=self.alone)
        written: list[str | None] = [None] * len(queries)
        if self.most:
            texts = self.reader.write(prefix, query_ids, self.prompts.ends, most=self.most)
            written = [self.prompts.answer(text) for text in texts]
        return OfTexts([one.label for one in queries], [len(ids) for ids in answers], scores.numpy(), written)

    def _read(self, given: DemonstrationSet | None, prefix: list[int], queries: Sequence[Example]) -> LastToken:
        try:
            return self.reader.read(prefix, [self.ids[one.id] for one in queries], alone=self.alone)
        except StateError as error:
            where = f"{self.arm}{f', set {given.id}' if given else ''}, query {queries[error.prompt].id}"
            raise StateError(error.prompt, error.layer, where) from None


def _labels(read: LastToken) -> OfLabels:
    return OfLabels(read.label_log_probs.numpy(), read.open_label.numpy())


if __name__ == "__main__":
    command(dump_hidden_states)
