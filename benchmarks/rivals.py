"""Dump states of many queries after the same demonstrations: TransformerLens and nnsight against this tool's engine.

make .venv-rivals/installed                       # the libraries, in an environment of their own
.venv-rivals/bin/python -m benchmarks.rivals
.venv-rivals/bin/python -m benchmarks.rivals --d-model 256 --layers 4 --queries 20 --usual-queries 4    # a look

All read the same weights from one folder and keep the last position of every layer, in turns in one process. Each
library is used as its documentation shows, and once more without the LM head's work where it lets a user leave that
out. Batches of one prompt are the better ones for both here (`--rows` tries others). Neither shares a prefix between
prompts, which is where the engine gains.
"""

import argparse
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from torch import Tensor
from transformers import AutoModelForCausalLM
from transformers.utils.logging import disable_progress_bar, set_verbosity_error

from benchmarks.clock import in_turns, llama
from benchmarks.dump import LABELS, Rows, flags, many_after_one
from benchmarks.tables import table
from workflow_scripts.lib.forward.reader import Reader
from workflow_scripts.lib.pocket.model import tokenizer

# States are of the order of 1; the libraries' attention kernels differ from transformers' default in rounding.
TOLERANCE = 1e-4

Way = Callable[[Rows], Tensor]


def transformer_lens(folder: Path, rows: int) -> dict[str, Way]:
    """Ways of TransformerLens: prompts -> states [prompt, layer, d_model]. Weights are neither folded nor centred."""
    from transformer_lens.model_bridge import TransformerBridge

    bridge = TransformerBridge.boot_transformers(str(folder), device="cpu", dtype=torch.float32)
    names = [f"blocks.{i}.hook_resid_pre" for i in range(bridge.cfg.n_layers)] + ["ln_final.hook_out"]

    def read(prompts: Rows, **options: int) -> Tensor:
        states = []
        for ids, mask in _left_padded(prompts, rows):
            _, cache = bridge.run_with_cache(
                ids, attention_mask=mask, names_filter=names, pos_slice=-1, return_cache_object=False, **options
            )
            states.append(torch.stack([cache[name].flatten(1) for name in names], dim=1))
        return torch.cat(states)

    return {
        "TransformerLens": read,
        "TransformerLens, head at the last position": lambda prompts: read(prompts, logits_to_keep=1),
    }


def nnsight(folder: Path, rows: int) -> dict[str, Way]:
    """Ways of nnsight: prompts -> states [prompt, layer, d_model]."""
    from nnsight import TransformersModel, save

    model = TransformersModel(str(folder), task="text-generation", dispatch=True)

    def read(prompts: Rows, stop: bool = False) -> Tensor:
        states = []
        for ids, mask in _left_padded(prompts, rows):
            with model.trace(ids, attention_mask=mask) as tracer:
                layers = save([])
                for block in model.model.layers:
                    layers.append(block.input[:, -1])
                layers.append(model.model.norm.output[:, -1])
                if stop:
                    tracer.stop()
            states.append(torch.stack(layers, dim=1))
        return torch.cat(states)

    return {"nnsight": read, "nnsight, stopped before the head": lambda prompts: read(prompts, stop=True)}


def _left_padded(prompts: Rows, rows: int) -> Iterator[tuple[Tensor, Tensor]]:
    for start in range(0, len(prompts), rows):
        batch = prompts[start : start + rows]
        pads = [max(map(len, batch)) - len(one) for one in batch]
        ids = [[0] * pad + one for pad, one in zip(pads, batch, strict=True)]
        mask = [[0] * pad + [1] * len(one) for pad, one in zip(pads, batch, strict=True)]
        yield torch.tensor(ids), torch.tensor(mask)


@torch.inference_mode()
def compare(folder: Path, options: argparse.Namespace) -> None:
    """Print the table; SystemExit where a library's states are not ours."""
    model = AutoModelForCausalLM.from_pretrained(folder)
    prefix, queries = many_after_one(options)
    reader = Reader(model, LABELS, tokens_per_batch=options.tokens_per_batch)
    some = [prefix + query for query in queries[: options.usual_queries]]
    theirs = transformer_lens(folder, options.rows) | nnsight(folder, options.rows)
    ours = reader.read(prefix, queries).states[: len(some)]
    apart = {name: float((read(some) - ours).abs().max()) for name, read in theirs.items()}
    runs: dict[str, Callable[[], object]] = {name: lambda read=read: read(some) for name, read in theirs.items()}
    seconds = in_turns(runs | {"engine": lambda: reader.read(prefix, queries)}, options.rounds)
    scaled = {name: taken * (len(queries) / len(some) if name in theirs else 1) for name, taken in seconds.items()}
    print(
        f"{model.num_parameters() / 1e6:.0f}M parameters, {len(prefix)} tokens before each of {len(queries)} queries; "
        f"the libraries ran {len(some)} of them, {options.rows} a batch; largest difference of a state "
        f"{max(apart.values()):.1e}\n"
    )
    lines = [
        [name, f"{taken:.2f}", f"{taken / scaled['engine']:.1f}", f"{apart[name]:.1e}" if name in apart else ""]
        for name, taken in scaled.items()
    ]
    print(table(["way", "seconds", "engine is faster by", "states differ by"], lines))
    if max(apart.values()) > TOLERANCE:
        raise SystemExit(f"states differ by more than {TOLERANCE}: these ways do not do the same work")


def main() -> None:
    """Run from the command line."""
    parser = flags(__doc__)
    parser.add_argument("--rows", type=int, default=1, help="prompts in a batch of the libraries")
    options = parser.parse_args()
    torch.set_num_threads(1)
    set_verbosity_error()
    disable_progress_bar()
    with tempfile.TemporaryDirectory() as folder:
        llama(options.d_model, options.layers, options.vocabulary).save_pretrained(folder)
        tokenizer().save_pretrained(folder)  # both libraries ask for one; prompts are token ids
        compare(Path(folder), options)


if __name__ == "__main__":
    main()
