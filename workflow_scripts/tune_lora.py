"""Tune one LoRA adapter on every set of demonstrations of a cell."""

from pathlib import Path
from typing import Any

import pyarrow as pa

from workflow_scripts.lib.command import command
from workflow_scripts.lib.demonstrations import Draw, read_draws
from workflow_scripts.lib.examples import read_examples
from workflow_scripts.lib.lora import TunedAdapter, Tuning, adapter_config, save_adapter
from workflow_scripts.lib.models import load_model
from workflow_scripts.lib.progress import Progress
from workflow_scripts.lib.prompts import Prompts, Template
from workflow_scripts.lib.provenance import digest, origin
from workflow_scripts.lib.tables import whole, write_table
from workflow_scripts.lib.tuning import Case, tune


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
    tokens_per_batch: int,
    adapters_at_once: int,
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
        max_grad_norm: Gradients are clipped to this norm, each adapter's by its own.
        tokens_per_batch: Examples run together up to this many tokens.
        adapters_at_once: Adapters that are held in memory and tuned side by side.
        seed: Seed of the study.
        adapters: Folder to write.
    """
    draws, words = read_draws(demonstrations), read_examples(examples).words
    loaded = load_model(model)
    prompts = Prompts(loaded.tokenizer, template, words)
    tuning = Tuning(r, alpha, target_modules, learning_rate, steps, max_grad_norm, tokens_per_batch, adapters_at_once)
    cases = [_case(draw, prompts, seed) for draw in draws]
    config, rows = adapter_config(loaded.model, tuning), []
    with whole(adapters) as folder, Progress("steps", len(draws) * steps) as progress:
        for draw, case, adapter in zip(draws, cases, tune(loaded.model, cases, tuning, progress.advance), strict=True):
            save_adapter(adapter, config, folder / draw.level / str(draw.draw))
            rows.append(_row(draw, case, adapter, prompts))
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


def _case(draw: Draw, prompts: Prompts, seed: int) -> Case:
    """The seed leaves out factor and level, so that a draw's adapters start equal at all of them."""
    adapter_seed = int(digest([seed, draw.draw]), 16) % 2**32
    name = f"level {draw.level}, draw {draw.draw}"
    return Case(name, prompts.tuning_examples(draw.as_demonstrations()), adapter_seed)


def _row(draw: Draw, case: Case, adapter: TunedAdapter, prompts: Prompts) -> dict[str, Any]:
    return {
        "level": draw.level,
        "draw": draw.draw,
        "demo_set": draw.demo_set,
        "demonstration_tokens": prompts.digest(draw.as_demonstrations()),
        "shots_used": len(case.examples),
        "supervised_tokens": case.supervised_tokens,
        "seed": case.seed,
        "losses": adapter.losses,
        "norm_a": adapter.norm("lora_A"),
        "norm_b": adapter.norm("lora_B"),
        "moved": adapter.moved,
    }


if __name__ == "__main__":
    command(tune_lora)
