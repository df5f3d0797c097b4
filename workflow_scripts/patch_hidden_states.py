"""Put states of arms into the anchor's run, layer by layer, and measure what it then answers.

A similarity of states says that they are alike; a state that makes the anchor answer as the arm does has what the arm
answers from. Writes a row per (level, draw, layer, arm, patch, measure), in the columns of compare_hidden_states: `one`
is the anchor, whose run it is, `other` the arm that the state is from, and `match` the patch.
"""

from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from workflow_scripts.lib.artifacts.compared import SIMILARITY
from workflow_scripts.lib.artifacts.provenance import origin
from workflow_scripts.lib.artifacts.tables import write_table
from workflow_scripts.lib.command import command
from workflow_scripts.lib.data.examples import read_examples
from workflow_scripts.lib.data.prompts import Prompts
from workflow_scripts.lib.data.template import Rewording
from workflow_scripts.lib.forward.patch import read_patched, scoring
from workflow_scripts.lib.forward.reader import Reader
from workflow_scripts.lib.forward.taps import LAYERS
from workflow_scripts.lib.models.load import load_model
from workflow_scripts.lib.patching.level import Level, PatchedLevel, Run, open_levels, own_labels, own_scores, run_of
from workflow_scripts.lib.patching.measures import NONE, Floats, Predicted, Written, rows_of
from workflow_scripts.lib.patching.patches import PATCHES, Patch, States
from workflow_scripts.lib.patching.settings import Patching
from workflow_scripts.lib.progress import Progress, log

VALUES_AT_ONCE = 2**28  # of states that are put in: a GiB of float32


def patch_hidden_states(
    examples: Path,
    model: Path,
    *,
    levels: dict[str, PatchedLevel],
    rewording: Rewording | None,
    settings: Patching,
    similarity: Path,
) -> None:
    """Write the measures of the patched runs; ArtifactError where states are of other ones, LayerError for no layer.

    Args:
        examples: Prepared data set; its queries are asked.
        model: Prepared model.
        levels: name -> the sets of a level, the anchor's states, and states of the arms that are put in
        rewording: What is put otherwise in the data set's template; null for nothing.
        settings: how; of the block of params.yaml that is called as this stage
        similarity: where to write the measures; no rows where the model's layers cannot be reached
    """
    data, loaded = read_examples(examples).reworded(rewording), load_model(model)
    prompts = Prompts(loaded.tokenizer, data.template, data.words)
    reader = Reader(loaded.model, list(prompts.labels.values()), tokens_per_batch=settings.tokens_per_batch)
    made = origin(**settings.model_dump(), numbered=LAYERS, device=loaded.model.device.type)
    if not reader.ways.hooks:
        log(f"{type(loaded.model).__name__}: its layers cannot be given other states, so nothing is patched")
        levels = {}
    run, patches = run_of(data, prompts), [patch for patch in PATCHES if patch.name in settings.patches]
    rows: list[dict[str, Any]] = []
    with open_levels(levels, data, run) as opened:
        todo = [(level, some) for level in opened for some in _blocks(level, settings)]
        with Progress("layers", sum(len(some) for _, some in todo)) as progress:
            for level, some in todo:
                rows += _rows(level, some, patches, run, reader)
                progress.advance(len(some))
    write_table(pa.Table.from_pylist(rows, schema=SIMILARITY), similarity, made)


def _blocks(level: Level, settings: Patching) -> list[Sequence[int]]:
    """The layers to patch, as many at a time as memory should hold: the fewer, the oftener each prompt is encoded."""
    layers = settings.of_layers(level.anchor.layers)
    of_layer = level.anchor.states(None, layers[0]).size * len(level.sets) * len(level.arms) * len(settings.patches)
    at_once = max(1, VALUES_AT_ONCE // of_layer)
    return [layers[start : start + at_once] for start in range(0, len(layers), at_once)]


def _rows(
    level: Level, layers: Sequence[int], patches: Sequence[Patch], run: Run, reader: Reader
) -> Iterator[dict[str, Any]]:
    """The measures of every arm and patch at some layers."""
    made = np.stack([_made(level, layer, patches, run) for layer in layers])
    own = own_scores if run.answers else own_labels
    anchor, (of_anchor,) = level.anchor.arm, own(level.anchor, [None])
    of_arms = {arm.arm: own(arm, level.sets.values()) for arm in level.arms}
    answers = _answers(made, layers, run, reader).reshape(-1, *made.shape[2:4], 2)
    for (layer, arm, patch), found in zip(product(layers, of_arms, patches), answers, strict=True):
        answered = _answered(found, of_arms[arm], of_anchor, level, run)
        keys = {"level": level.name, "layer": layer, "one": anchor, "other": arm, "match": patch.name}
        yield from (keys | row for row in rows_of(answered, [*level.sets]))


def _answered(found: Floats, of_arm: Any, of_anchor: Any, level: Level, run: Run) -> Predicted | Written:
    """What the patched runs [draws, queries, 2] answer, beside the arm's and the anchor's own runs."""
    if run.answers:
        return Written(found[..., 0], found[..., 1], of_arm, of_anchor)
    labels = np.where(np.isnan(found[..., 0]), NONE, found[..., 0]).astype(np.intp)
    return Predicted(labels, of_arm, of_anchor, run.gold, level.shown)


def _made(level: Level, layer: int, patches: Sequence[Patch], run: Run) -> NDArray[np.float32]:
    """What is put in at a layer, [arms x patches, draws, queries, d]."""
    anchor, gold = level.anchor.states(None, layer).astype(np.float64), tuple(run.gold.tolist())
    arms = (np.stack([arm.states(one, layer) for one in level.sets.values()]) for arm in level.arms)
    states = (States(anchor, arm.astype(np.float64), gold) for arm in arms)
    return np.stack([patch.make(of).astype(np.float32) for of in states for patch in patches])


def _answers(states: NDArray[np.float32], layers: Sequence[int], run: Run, reader: Reader) -> Floats:
    """What the anchor answers with states [layers, ..., queries, d] put in: [layers, ..., queries, 2]; NaN for a NaN.

    Of a label set the label predicted, and nothing else; of generation the log-probability of a query's answer, per
    token, and 1 where it is what would be written.
    """
    found = np.full((*states.shape[:-1], 2), np.nan)
    for number, ids in enumerate(run.queries):
        of_query = states[..., number, :]
        known = ~np.isnan(of_query).any(axis=-1)
        at = torch.tensor(layers)[np.nonzero(known)[0]]
        if not len(at):
            continue
        put = (run.prefix, ids, at, torch.from_numpy(of_query[known]))
        if run.answers:
            read = read_patched(scoring(reader, run.answers[number]), *put)
            score = read.label_log_probs[:, 0] / len(run.answers[number])
            found[..., number, :][known] = torch.stack([score, (read.open_label == 0).float()], dim=1)
        else:
            found[..., number, 0][known] = read_patched(reader, *put).label_log_probs.argmax(dim=1)
    return found


if __name__ == "__main__":
    command(patch_hidden_states)
