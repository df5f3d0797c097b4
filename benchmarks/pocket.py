"""Train the pocket model from several seeds and print what it can do.

python -m benchmarks.pocket --seeds 0 1 2 --markdown table.md

About four minutes a seed. One thread by default: two are faster on free cores but stall on shared ones, where
wall time says little anyway, so CPU time, summed over threads, stands beside it.
"""

import argparse
import time
from pathlib import Path

import torch
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from benchmarks.pocket_lora import SETTINGS, arbitrary_tasks, lift
from benchmarks.pocket_report import Result, report
from workflow_scripts.lib.pocket.accuracy import Cell, accuracy, all_cells
from workflow_scripts.lib.pocket.gate import GateError, check, measure
from workflow_scripts.lib.pocket.model import initial_model, tokenizer
from workflow_scripts.lib.pocket.training import train

QUERIES = 100
LIFT_SHOTS = (8, 16)
QUERY_SEED = 1


def run(seed: int, steps: int, tokens_per_step: int, learning_rate: float) -> Result:
    """Train from one seed and measure everything."""
    model, words = initial_model(seed), tokenizer()
    wall, cpu = time.perf_counter(), time.process_time()
    train(
        model,
        seed=seed,
        steps=steps,
        tokens_per_step=tokens_per_step,
        learning_rate=learning_rate,
        progress=print_progress,
    )
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    start = time.perf_counter()
    gate = gate_verdict(model, words)
    gate_wall = time.perf_counter() - start
    measured = measure(model, words, queries=QUERIES, seed=QUERY_SEED, cells=all_cells())
    as_assigned = {task.name: zero_shot_as_assigned(model, words, task.name) for task in arbitrary_tasks()}
    lifts = {
        (setting.name, task.name, shots): lift(model, words, task, shots, setting)
        for setting in SETTINGS
        for task in arbitrary_tasks()
        for shots in LIFT_SHOTS
    }
    parameters = model.num_parameters()
    return Result(seed, parameters, wall, cpu, gate_wall, gate, measured, as_assigned, lifts)


def print_progress(done: int, total: int, loss: float) -> None:
    """Print a line now and then."""
    if done % 400 == 0 or done == total:
        print(f"  step {done} of {total}, label loss {loss:.2f}", flush=True)


def gate_verdict(model: LlamaForCausalLM, words: PreTrainedTokenizerFast) -> str:
    """Return "passed", or what the gate says against the model."""
    try:
        check(measure(model, words, queries=QUERIES, seed=QUERY_SEED))
    except GateError as error:
        return str(error).replace("\n", " ")
    return "passed"


def zero_shot_as_assigned(model: LlamaForCausalLM, words: PreTrainedTokenizerFast, task: str) -> float:
    """Return the accuracy within the label set without demonstrations and without counterbalancing."""
    cell = Cell(task, "gold", 0)
    return accuracy(model, words, cell, queries=QUERIES, seed=QUERY_SEED, counterbalanced=False).label_set


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--steps", type=int, default=2400)
    parser.add_argument("--tokens-per-step", type=int, default=1088)
    parser.add_argument("--learning-rate", type=float, default=3e-3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--markdown", type=Path, help="also write the tables here")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    results = []
    for seed in options.seeds:
        print(f"seed {seed}", flush=True)
        results.append(run(seed, options.steps, options.tokens_per_step, options.learning_rate))
    rate, tokens = options.learning_rate, options.tokens_per_step
    text = report(results, f"{options.steps} steps of {tokens} tokens, learning rate {rate}", QUERIES)
    print(text)
    if options.markdown:
        options.markdown.write_text(text)


if __name__ == "__main__":
    main()
