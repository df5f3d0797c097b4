"""Dumps, adapters and cells made by hand or from seeded noise, in the artifacts' formats."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from workflow_scripts.lib.tables import with_origin, write_table

LEVELS, DRAWS, QUERIES, LABELS, LAYERS, WIDTH = ["1", "8"], 3, 7, 2, 2, 6


@dataclass(frozen=True)
class Block:
    """A row group of a dump: states (layers, queries, d), log-probabilities (queries, labels) and what rows share."""

    condition: str
    level: str | None
    draw: int | None
    states: np.ndarray
    label_log_probs: np.ndarray
    labels: list[int]
    demo_set: str | None = None
    demonstration_tokens: str | None = None
    token_id: int = 5
    prompt: str = "prompt"
    queries: list[str] = field(default_factory=list)

    def with_(self, **changes):
        return replace(self, **changes)


def block(condition, level=None, draw=None, *, seed=0, queries=QUERIES, layers=LAYERS, width=WIDTH, near=None):
    """Seeded noise; `near` mixes in the states of another block."""
    key = [seed, len(condition), sum(map(ord, f"{condition}{level}")), draw or 0]
    rng = np.random.default_rng(key)
    states = rng.normal(size=(layers + 1, queries, width))
    if near is not None:
        states = near.states + 0.5 * states
    scores = np.log(rng.dirichlet(np.ones(LABELS), size=queries))
    digest = None if level is None else f"demonstrations-{level}-{draw}"
    labels = [i % LABELS for i in range(queries)]
    ids = [f"q{i}" for i in range(queries)]
    return Block(condition, level, draw, states, scores, labels, digest, digest and digest[::-1], queries=ids)


def noise_dump(levels=LEVELS, draws=DRAWS, **settings):
    """An anchor block and the ICL and IT blocks of every level and draw."""
    anchor = block("anchor", **settings)
    arms = [
        block(condition, level, draw, near=anchor, **settings)
        for condition in ("icl", "it")
        for level in levels
        for draw in range(draws)
    ]
    return anchor, arms


def alone(anchor, noise=1e-3, seed=0):
    """The anchor block run again: states that differ a little."""
    states = anchor.states + noise * np.random.default_rng(seed).normal(size=anchor.states.shape)
    return anchor.with_(condition="anchor_alone", states=states)


def made_by(stage, **settings):
    """An origin as a stage writes it."""
    return {"stage": stage, "code": f"code-of-{stage}", "versions": {"numpy": "2.0"}, "settings": settings}


def write_dump(path: Path, blocks: Iterable[Block]) -> Path:
    """A dump file with a row group per block."""
    tables = [_dump_table(b) for b in blocks]
    made = made_by("dump_hidden_states", dtype="float32")
    path.parent.mkdir(parents=True, exist_ok=True)
    with pq.ParquetWriter(path, with_origin(tables[0], made).schema) as writer:
        for table in tables:
            writer.write_table(with_origin(table, made))
    return path


def _dump_table(b: Block) -> pa.Table:
    rows = len(b.queries)
    shown = b.demo_set if b.condition == "icl" else "nothing"
    label_tokens = [10 + label for label in b.labels]
    columns = {
        "condition": pa.array([b.condition] * rows, pa.string()),
        "level": pa.array([b.level] * rows, pa.string()),
        "draw": pa.array([b.draw] * rows, pa.int32()),
        "query": pa.array(b.queries, pa.string()),
        "label": pa.array(b.labels, pa.int32()),
        "demo_set": pa.array([b.demo_set] * rows, pa.string()),
        "demonstration_tokens": pa.array([b.demonstration_tokens] * rows, pa.string()),
        "prompt_tokens": pa.array([f"{b.prompt}-{shown}-{query}" for query in b.queries], pa.string()),
        "token_id": pa.array([b.token_id] * rows, pa.int32()),
        "token": pa.array([":"] * rows, pa.string()),
        "top_token_id": pa.array([10 + int(best) for best in b.label_log_probs.argmax(axis=1)], pa.int32()),
        "label_token_id": pa.array(label_tokens, pa.int32()),
        "label_log_probs": _lists(b.label_log_probs),
    }
    columns |= {f"layer_{layer}": _lists(states) for layer, states in enumerate(b.states)}
    return pa.table(columns)


def _lists(rows: np.ndarray) -> pa.Array:
    return pa.FixedSizeListArray.from_arrays(pa.array(rows.astype(np.float32).ravel()), rows.shape[1])


def tuning_rows(arms: Iterable[Block], still: Iterable[tuple[str, int]] = ()) -> list[dict]:
    """A row per adapter of the IT blocks; those in `still` did not move."""
    return [
        {
            "level": b.level,
            "draw": b.draw,
            "demo_set": b.demo_set,
            "demonstration_tokens": b.demonstration_tokens,
            "shots_used": 8,
            "supervised_tokens": 16,
            "seed": 1,
            "losses": [2.0, 1.0],
            "norm_a": 1.0,
            "norm_b": float((b.level, b.draw) not in set(still)),
            "moved": (b.level, b.draw) not in set(still),
        }
        for b in arms
        if b.condition == "it"
    ]


def write_tuning(path: Path, rows: list[dict]) -> Path:
    """A table of adapters."""
    schema = {"level": pa.string(), "draw": pa.int32(), "shots_used": pa.int32(), "supervised_tokens": pa.int32()}
    columns = {name: pa.array([row[name] for row in rows], schema.get(name)) for name in rows[0]}
    write_table(pa.table(columns), path, made_by("tune_lora", steps=2))
    return path


def cell_rows(
    model: str,
    dataset: str,
    factor: str,
    levels: list[str],
    *,
    draws: int = 10,
    layers: int = 4,
    own: float = 0.85,
    anchor: float = 0.4,
    accuracies: tuple[float, float, float] = (0.5, 0.85, 0.82),
    still: int = 0,
    noise: float = 2e-6,
    queries: int = 100,
) -> list[dict]:
    """Rows of a compared cell: cosines rise (`own`, ICL-IT) or fall (`anchor`) with layer and level to those named."""
    rng = np.random.default_rng(sum(map(ord, f"{model}{dataset}{factor}")))
    rows = []

    def add(layer, pair, measure, value, excluded=0):
        keys = {"model": model, "dataset": dataset, "factor": factor, "level": levels[i], "draw": draw, "layer": layer}
        counts = {"queries": 0 if measure == "moved" else queries - excluded, "excluded": excluded}
        if measure == "cosine":
            value = min(value, 1.0)
        rows.append(keys | {"pair": pair, "measure": measure, "value": value} | counts)

    for i in range(len(levels)):
        for draw in range(draws):
            spread, strength = rng.normal(0, 0.04), (i + 1) / len(levels)
            add(None, "it", "moved", float(draw >= still))
            for condition, value in zip(("anchor", "icl", "it"), accuracies, strict=True):
                gained = value if condition == "anchor" else accuracies[0] + strength * (value - accuracies[0]) + spread
                add(None, condition, "accuracy", gained)
                add(None, condition, "open_accuracy", gained - 0.05)
            for pair, value in {"anchor-icl": 0.6, "anchor-it": 0.55, "icl-it": 0.8}.items():
                add(None, pair, "agreement", value + spread)
            for layer in range(layers + 1):
                share = strength * layer / layers
                add(layer, "anchor-icl", "cosine", 1 - share * (1 - anchor) + spread * share)
                add(layer, "anchor-it", "cosine", 1 - share * (0.95 - anchor) + spread * share)
                add(layer, "icl-it", "cosine", 1 - share * (1 - own) + 1.5 * spread * share)
                nothing = layer == 0
                for measure, factor_ in (("update_cosine", 0.5), ("partial_cosine", 0.6)):
                    value = None if nothing else own * factor_ + spread
                    add(layer, "icl-it", measure, value, queries if nothing else int(layer == layers))
                for pair in ("anchor-icl", "anchor-it", "icl-it"):
                    add(layer, pair, "noise", None if nothing else noise, queries if nothing else 0)
                for arm, moved in (("icl", 1.1), ("it", 0.9)):
                    add(layer, f"anchor-{arm}", "movement", share * moved + spread * share)
    return rows


def write_cell(path: Path, rows: list[dict]) -> Path:
    """A compared cell as compare_hidden_states writes it."""
    types = {"draw": pa.int32(), "layer": pa.int32(), "queries": pa.int32(), "excluded": pa.int32()}
    types |= {"value": pa.float64()}
    columns = {name: pa.array([row[name] for row in rows], types.get(name, pa.string())) for name in rows[0]}
    made = made_by("compare_hidden_states", measures=["cosine"])
    made["lineage"] = {
        "dump_hidden_states": {"code": ["c0ffee"], "settings": ["5e77"], "versions": {"torch": ["2.13.0"]}}
    }
    write_table(pa.table(columns), path, made)
    return path
