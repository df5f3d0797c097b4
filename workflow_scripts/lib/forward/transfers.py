"""Tensors on their way to a GPU and from it, while it runs: through pinned memory, so that nobody waits for it.

A plain copy from ordinary memory waits until all that was queued before has run, and a GPU that has nothing queued
stands still while Python prepares the next batch. On a CPU all of this is a plain copy, or none.
"""

from collections import deque
from typing import Any

import torch
from torch import Tensor

AHEAD = 1  # batches whose numbers are on their way while the next one is queued


def sent(tensor: Tensor, device: torch.device) -> Tensor:
    """The tensor on a device."""
    if device.type == "cuda" and tensor.device.type == "cpu":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)


class Returning:
    """Brings what batches give into main memory, on a stream of its own, while the batches after them run.

    Pinned memory is held for no more than `AHEAD` + 1 batches.
    """

    def __init__(self) -> None:
        self.streams: dict[torch.device, Any] = {}
        self.under_way: deque[tuple[Any, list[tuple[Tensor, Tensor]]]] = deque()

    def take(self, *tensors: Tensor) -> list[Tensor]:
        """Tensors in main memory, which hold what these do once all is `settled`; empty and other ones at once."""
        if not any(one.is_cuda for one in tensors):
            return [one.cpu() for one in tensors]
        device = next(one.device for one in tensors if one.is_cuda)
        if device not in self.streams:
            self.streams[device] = torch.cuda.Stream(device)
        stream = self.streams[device]
        whole = [one.contiguous() for one in tensors]
        stream.wait_stream(torch.cuda.current_stream(device))
        with torch.cuda.stream(stream):
            pinned = [torch.empty(one.shape, dtype=one.dtype, pin_memory=one.numel() > 0) for one in whole]
            for held, one in zip(pinned, whole, strict=True):
                held.copy_(one, non_blocking=True)
                if one.is_cuda:
                    one.record_stream(stream)  # its memory is not given to the next batch before
            arrived = stream.record_event()
        read = [torch.empty(one.shape, dtype=one.dtype) for one in pinned]
        self.under_way.append((arrived, [*zip(read, pinned, strict=True)]))
        while len(self.under_way) > AHEAD:
            self._land()
        return read

    def settled(self) -> None:
        """Wait until all that was taken is there."""
        while self.under_way:
            self._land()

    def _land(self) -> None:
        arrived, copies = self.under_way.popleft()
        arrived.synchronize()
        for read, pinned in copies:
            read.copy_(pinned)
