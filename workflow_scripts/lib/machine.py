"""Cores and memory of this machine, and what one of several jobs may take of them."""

import os
from collections.abc import Iterator
from pathlib import Path

import psutil

GROUPS = Path("/sys/fs/cgroup")
GROUP = Path("/proc/self/cgroup")
USED = 0.8  # of memory: the rest is for the system, for files that are read, and for what an estimate leaves out
LIBRARIES = 2**30  # bytes: of torch and transformers 0.5 GB, of small batches as much


def cores() -> int:
    """Cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def memory() -> int:
    """Bytes of main memory, or of the share of it that a container or a scheduler of jobs leaves this process."""
    limits = [path.read_text(encoding="utf-8").strip() for path in _limits() if path.exists()]
    return min([psutil.virtual_memory().total, *(int(limit) for limit in limits if limit.isdigit())])


def _limits() -> Iterator[Path]:
    """Files with the limits of this process's control groups and of those around them, in either of Linux's forms.

    A container sees its own group as the root.
    """
    lines = GROUP.read_text(encoding="utf-8").splitlines() if GROUP.exists() else []
    for _, kinds, inside in (line.split(":", 2) for line in ["0::/", "0:memory:/", *lines]):
        if kinds in ("", "memory"):
            within = GROUPS / kinds / inside.lstrip("/")
            name = "memory.limit_in_bytes" if kinds else "memory.max"
            yield from (one / name for one in (within, *within.parents) if one.is_relative_to(GROUPS / kinds))


def threads(parameters: int, cores: int, memory: int) -> int:
    """Threads of a job that runs a model of so many parameters on the CPU.

    One, where memory holds a job for every core: jobs side by side never wait for one another, and a sum of one thread
    is the same on every machine. Else all cores are shared out among the jobs that memory holds.
    """
    jobs = max(1, min(cores, int(USED * memory) // needed(parameters)))
    return -(-cores // jobs)


def needed(parameters: int) -> int:
    """Bytes that a job needs at least: weights in float32, half as much for states and adapters, and the libraries."""
    return int(4 * parameters * 1.5) + LIBRARIES


def share(threads: int) -> int:
    """Bytes that a job of so many threads may take, so that as many as there are cores for never swap."""
    return min(int(USED * memory()) * threads // max(cores(), threads), psutil.virtual_memory().available)
