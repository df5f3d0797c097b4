"""How many tokens run together: as many as the settings say, or as the GPUs' memory is seen to hold."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal, Protocol

import torch
from transformers import PreTrainedModel

from workflow_scripts.lib.progress import log

Tokens = int | Literal["auto"]

ON_CPU = 512  # more are no faster there (docs/performance.md), and less of them stays in the caches
FIRST, MOST = 4096, 65_536  # on a GPU: enough to keep it busy, and what gains nothing more
HEADROOM = 0.8  # of free memory: what the allocator cannot use in one piece is not there to be had


class Memory(Protocol):
    """What a batch takes of the memory that was free before it."""

    def restart(self) -> None:
        """Measure from here."""

    def share(self) -> float:
        """The highest share of the free memory taken since, of the device that is nearest to full."""


class GpuMemory:
    """Memory of GPUs, as torch's allocator knows it."""

    def __init__(self, devices: list[torch.device]) -> None:
        self.devices = devices
        self.before: list[int] = []

    def restart(self) -> None:
        """Measure from here."""
        for device in self.devices:
            torch.cuda.reset_peak_memory_stats(device)
        self.before = [torch.cuda.memory_allocated(device) for device in self.devices]

    def share(self) -> float:
        """The highest share of the free memory taken since, of the device that is nearest to full."""
        shares = []
        for device, before in zip(self.devices, self.before, strict=True):
            free = torch.cuda.mem_get_info(device)[0] + torch.cuda.memory_reserved(device) - before
            shares.append((torch.cuda.max_memory_allocated(device) - before) / max(free, 1))
        return max(shares)


def gpu_memory(model: PreTrainedModel) -> GpuMemory | None:
    """Memory of the GPUs that a model is on; None where it is on none."""
    devices = {parameter.device for parameter in model.parameters()}
    gpus = sorted((device for device in devices if device.type == "cuda"), key=str)
    return GpuMemory(gpus) if gpus else None


class Budget:
    """Tokens of a batch. `auto` grows while memory is seen to hold twice as many; what does not fit halves it."""

    def __init__(self, asked: Tokens, memory: Memory | None) -> None:
        self.memory = memory if asked == "auto" else None
        self.tokens = asked if asked != "auto" else FIRST if memory else ON_CPU

    @contextmanager
    def watched(self, tokens: int) -> Iterator[None]:
        """Run a batch of that many tokens within the block, and learn from what it takes."""
        if self.memory is None:
            yield
            return
        self.memory.restart()
        yield
        filled = 2 * tokens > self.tokens  # what a small batch takes says little of a full one
        if filled and 2 * self.tokens <= MOST and 2 * self.memory.share() < HEADROOM:
            self.tokens *= 2

    def halve(self) -> None:
        """Half of the budget, for good: memory did not hold it."""
        torch.cuda.empty_cache()
        self.memory = None
        self.tokens = max(1, self.tokens // 2)
        log(f"out of memory: {self.tokens} tokens a batch from here (`tokens_per_batch`)")
