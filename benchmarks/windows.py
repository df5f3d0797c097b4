"""Dump states after demonstrations that exceed the window of most layers: on a shared prefix, and as whole prompts.

python -m benchmarks.windows
python -m benchmarks.windows --d-model 128 --layers 6 --window 64 --queries 10 --usual-queries 4    # a look, in seconds

The shape is Gemma 3's: five of six layers attend to a window. Both ways are the engine's and are run in turns in one
process; whole prompts run some of the queries and are scaled up.
"""

import argparse
from dataclasses import replace

import torch
from transformers import Gemma3TextConfig, PreTrainedModel

from benchmarks.clock import in_turns
from benchmarks.dump import LABELS, flags, many_after_one
from benchmarks.tables import table
from workflow_scripts.lib.forward.reader import Reader
from workflow_scripts.lib.models.weights import random_model


def gemma(options: argparse.Namespace) -> PreTrainedModel:
    """A random Gemma 3 with the proportions of its smallest model (640 dimensions, 18 layers), in float32."""
    config = Gemma3TextConfig(
        vocab_size=options.vocabulary,
        hidden_size=options.d_model,
        intermediate_size=options.d_model * 16 // 5,
        num_hidden_layers=options.layers,
        num_attention_heads=max(1, options.d_model // 160),
        num_key_value_heads=1,
        head_dim=256,
        sliding_window=options.window,
        max_position_embeddings=32_768,
    )
    return random_model(config, seed=0).eval().to(options.device)


def compare(options: argparse.Namespace) -> None:
    """Print the table."""
    model = gemma(options)
    prefix, queries = many_after_one(options)
    if len(prefix) <= options.window:
        raise SystemExit(
            f"{len(prefix)} tokens do not exceed a window of {options.window}; ask for more demonstrations"
        )
    sharing, whole = (Reader(model, LABELS, tokens_per_batch=options.tokens_per_batch) for _ in range(2))
    if not sharing.ways.windows:
        raise SystemExit("past the window this model shares no prefix, so there is nothing to compare")
    whole.ways = replace(whole.ways, sharing=False, folding=False, windows=False)
    some = queries[: options.usual_queries]
    difference = (sharing.read(prefix, some).states - whole.read(prefix, some).states).abs().max().item()
    ways = {"whole prompts": lambda: whole.read(prefix, some), "shared prefix": lambda: sharing.read(prefix, queries)}
    seconds = in_turns(ways, options.rounds)
    seconds["whole prompts"] *= len(queries) / len(some)
    print(
        f"{model.num_parameters() / 1e6:.0f}M parameters on {options.device}, window of {options.window}, prefix "
        f"of {len(prefix)} tokens, {len(queries)} queries of {sum(map(len, queries)) / len(queries):.0f}; largest "
        f"difference of a state {difference:.1e}\n"
    )
    rows = [
        [name, f"{taken:.2f}", f"{len(queries) / taken:.1f}", f"{seconds['whole prompts'] / taken:.1f}"]
        for name, taken in seconds.items()
    ]
    print(table(["way", "seconds", "queries a second", "ratio"], rows))


def main() -> None:
    """Run from the command line."""
    parser = flags(__doc__)
    parser.add_argument("--device", default="cpu", help="such as cuda")
    parser.add_argument("--window", type=int, default=512)
    parser.set_defaults(d_model=640, layers=18, demonstrations=40, usual_queries=4)
    options = parser.parse_args()
    torch.set_num_threads(1)
    compare(options)


if __name__ == "__main__":
    main()
