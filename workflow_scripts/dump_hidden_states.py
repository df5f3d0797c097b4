"""Dump states of every layer at the last prompt token: of the anchor, or of ICL and IT for every draw of a cell.

The anchor is dumped more than once: what then differs is noise, the floor under every difference of conditions.
"""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from workflow_scripts.lib.adapters import with_adapter
from workflow_scripts.lib.budget import Tokens
from workflow_scripts.lib.command import command
from workflow_scripts.lib.demonstrations import Draw, read_draws
from workflow_scripts.lib.examples import Example, read_examples
from workflow_scripts.lib.hidden_states import LastToken, Reader, StateError
from workflow_scripts.lib.models import LoadedModel, in_float32, load_model, lower_precision
from workflow_scripts.lib.progress import Progress
from workflow_scripts.lib.prompts import Prompts, Template
from workflow_scripts.lib.provenance import origin
from workflow_scripts.lib.state_tables import Arm, Asked, StateWriter, state_writer
from workflow_scripts.lib.taps import LAYERS


def dump_hidden_states(
    examples: Path,
    model: Path,
    *,
    template: Template,
    tokens_per_batch: Tokens,
    states: Path,
    demonstrations: Path | None = None,
    adapters: Path | None = None,
) -> None:
    """Write `states`: a row per (condition, level, draw, query) with the state of every layer and the label scores.

    Without demonstrations and adapters the condition is `anchor`, and in a model of lower precision `anchor_float32`
    too; with them, `icl` and `it` for every draw, and `anchor_alone`, each query alone in its batch.

    Args:
        examples: Prepared data set; its queries are asked.
        model: Prepared model.
        template: How an example becomes a prompt.
        tokens_per_batch: Queries run together up to this many tokens, not counting the demonstrations before them;
            `auto` for what suits the device.
        states: Parquet file to write.
        demonstrations: Draws of the cell.
        adapters: Folder with {level}/{draw}/ adapters of the same draws.
    """
    data, loaded = read_examples(examples), load_model(model)
    prompts = Prompts(loaded.tokenizer, template, data.words)
    draws = read_draws(demonstrations) if demonstrations else []
    made = origin(
        "dump_hidden_states",
        ("torch", "transformers"),
        layers=LAYERS,
        label_words=data.words,
        dtype=str(loaded.model.dtype).removeprefix("torch."),
        template=template,
    )
    arms = 2 * len(draws) + 1 if draws else 1 + lower_precision(loaded.model)
    with state_writer(states, made) as writer, Progress("prompts", arms * len(data.queries)) as progress:
        dump = Dump(loaded, prompts, data.queries, data.words, writer, tokens_per_batch, progress.advance)
        if draws:
            dump.cell(draws, Path(adapters or ""))
        else:
            dump.anchors(model)


class Dump:
    """Asks one model the same queries in every condition and appends what it reads to one file."""

    def __init__(
        self,
        loaded: LoadedModel,
        prompts: Prompts,
        queries: Sequence[Example],
        words: Sequence[str],
        writer: StateWriter,
        tokens_per_batch: Tokens,
        progress: Callable[[int], None],
    ) -> None:
        self.loaded, self.prompts, self.writer = loaded, prompts, writer
        self.reader_of = partial(
            Reader, labels=list(prompts.labels.values()), tokens_per_batch=tokens_per_batch, progress=progress
        )
        self.reader = self.reader_of(loaded.model)
        self.query_ids = [prompts.query(one.fields) for one in queries]
        self.queries = [one.id for one in queries]
        self.labels = [words.index(one.label) for one in queries]
        self.label_tokens = [prompts.labels[one.label][0] for one in queries]

    def anchors(self, prepared: Path) -> None:
        """The base model, no demonstrations; where its precision is lower, once more with its weights in float32."""
        self._append(Arm("anchor"), self.prompts.prefix())
        if lower_precision(self.loaded.model):
            self.reader = self.reader_of(in_float32(self.loaded.model, prepared))
            self._append(Arm("anchor_float32"), self.prompts.prefix())

    def cell(self, draws: Sequence[Draw], adapters: Path) -> None:
        """ICL and IT of every draw, and the anchor in other batches and another process than `anchors` ran it."""
        self._append(Arm("anchor_alone"), self.prompts.prefix(), alone=True)
        for draw in draws:
            self.icl(draw)
            self.it(draw, adapters / draw.level / str(draw.draw))

    def icl(self, draw: Draw) -> None:
        """The base model, demonstrations before the query."""
        self._append(self._arm("icl", draw), self.prompts.prefix(draw.as_demonstrations()))

    def it(self, draw: Draw, adapter: Path) -> None:
        """The model tuned on the demonstrations, the query alone."""
        with with_adapter(self.loaded.model, adapter):
            self._append(self._arm("it", draw), self.prompts.prefix())

    def _arm(self, condition: str, draw: Draw) -> Arm:
        return Arm(condition, draw.level, draw.draw, draw.demo_set, self.prompts.digest(draw.as_demonstrations()))

    def _append(self, arm: Arm, prefix: list[int], *, alone: bool = False) -> None:
        asked = [prefix + ids for ids in self.query_ids]
        last = [str(self.loaded.tokenizer.decode([ids[-1]])) for ids in asked]
        read = self._read(arm, prefix, alone)
        self.writer.write(arm, Asked(self.queries, asked, self.labels, self.label_tokens, last), read)

    def _read(self, arm: Arm, prefix: list[int], alone: bool) -> LastToken:
        try:
            return self.reader.read(prefix, self.query_ids, alone=alone)
        except StateError as error:
            where = f"{arm.condition} of level {arm.level}, draw {arm.draw}, query {self.queries[error.prompt]}"
            raise StateError(error.prompt, error.layer, where) from None


if __name__ == "__main__":
    command(dump_hidden_states)
