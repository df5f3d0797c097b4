"""What a GPU makes of a 7B model, in seven minutes: states by parts, in float32 and bfloat16, copies, tuning, the plan.

python -m benchmarks.gpu
python -m benchmarks.gpu --look    # tiny shapes, on the CPU too

Weights are random, of LLaMA-2's shape, and bfloat16 numbers, so that every arithmetic runs the same model. Errors are
of states against float64, over a few queries. Without a GPU it says so and measures nothing.
"""

import argparse
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import pairwise
from statistics import median
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.profiler import profile, supported_activities
from transformers import AutoModelForCausalLM, Gemma3TextConfig, LlamaConfig, PreTrainedModel

from benchmarks.clock import in_turns, random_rows
from benchmarks.dump import LABELS, Rows, least_operations
from benchmarks.tables import table
from workflow_scripts.lib.data.prompts import Completion
from workflow_scripts.lib.forward import transfers
from workflow_scripts.lib.forward.budget import Budget
from workflow_scripts.lib.forward.reader import Reader
from workflow_scripts.lib.forward.token_batches import batches
from workflow_scripts.lib.lora.settings import TuneLora
from workflow_scripts.lib.lora.train import Case, tune
from workflow_scripts.lib.models.split import product_by_parts, split

CHECKED = 4  # queries that float64 reads
SMALL = 1024  # tokens of a batch, where copies are looked at
WAITS = ("cudaStreamSynchronize", "cudaDeviceSynchronize", "cudaEventSynchronize")


class Size(NamedTuple):
    """What is run: models, demonstrations before queries, adapters and steps, and the study that is planned."""

    llama: dict[str, int]
    gemma: dict[str, Any]
    demonstrations: int
    queries: int
    adapters: int
    steps: int
    side: int
    study: str


LLAMA_2_7B = {"hidden_size": 4096, "intermediate_size": 11_008, "num_hidden_layers": 32, "num_attention_heads": 32}
TINY = {"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 2}
GEMMA_3_1B = {
    **{"hidden_size": 1152, "intermediate_size": 6912, "num_hidden_layers": 26, "num_attention_heads": 4},
    **{"num_key_value_heads": 1, "head_dim": 256, "sliding_window": 512, "vocab_size": 32_000},
}
WHOLE = Size({**LLAMA_2_7B, "vocab_size": 32_000}, GEMMA_3_1B, 16, 200, 30, 3, 8192, "studies/paper-llama2-7b.yaml")
LOOK = Size(
    {**TINY, "vocab_size": 500},
    {**TINY, "num_key_value_heads": 1, "head_dim": 32, "sliding_window": 32, "vocab_size": 500},
    *(3, 6, 2, 2, 64, "studies/smoke.yaml"),
)


def drawn(config: Any, device: str) -> PreTrainedModel:
    """A model of bfloat16 numbers, drawn where it is to run: a CPU would draw 7B for minutes."""
    torch.manual_seed(0)
    with torch.device(device):
        model: PreTrainedModel = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
    return model.eval()


def arithmetics(model: PreTrainedModel) -> Iterator[tuple[str, PreTrainedModel]]:
    """The same weights in one arithmetic after the other; the last one is the truth."""
    yield "bfloat16", model
    yield "float32", model.float()
    yield "split", split(model, torch.bfloat16)
    yield "float64", model.double()


def rate(name: str, side: int, device: str) -> float:
    """FLOP/s of one large product, as a user would write it; by parts, the product counts once."""
    a = torch.randn(side, side, device=device)
    half = a.bfloat16()
    ways: dict[str, Callable[[], Tensor]] = {
        "float32": lambda: a @ a,
        "bfloat16": lambda: half @ half,
        "split": lambda: product_by_parts(a, half),
    }
    ways[name]()[0, 0].item()
    started, rounds = time.perf_counter(), 5
    for _ in range(rounds):
        done = ways[name]()
    done[0, 0].item()
    return 2.0 * side**3 * rounds / (time.perf_counter() - started)


def reading(size: Size, device: str) -> None:
    """States of queries after demonstrations, in every arithmetic."""
    vocabulary = size.llama["vocab_size"]
    prefix = [i for row in random_rows(size.demonstrations, 30, 50, vocabulary, 0) for i in row]
    queries = random_rows(size.queries, 20, 45, vocabulary, 1)
    model = drawn(LlamaConfig(**size.llama, max_position_embeddings=4096), device)
    rows, moved, states = [], [], {}
    for name, one in arithmetics(model):
        if name == "float64":
            states[name] = whole_prompts(one, prefix, queries[:CHECKED])
            continue
        memory(device)  # what putting weights into another type took is none of reading's
        reader = Reader(one, LABELS, tokens_per_batch="auto")
        states[name] = reader.read(prefix, queries).states[:CHECKED].double()  # and what a first run takes longer for
        held, taken = memory(device), in_turns({name: lambda reader=reader: reader.read(prefix, queries)}, 2)[name]
        share = least_operations(one, prefix, queries) / rate(name, size.side, device) / taken
        rows.append([name, f"{taken:.2f}", f"{share:.2f}", f"{held:.1f}"])
        moved += [[name, *row] for row in copies(reader, prefix, queries)]
    for row in rows:
        row.append(f"{error(states[row[0]], states['float64']):.1e}")
    print(f"{model.num_parameters() / 1e9:.2f}B parameters, {len(prefix)} tokens before {len(queries)} queries\n")
    print(table(["arithmetic", "seconds", "share of a plain product's rate", "memory, GiB", "largest error"], rows))
    print(f"\nthe same in batches of {SMALL} tokens, and what is copied from the GPU\n")
    print(table(["arithmetic", "copies", "seconds", "share in copies", "waits a batch"], moved))


def copies(reader: Reader, prefix: list[int], queries: Rows) -> Iterator[list[str]]:
    """Reading while each batch waits for its own copies, and while copies go beside the next batch.

    In small batches, of which there are enough to see either.
    """
    usual, budget = transfers.AHEAD, reader.budget
    reader.budget = Budget(SMALL, None)

    def read(ahead: int) -> None:
        transfers.AHEAD = ahead
        reader.read(prefix, queries)

    ways = {"each batch waits": partial(read, 0), "beside the next": partial(read, usual)}
    taken = in_turns(ways, 2)
    for name, way in ways.items():
        with profile(activities=[*supported_activities()]) as seen:
            way()
        events = {one.key: one for one in seen.key_averages()}
        copied = sum(one.self_device_time_total for key, one in events.items() if key.startswith("Memcpy DtoH"))
        waits = sum(one.count for key, one in events.items() if key in WAITS)
        count = sum(1 for _ in batches([len(ids) for ids in queries], SMALL))
        yield [name, f"{taken[name]:.3f}", f"{copied / 1e6 / taken[name]:.3f}", f"{waits / count:.1f}"]
    transfers.AHEAD, reader.budget = usual, budget


@torch.inference_mode()
def whole_prompts(model: PreTrainedModel, prefix: list[int], queries: Rows) -> Tensor:
    """States [query, layer, d_model] as transformers gives them."""
    states = []
    for query in queries:
        output = model(torch.tensor([prefix + query], device=model.device), output_hidden_states=True)
        states.append(torch.stack([layer[0, -1] for layer in output.hidden_states]).cpu())
    return torch.stack(states)


def error(found: Tensor, expected: Tensor) -> float:
    """The largest, relative to the state."""
    return ((found - expected).norm(dim=-1) / expected.norm(dim=-1)).max().item()


def tuning(size: Size, device: str) -> None:
    """Adapters on query and value projections, side by side: what a step takes, what comes before it, memory."""
    vocabulary = size.llama["vocab_size"]
    examples = [random_rows(8, 25, 50, vocabulary, seed) for seed in range(size.adapters)]
    cases = [Case(f"{i}", [Completion(ids, [60]) for ids in rows], i) for i, rows in enumerate(examples)]
    how: dict[str, Any] = {"r": 8, "alpha": 16, "target_modules": "attention", "learning_rate": 1e-3}
    how |= {"steps": size.steps, "max_grad_norm": 1.0, "tokens_per_batch": "auto", "adapters_at_once": 64}
    rows = []
    model = drawn(LlamaConfig(**size.llama), device).float()
    ways = {"float32": {}, "float32, recomputed": {"recompute": True}, "TF32": {"tf32": True}, "split": {}}
    for name, own in ways.items():
        model = split(model, torch.bfloat16) if name == "split" else model
        memory(device)
        started, *ends = steps(model, cases, TuneLora(**how | {"tf32": False} | own))
        step = median(end - before for before, end in pairwise(ends))
        rows.append([name, f"{step:.2f}", f"{ends[0] - started - step:.2f}", f"{memory(device):.1f}"])
    tokens = sum(len(ids) for some in examples for ids in some)
    print(f"\n{len(cases)} adapters of 8 examples, {tokens} tokens a step\n")
    print(table(["arithmetic", "seconds a step", "set-up, s", "memory, GiB"], rows))


def steps(model: PreTrainedModel, cases: list[Case], how: TuneLora) -> list[float]:
    """When tuning began, and when each step ended, in seconds."""
    told = [time.perf_counter()]
    for _ in tune(model, cases, how, lambda count, note: told.append(time.perf_counter())):
        pass
    return told


def windows(size: Size, device: str) -> None:
    """Gemma 3's shape: a prefix beyond its window, shared as far as the engine does, against whole prompts."""
    vocabulary = size.gemma["vocab_size"]
    model = drawn(Gemma3TextConfig(**size.gemma), device).float()
    prefix = random_rows(1, *[size.gemma["sliding_window"] * 5 // 4] * 2, vocabulary, 2)[0]
    queries = random_rows(size.queries, 20, 45, vocabulary, 3)
    reader = Reader(model, LABELS, tokens_per_batch="auto")
    together = [prefix + ids for ids in queries]
    ways = {"engine": lambda: reader.read(prefix, queries), "whole prompts": lambda: reader.read([], together)}
    apart = error(ways["engine"]().states, ways["whole prompts"]().states)
    taken = in_turns(ways, 1)
    print(f"\nGemma 3's shape, {len(prefix)} tokens of a window of {size.gemma['sliding_window']}: {apart:.1e} apart\n")
    rows = [[name, f"{seconds:.2f}", f"{taken['whole prompts'] / seconds:.1f}"] for name, seconds in taken.items()]
    print(table(["way", "seconds", "ratio"], rows))


def memory(device: str) -> float:
    """GiB of the GPU's memory at its highest since this was last asked; none of a CPU."""
    if device == "cpu":
        return 0.0
    most = torch.cuda.max_memory_allocated() / 2**30
    torch.cuda.reset_peak_memory_stats()
    return most


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--look", action="store_true", help="tiny shapes, to see whether it runs")
    look = parser.parse_args().look
    if not torch.cuda.is_available() and not look:
        print("no GPU here: nothing is measured (--look runs tiny shapes on the CPU)")
        return
    device, size = "cuda" if torch.cuda.is_available() else "cpu", LOOK if look else WHOLE
    torch.set_float32_matmul_precision("highest")  # as load_model does: no TF32
    torch.set_num_threads(1)
    print(torch.cuda.get_device_name() if device == "cuda" else "no GPU here: a look on the CPU", torch.__version__)
    reading(size, device)
    tuning(size, device)
    windows(size, device)
    print(f"\nthe plan of {size.study}:\n", flush=True)
    subprocess.run([sys.executable, "-m", "workflow_scripts.lib.plan", size.study, "--gpu", "H100"], check=True)


if __name__ == "__main__":
    main()
