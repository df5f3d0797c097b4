"""Dump states of many queries after the same demonstrations: the usual loop against this tool's engine.

python -m benchmarks.dump
python -m benchmarks.dump --device cuda
python -m benchmarks.dump --d-model 256 --layers 4 --queries 20    # a look, in seconds

The usual loop: one prompt at a time, whole, LM head on every token, all states kept and copied to lists. The ways are
run in turns in one process. The floor is the least work (demonstrations once, queries once, LM head at one position)
over the rate of a plain matrix product in the same run.
"""

import argparse

import torch
from transformers import PreTrainedModel

from benchmarks.clock import extra_memory, in_turns, llama, matmul_rate, random_rows
from benchmarks.tables import table
from workflow_scripts.lib.forward.budget import Tokens
from workflow_scripts.lib.forward.reader import Reader

LABELS = [[50], [60]]
Rows = list[list[int]]


@torch.inference_mode()
def usual(model: PreTrainedModel, prefix: list[int], queries: Rows) -> list[list[list[float]]]:
    """States [query][layer][d_model] as lists, as common code makes them."""
    states = []
    for query in queries:
        output = model(torch.tensor([prefix + query], device=model.device), output_hidden_states=True)
        states.append([layer[0, -1].tolist() for layer in output.hidden_states])
    return states


@torch.inference_mode()
def usual_batched(model: PreTrainedModel, prefix: list[int], queries: Rows, rows: int = 16) -> None:
    """The same with padded batches, for its memory."""
    for start in range(0, len(queries), rows):
        batch = [prefix + query for query in queries[start : start + rows]]
        longest = max(map(len, batch))
        ids = torch.tensor([[0] * (longest - len(one)) + one for one in batch])
        mask = torch.tensor([[0] * (longest - len(one)) + [1] * len(one) for one in batch])
        model(ids.to(model.device), attention_mask=mask.to(model.device), output_hidden_states=True)


def least_operations(model: PreTrainedModel, prefix: list[int], queries: Rows) -> float:
    """Multiplications and additions of one forward over the prefix and of all queries on it."""
    config = model.config
    head = config.vocab_size * config.hidden_size
    blocks = sum(p.numel() for p in model.model.layers.parameters())
    tokens = len(prefix) + sum(map(len, queries))
    pairs = _causal_pairs(0, len(prefix)) + sum(_causal_pairs(len(prefix), len(query)) for query in queries)
    attention = 2 * config.num_hidden_layers * config.hidden_size * pairs
    return 2.0 * (tokens * blocks + len(queries) * head + attention)


def _causal_pairs(before: int, count: int) -> int:
    return count * before + count * (count + 1) // 2


def many_after_one(options: argparse.Namespace) -> tuple[list[int], Rows]:
    """Token ids of the demonstrations, and those of each query that comes after them."""
    prefix = [i for row in random_rows(options.demonstrations, 30, 50, options.vocabulary, 0) for i in row]
    return prefix, random_rows(options.queries, 20, 45, options.vocabulary, 1)


def compare(options: argparse.Namespace, device: str) -> float:
    """Print the table; the largest difference of a state."""
    model = llama(options.d_model, options.layers, options.vocabulary, device)
    prefix, queries = many_after_one(options)
    reader = Reader(model, LABELS, tokens_per_batch=options.tokens_per_batch)
    some = queries[: options.usual_queries]
    difference = (reader.read(prefix, some).states - torch.tensor(usual(model, prefix, some))).abs().max().item()
    ways = {"usual": lambda: usual(model, prefix, some), "engine": lambda: reader.read(prefix, queries)}
    seconds = in_turns(ways, options.rounds)
    seconds["usual"] *= len(queries) / len(some)
    least = least_operations(model, prefix, queries) / matmul_rate(options.d_model, device)
    memory = {
        "engine": extra_memory(lambda: reader.read(prefix, queries), device),
        "usual": extra_memory(lambda: usual(model, prefix, some), device),
        "usual, batched 16": extra_memory(lambda: usual_batched(model, prefix, queries[:16]), device),
    }
    print(
        f"{model.num_parameters() / 1e6:.0f}M parameters on {device}, prefix of {len(prefix)} tokens, {len(queries)} "
        f"queries of {sum(map(len, queries)) / len(queries):.0f}; largest difference of a state {difference:.1e}\n"
    )
    rows = [
        [
            name,
            f"{taken:.2f}",
            f"{len(queries) / taken:.1f}",
            f"{seconds['usual'] / taken:.1f}",
            f"{least / taken:.2f}",
            f"{memory[name]:.0f}",
        ]
        for name, taken in seconds.items()
    ]
    rows.append(["usual, batched 16", "", "", "", "", f"{memory['usual, batched 16']:.0f}"])
    header = ["way", "seconds", "queries a second", "ratio", "share of the floor", "peak extra memory, MiB"]
    print(table(header, rows))
    return difference


def main() -> None:
    """Run from the command line."""
    parser = flags(__doc__)
    parser.add_argument("--device", default="cpu", help="such as cuda")
    options = parser.parse_args()
    torch.set_num_threads(1)
    compare(options, options.device)


def flags(description: str | None) -> argparse.ArgumentParser:
    """The flags of this benchmark and of those in its setting."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--d-model", type=int, default=512)
    parser.add_argument("--layers", type=int, default=8)
    parser.add_argument("--vocabulary", type=int, default=32_000)
    parser.add_argument("--demonstrations", type=int, default=16)
    parser.add_argument("--queries", type=int, default=200)
    parser.add_argument("--usual-queries", type=int, default=20, help="slow ways run these and are scaled up")
    parser.add_argument("--tokens-per-batch", type=_tokens, default="auto", help="a number, or auto")
    parser.add_argument("--rounds", type=int, default=3)
    return parser


def _tokens(text: str) -> Tokens:
    return "auto" if text == "auto" else int(text)


if __name__ == "__main__":
    main()
