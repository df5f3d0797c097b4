"""What a job spends on a model before its first batch, the second time in a study: a checkpoint of bfloat16 in shards.

python -m benchmarks.loading
python -m benchmarks.loading --d-model 64 --layers 2 --vocabulary 500 --rounds 1    # a look, in seconds
python -m benchmarks.loading --device cuda

Weights are random, of LLaMA's shape. Files are in the page cache, as they are after a first job. Imports are no part of
it (benchmarks.startup). CPU seconds are told beside seconds, since loading waits for whoever else computes. What a GB
of the checkpoint takes is reckoned up to the 13.5 GB of LLaMA-2 7B.
"""

import argparse
import os
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import torch

from benchmarks.clock import llama
from benchmarks.tables import table
from freshness import seal
from freshness.contents import md5
from workflow_scripts.lib.forward.allowed import found_ways
from workflow_scripts.lib.models.load import ModelReference, load_model
from workflow_scripts.lib.models.weights import trained_model
from workflow_scripts.lib.pocket.model import tokenizer

LARGE = 13.5  # GB: LLaMA-2 7B, stored in 16 bits
KINDS: dict[str, dict[str, Any]] = {
    "float32": {},
    "split": {"precision": "split"},
    "bfloat16": {"dtype": "bfloat16"},
    "float32, drawn (`untrained`)": {"random_seed": 0},
}


def stored(options: argparse.Namespace, folder: Path) -> float:
    """Write the checkpoint, in at least five shards; GB of its weights."""
    model = llama(options.d_model, options.layers, options.vocabulary).bfloat16()
    gigabytes = 2 * model.num_parameters() / 1e9
    model.save_pretrained(folder, max_shard_size=f"{max(1, int(gigabytes * 200))}MB")
    tokenizer().save_pretrained(folder)
    return gigabytes


def prepared(folder: Path, kind: str, device: str) -> Path:
    """What prepare_model leaves of a local model, as far as loading reads it."""
    made = folder.with_name(f"prepared {kind}")
    made.mkdir()
    told = ModelReference(path=str(folder), device=device, **KINDS[kind])
    (made / "model.json").write_text(told.model_dump_json(), encoding="utf-8")
    return made


def taken(run: Callable[[], object]) -> tuple[float, float]:
    """Seconds and CPU seconds of a call; what it gives is dropped."""
    wall, cpu = time.perf_counter(), time.process_time()
    run()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - wall, time.process_time() - cpu


def measured(options: argparse.Namespace, folder: Path) -> None:
    """Print the table; SystemExit where the ways to load do not give the same weights."""
    gigabytes = stored(options, folder)
    files = {str(path): md5(path) for path in sorted(folder.iterdir())}
    job = {"files": files, "folders": [str(folder)], "recipe": {"code": {}}}
    if found := list(seal.changed_files(job)):
        raise SystemExit(f"{found[0]} is not as it was written")
    ways: dict[str, Callable[[], object]] = {
        "every byte read for its digest": lambda: [md5(Path(path)) for path in files],
        "files as they were last seen": lambda: list(seal.changed_files(job)),
    }
    ways |= {f"loaded: {kind}": partial(load_model, prepared(folder, kind, options.device)) for kind in KINDS}
    place = {"allow_pickle": False, "dtype": torch.float32, "device_map": {"": options.device}}
    if options.device == "cpu":  # as load_model does it on a GPU
        ways["loaded: float32, made of 16 bits in place"] = lambda: trained_model(folder, narrow=True, **place)
    one, other = (trained_model(folder, narrow=narrow, **place) for narrow in (False, True))
    if not all(map(torch.equal, one.state_dict().values(), other.state_dict().values())):
        raise SystemExit("weights that are made float32 in place are others")
    ways["what the model allows, tried"] = lambda: found_ways(one)
    del other
    seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    for _ in range(options.rounds):
        for name, run in ways.items():
            seconds[name].append(taken(run))
    rows = []
    for name, times in seconds.items():
        wall, cpu = (median(some) for some in zip(*times, strict=True))
        rows.append([name, f"{wall:.2f}", f"{cpu:.2f}", f"{cpu / gigabytes:.2f}", f"{cpu / gigabytes * LARGE:.1f}"])
    print(f"{gigabytes:.2f} GB of bfloat16 in {len(list(folder.glob('*.safetensors')))} files, on {options.device}\n")
    print(table(["part of a job", "seconds", "CPU, s", "CPU, s a GB", f"of {LARGE} GB"], rows))


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--d-model", type=int, default=2048)
    parser.add_argument("--layers", type=int, default=9)
    parser.add_argument("--vocabulary", type=int, default=32_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--device", default="cpu", help="such as cuda")
    options = parser.parse_args()
    torch.set_num_threads(1)
    with TemporaryDirectory() as scratch:
        os.chdir(scratch)  # what is remembered of files stands in the project's folder
        folder = Path(scratch) / "checkpoint"
        folder.mkdir()
        measured(options, folder)


if __name__ == "__main__":
    main()
