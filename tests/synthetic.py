"""States, sets and adapters made by hand or from seeded noise, written as the stages write them."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from workflow_scripts.compare_hidden_states import compare_hidden_states
from workflow_scripts.lib.arms import CHOOSABLE, arm_named, named
from workflow_scripts.lib.artifacts.adapters import write_tuning
from workflow_scripts.lib.artifacts.levels import LevelFiles
from workflow_scripts.lib.artifacts.provenance import origin
from workflow_scripts.lib.artifacts.states_format import Given, Unembedding
from workflow_scripts.lib.artifacts.states_writing import Answered, Asked, OfLabels, state_writer
from workflow_scripts.lib.data.sets import Demonstration, DemonstrationSet, Place, ServingSet, write_sets
from workflow_scripts.lib.measures.contrasts import CONTRASTS
from workflow_scripts.lib.measures.settings import CHOOSABLE as MEASURES
from workflow_scripts.lib.measures.settings import CompareHiddenStates

LEVELS, DRAWS, QUERIES, LABELS, LAYERS, WIDTH = ("1", "8"), 3, 7, 2, 2, 6
ARMS = ("anchor", "icl", "it", "anchor-alone")
SETTINGS = CompareHiddenStates(contrasts=[one.name for one in CONTRASTS], measures=[one.name for one in MEASURES])


def serving(level, draw):
    """The set of a draw."""
    return ServingSet(DemonstrationSet((Demonstration(f"{level}-{draw}", {"text": "t"}, "a", "a"),)), [Place(draw)])


@dataclass(frozen=True)
class Block:
    """A row group: states (queries, layers, d), log-probabilities (queries, labels) and what rows say."""

    arm: str
    set: str | None
    states: np.ndarray
    label_log_probs: np.ndarray
    labels: list[int]
    queries: list[str]
    tokens: str | None = None
    token_id: int = 5
    prompt: str = "prompt"
    open_labels: list[int] | None = None

    def write(self, writer):
        shown = self.set if arm_named(self.arm).shows else "nothing"
        count, likeliest = len(self.queries), self.label_log_probs.argmax(1)
        written = likeliest if self.open_labels is None else np.array(self.open_labels)
        asked = Asked(
            self.queries,
            self.labels,
            [10 + label for label in self.labels],
            [f"{self.prompt}-{shown}-{query}" for query in self.queries],
            [self.token_id] * count,
            [":"] * count,
        )
        writer.write(
            Given(self.arm, self.set, self.tokens),
            asked,
            Answered(self.states, 10 + likeliest, OfLabels(self.label_log_probs, written)),
        )


@dataclass
class Cell:
    """A cell's inputs; a test spoils what it likes before it is compared."""

    sets: dict[str, list[ServingSet]]
    blocks: list[Block]
    adapters: list[dict]
    unembedding: Unembedding

    def change(self, arm, place=0, **changes):
        """Change the n-th row group of an arm."""
        which = [i for i, block in enumerate(self.blocks) if block.arm == arm][place]
        self.blocks[which] = replace(self.blocks[which], **changes)
        return self

    def write(self, folder: Path):
        """Levels as the stage takes them: a file of sets for each, one of states for each arm, a folder of adapters."""
        for level, sets in self.sets.items():
            write_sets(sets, folder / f"sets-{level}.parquet", origin())
        arms = dict.fromkeys(block.arm for block in self.blocks)
        for arm in arms:
            with state_writer(folder / f"{arm}.parquet", origin(), self.unembedding) as writer:
                for block in (one for one in self.blocks if one.arm == arm):
                    block.write(writer)
        write_tuning(self.adapters, folder / "tuned", origin())
        parts = {"states": [folder / f"{arm}.parquet" for arm in arms], "adapters": [folder / "tuned"]}
        return {level: LevelFiles(sets=folder / f"sets-{level}.parquet", **parts) for level in self.sets}

    def compare(self, folder: Path, settings=SETTINGS, threads=1):
        """The tables of similarities and products, as frames."""
        import pyarrow.parquet as pq

        made = {name: folder / f"{name}.parquet" for name in ("similarity", "products")}
        compare_hidden_states(self.write(folder), settings=settings, threads=threads, **made)
        return tuple(pq.read_table(path).to_pandas() for path in made.values())


def noise_cell(levels=LEVELS, draws=DRAWS, arms=ARMS, *, queries=QUERIES, layers=LAYERS, width=WIDTH, seed=0):
    """Seeded noise around the anchor's states for every arm that is given sets."""
    dice = np.random.default_rng(seed)
    by_level = {level: [serving(level, draw) for draw in range(draws)] for level in levels}
    sets = [each for some in by_level.values() for each in some]
    shape = (queries, layers + 1, width)
    anchor = dice.normal(size=shape)
    blocks = []
    for arm in named(arms):
        for each in sets if arm.given else [None]:
            far = 1 if arm.compared else 1e-3 * (arm.role == "repeat")
            digest = each.set.id if each else None
            scores = np.log(dice.dirichlet(np.ones(LABELS), size=queries))
            labels, ids = [i % LABELS for i in range(queries)], [f"q{i}" for i in range(queries)]
            states = anchor + far * dice.normal(size=shape)
            blocks.append(Block(arm.name, digest, states, scores, labels, ids, digest and digest[::-1]))
    weights = dict.fromkeys(arm.weights.name for arm in named(arms) if arm.weights)
    adapters = [adapter(each.set.id, weights=one) for one in weights for each in sets]
    return Cell(by_level, blocks, adapters, Unembedding(np.eye(LABELS, width), np.eye(LABELS, width)[:, ::-1]))


def adapter(set_id, weights="tuned"):
    """A row of tuning.parquet."""
    row = {"weights": weights, "set": set_id, "demonstration_tokens": set_id[::-1], "shots_used": 1}
    return row | {
        "supervised_tokens": 2,
        "seed": 1,
        "losses": [2.0, 1.0],
        "norm_a": 1.0,
        "norm_b": 1.0,
        "moved": True,
    }


ALL_ARMS = (*(arm.name for arm in CHOOSABLE), "anchor-alone")
