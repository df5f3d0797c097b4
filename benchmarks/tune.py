"""Tune many adapters: base reloaded and a Trainer for each, against this tool's engine.

python -m benchmarks.tune
python -m benchmarks.tune --d-model 256 --layers 4 --adapters 8 --steps 3    # a look, in seconds

Both tune the same adapters on the same examples (full batches, constant learning rate, labels supervised only), in
turns in one process.
"""

import argparse
import tempfile
from pathlib import Path

import torch
from peft import get_peft_model
from transformers import AutoModelForCausalLM, Trainer, TrainingArguments
from transformers.utils.logging import disable_progress_bar, set_verbosity_error

from benchmarks.clock import in_turns, llama, random_rows
from benchmarks.tables import table
from workflow_scripts.lib.lora import TunedAdapter, Tuning
from workflow_scripts.lib.prompts import TuningExample
from workflow_scripts.lib.tuning import Case, tune

IGNORED = -100


def usual(folder: Path, cases: list[Case], tuning: Tuning) -> list[float]:
    """Last loss that the Trainer saw, per adapter."""
    return [_usual(folder, case, tuning) for case in cases]


def _usual(folder: Path, case: Case, tuning: Tuning) -> float:
    base = AutoModelForCausalLM.from_pretrained(folder)
    torch.manual_seed(case.seed)
    model = get_peft_model(base, tuning.lora_config())
    with tempfile.TemporaryDirectory() as output:
        arguments = TrainingArguments(
            output_dir=output,
            per_device_train_batch_size=len(case.examples),
            max_steps=tuning.steps,
            learning_rate=tuning.learning_rate,
            lr_scheduler_type="constant",
            max_grad_norm=tuning.max_grad_norm,
            save_strategy="no",
            report_to="none",
            logging_steps=1,
            disable_tqdm=True,
            use_cpu=True,
        )
        trainer = Trainer(model, arguments, train_dataset=case.examples, data_collator=_collated)
        trainer.log = lambda *_: None
        trainer.train()
        model.save_pretrained(output)
        with torch.inference_mode():
            return float(model.eval()(**_collated(case.examples)).loss)


def _collated(examples: list[TuningExample]) -> dict[str, torch.Tensor]:
    longest = max(len(one.prompt) + len(one.label) for one in examples)
    pads = [longest - len(one.prompt) - len(one.label) for one in examples]
    rows = list(zip(examples, pads, strict=True))
    return {
        "input_ids": torch.tensor([one.prompt + one.label + [0] * pad for one, pad in rows]),
        "attention_mask": torch.tensor([[1] * (longest - pad) + [0] * pad for pad in pads]),
        "labels": torch.tensor([[IGNORED] * len(one.prompt) + one.label + [IGNORED] * pad for one, pad in rows]),
    }


def main() -> None:
    """Run from the command line."""
    options = _options()
    torch.set_num_threads(1)
    set_verbosity_error()
    disable_progress_bar()
    model = llama(options.d_model, options.layers, options.vocabulary)
    tuning = Tuning(8, 16, "attention", 1e-3, options.steps, 1.0, options.tokens_per_batch, options.adapters_at_once)
    cases = []
    for seed in range(options.adapters):
        rows = random_rows(options.examples, 25, 50, options.vocabulary, seed)
        cases.append(Case(f"adapter {seed}", [TuningExample(ids, [60 + i % 2]) for i, ids in enumerate(rows)], seed))
    some = cases[: options.usual_adapters]
    last: dict[str, list[float]] = {}

    def engine() -> None:
        tuned: list[TunedAdapter] = list(tune(model, cases, tuning))
        last["engine"] = [adapter.losses[-1] for adapter in tuned]

    def trainers() -> None:
        last["usual"] = usual(Path(folder), some, tuning)

    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        seconds = in_turns({"usual": trainers, "engine": engine}, options.rounds)
    seconds["usual"] *= len(cases) / len(some)
    apart = max(abs(a - b) for a, b in zip(last["usual"], last["engine"], strict=False))
    print(
        f"{model.num_parameters() / 1e6:.0f}M parameters, {len(cases)} adapters of {options.examples} examples, "
        f"{options.steps} steps; the usual way ran {len(some)} of them; last losses at most {apart:.1e} apart\n"
    )
    rows = [[name, f"{taken:.1f}", f"{seconds['usual'] / taken:.2f}"] for name, taken in seconds.items()]
    print(table(["way", "seconds", "ratio"], rows))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
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
