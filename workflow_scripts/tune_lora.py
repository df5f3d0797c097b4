"""Tune one LoRA adapter on every set of demonstrations of a cell."""

from pathlib import Path
from typing import Any

import pyarrow as pa

from workflow_scripts.lib.command import command
from workflow_scripts.lib.demonstrations import Draw, read_draws
from workflow_scripts.lib.examples import read_examples
from workflow_scripts.lib.lora import TunedAdapter, Tuning, save_adapter, tune
from workflow_scripts.lib.models import load_model
from workflow_scripts.lib.progress import Progress
from workflow_scripts.lib.prompts import Prompts, Template
from workflow_scripts.lib.provenance import digest, origin
from workflow_scripts.lib.tables import whole, write_table


def tune_lora(
    demonstrations: Path,
    examples: Path,
    model: Path,
    *,
    template: Template,
    r: int,
    alpha: int,
    target_modules: str | list[str],
    learning_rate: float,
    steps: int,
    max_grad_norm: float,
    seed: int,
    adapters: Path,
) -> None:
    """Write the folder `adapters`: a standard peft adapter in {level}/{draw}/ for every draw, and tuning.parquet.

    Args:
        demonstrations: Draws of the cell.
        examples: Prepared data set; gives the label words.
        model: Prepared model.
        template: How an example becomes a prompt.
        r: Rank.
        alpha: LoRA's alpha; the update is scaled by alpha / r.
        target_modules: "attention" (peft's choice for the architecture), "all-linear", or module names.
        learning_rate: Of AdamW, constant.
        steps: Optimiser steps, each on all demonstrations of the draw.
        max_grad_norm: Gradients are clipped to this norm.
        seed: Seed of the study.
        adapters: Folder to write.
    """
    draws, words = read_draws(demonstrations), read_examples(examples).words
    loaded = load_model(model)
    prompts = Prompts(loaded.tokenizer, template, words)
    tuning = Tuning(r, alpha, target_modules, learning_rate, steps, max_grad_norm)
    rows = []
    with whole(adapters) as folder, Progress("adapters", len(draws)) as progress:
        for draw in draws:
            shown = draw.as_demonstrations()
            adapter_seed = int(digest([seed, draw.draw]), 16) % 2**32
            adapter = tune(loaded.model, prompts.tuning_examples(shown), tuning, adapter_seed)
            save_adapter(adapter, tuning, loaded.model, folder / draw.level / str(draw.draw))
            rows.append(_row(draw, adapter, prompts, adapter_seed))
            progress.advance(note=f"loss {adapter.losses[0]:.3f} to {adapter.losses[-1]:.3f}")
        made = origin("tune_lora", ("torch", "transformers", "peft"), tuning=vars(tuning), template=template, seed=seed)
        write_table(pa.Table.from_pylist(rows, schema=COLUMNS), folder / "tuning.parquet", made)


COLUMNS = pa.schema(
    {
        "level": pa.string(),
        "draw": pa.int32(),
        "demo_set": pa.string(),
        "demonstration_tokens": pa.string(),
        "shots_used": pa.int32(),
        "supervised_tokens": pa.int32(),
        "seed": pa.int64(),
        "losses": pa.list_(pa.float64()),
        "norm_a": pa.float64(),
        "norm_b": pa.float64(),
        "moved": pa.bool_(),
    }
)


def _row(draw: Draw, adapter: TunedAdapter, prompts: Prompts, seed: int) -> dict[str, Any]:
    shown = draw.as_demonstrations()
    return {
        "level": draw.level,
        "draw": draw.draw,
        "demo_set": draw.demo_set,
        "demonstration_tokens": prompts.digest(shown),
        "shots_used": len(shown),
        "supervised_tokens": sum(len(one.label) for one in prompts.tuning_examples(shown)),
        "seed": seed,
        "losses": adapter.losses,
        "norm_a": adapter.norm("lora_A"),
        "norm_b": adapter.norm("lora_B"),
        "moved": adapter.moved,
    }


if __name__ == "__main__":
    command(tune_lora)
