"""What benchmarks share: a random LLaMA, times taken in turns, and memory."""

import ctypes
import gc
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import torch
from transformers import LlamaConfig, PreTrainedModel

from workflow_scripts.lib.models.weights import random_model


def llama(d_model: int, layers: int, vocabulary: int, device: str = "cpu") -> PreTrainedModel:
    """A random LLaMA with heads of 64 dimensions and the usual feed-forward width, in float32."""
    config = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=d_model,
        intermediate_size=d_model * 8 // 3 // 32 * 32,
        num_hidden_layers=layers,
        num_attention_heads=d_model // 64,
        max_position_embeddings=4096,
    )
    return random_model(config, seed=0).eval().to(device)


def random_rows(count: int, shortest: int, longest: int, vocabulary: int, seed: int) -> list[list[int]]:
    """Token ids of rows whose lengths are spread evenly between two bounds."""
    draw = torch.Generator().manual_seed(seed)
    lengths = torch.randint(shortest, longest + 1, (count,), generator=draw).tolist()
    return [torch.randint(5, vocabulary, (n,), generator=draw).tolist() for n in lengths]


def in_turns(ways: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Median seconds of every way; each round runs all of them, so that a busy machine slows all alike.

    A way ends with results on the CPU, so that nothing of it is still queued on a GPU.
    """
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, run in ways.items():
            start = time.perf_counter()
            run()
            taken[name].append(time.perf_counter() - start)
    return {name: median(times) for name, times in taken.items()}


def extra_memory(run: Callable[[], object], device: str = "cpu") -> float:
    """MiB by which the peak exceeds what was held before: of the process (Linux with glibc only) or of the GPU."""
    return _extra_of_process(run) if device == "cpu" else _extra_of_gpu(run, device)


def _extra_of_gpu(run: Callable[[], object], device: str) -> float:
    torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device)
    run()
    return (torch.cuda.max_memory_allocated(device) - before) / 2**20


def _extra_of_process(run: Callable[[], object]) -> float:
    gc.collect()
    ctypes.CDLL("libc.so.6").malloc_trim(0)  # what is free but still held would hide what the run takes
    Path("/proc/self/clear_refs").write_text("5")  # the kernel forgets the peak
    before = _resident("VmRSS")
    run()
    return (_resident("VmHWM") - before) / 1024


def _resident(field: str) -> int:
    status = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in status if line.startswith(f"{field}:"))


def matmul_rate(d_model: int, device: str = "cpu") -> float:
    """Floating-point operations a second of a plain matrix product of the model's own shapes, in float32."""
    rows = 512 if device == "cpu" else 8192
    a, b = torch.randn(rows, d_model, device=device), torch.randn(d_model, d_model * 8 // 3, device=device)
    start = time.perf_counter()
    done = 0
    while time.perf_counter() - start < 1:
        c = a @ b
        if device != "cpu":
            c[0, 0].item()  # a GPU only queues the product; this waits for it
        done += 1
    return 2 * done * a.numel() * b.shape[1] / (time.perf_counter() - start)
