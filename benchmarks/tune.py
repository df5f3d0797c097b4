"""Tune many adapters: base reloaded and a Trainer for each, against this tool's engine.

python -m benchmarks.tune
python -m benchmarks.tune --device cuda
python -m benchmarks.tune --d-model 256 --layers 4 --adapters 8 --steps 3    # a look, in seconds

Both tune the same adapters on the same examples (full batches, constant learning rate, labels supervised only), in
turns in one process.
"""

import argparse
import tempfile
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM
from transformers.utils.logging import disable_progress_bar, set_verbosity_error

from benchmarks.clock import in_turns, llama, random_rows
from benchmarks.tables import table
from benchmarks.usual_tuning import collated, tuned
from workflow_scripts.lib.data.prompts import Completion
from workflow_scripts.lib.lora.config import TunedAdapter
from workflow_scripts.lib.lora.settings import TuneLora
from workflow_scripts.lib.lora.train import Case, tune


def usual(folder: Path, cases: list[Case], tuning: TuneLora) -> list[float]:
    """Last loss that the Trainer saw, per adapter."""
    return [_usual(folder, case, tuning) for case in cases]


def _usual(folder: Path, case: Case, tuning: TuneLora) -> float:
    model, _ = tuned(AutoModelForCausalLM.from_pretrained(folder), case.examples, tuning, case.seed)
    with tempfile.TemporaryDirectory() as output:
        model.save_pretrained(output)
    with torch.inference_mode():
        asked = {name: tensor.to(model.device) for name, tensor in collated(case.examples).items()}
        return float(model(**asked).loss)


def main() -> None:
    """Run from the command line."""
    options = _options()
    torch.set_num_threads(1)
    set_verbosity_error()
    disable_progress_bar()
    torch.set_float32_matmul_precision("highest")  # as load_model does: no TF32
    model = llama(options.d_model, options.layers, options.vocabulary, options.device)
    tuning = TuneLora(
        r=8,
        alpha=16,
        target_modules="attention",
        learning_rate=1e-3,
        steps=options.steps,
        max_grad_norm=1.0,
        tokens_per_batch=options.tokens_per_batch,
        adapters_at_once=options.adapters_at_once,
        tf32=False,
    )
    cases = []
    for seed in range(options.adapters):
        rows = random_rows(options.examples, 25, 50, options.vocabulary, seed)
        cases.append(Case(f"adapter {seed}", [Completion(ids, [60 + i % 2]) for i, ids in enumerate(rows)], seed))
    some = cases[: options.usual_adapters]
    last: dict[str, list[float]] = {}

    def engine() -> None:
        adapters: list[TunedAdapter] = list(tune(model, cases, tuning))
        last["engine"] = [adapter.losses[-1] for adapter in adapters]

    def trainers() -> None:
        last["usual"] = usual(Path(folder), some, tuning)

    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        seconds = in_turns({"usual": trainers, "engine": engine}, options.rounds)
    seconds["usual"] *= len(cases) / len(some)
    apart = max(abs(a - b) for a, b in zip(last["usual"], last["engine"], strict=False))
    print(
        f"{model.num_parameters() / 1e6:.0f}M parameters on {options.device}, {len(cases)} adapters of "
        f"{options.examples} examples, {options.steps} steps; "
        f"the usual way ran {len(some)} of them; last losses at most {apart:.1e} apart\n"
    )
    rows = [[name, f"{taken:.1f}", f"{seconds['usual'] / taken:.2f}"] for name, taken in seconds.items()]
    print(table(["way", "seconds", "ratio"], rows))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--device", default="cpu", help="such as cuda; the Trainer takes a GPU where there is one")
    parser.add_argument("--d-model", type=int, default=512)
    parser.add_argument("--layers", type=int, default=8)
    parser.add_argument("--vocabulary", type=int, default=32_000)
    parser.add_argument("--adapters", type=int, default=30)
    parser.add_argument("--examples", type=int, default=8)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--usual-adapters", type=int, default=6, help="the usual way tunes these and is scaled up")
    parser.add_argument("--tokens-per-batch", type=int, default=512)
    parser.add_argument("--adapters-at-once", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=2)
    return parser.parse_args()


if __name__ == "__main__":
    main()
