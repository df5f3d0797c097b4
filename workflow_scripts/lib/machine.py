"""Cores, memory and GPUs of this machine, and what one of several jobs may take of them."""

import os
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import gettempdir

import psutil

GROUPS = Path("/sys/fs/cgroup")
GROUP = Path("/proc/self/cgroup")
USED = 0.8  # of memory: the rest is for the system, for files that are read, and for what an estimate leaves out
LIBRARIES = 2**30  # bytes: of torch and transformers 0.5 GB, of small batches as much
GPUS = ("kfd", "dxg")  # under /dev: AMD's, and either in Windows' Linux; how many there are they do not say
CARDS = "nvidia[0-9]*"  # NVIDIA's, one each
VISIBLE = "CUDA_VISIBLE_DEVICES"
PATIENCE = 1.0  # seconds between two looks for a card that is free
_taken: dict[str, int] = {}  # cards of this process until it ends, and the descriptors of their locks


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


def has_gpu() -> bool:
    """Whether a driver offers a GPU that this process may see; told without torch, which takes seconds to ask."""
    return bool(cards())


def cards() -> list[str]:
    """GPUs that this process may see, by CUDA's names; of AMD's the one name that stands for all."""
    hidden = os.environ.get(VISIBLE, os.environ.get("HIP_VISIBLE_DEVICES"))
    if hidden in ("", "-1"):
        return []
    nvidia = sorted(int(path.name.removeprefix("nvidia")) for path in Path("/dev").glob(CARDS))
    found = [*map(str, nvidia)] or ["0"] * any(any(Path("/dev").glob(name)) for name in GPUS)
    return hidden.split(",") if found and hidden else found


def take_cards(count: int) -> list[str]:
    """Let this process see so many of several GPUs, that no other job has; waits until they are free. Their names.

    To be called before CUDA is. They are taken by locks that go with the process, whatever ends it.
    """
    every = cards()
    if len(every) < 2 or _taken:
        return every
    wanted = min(count, len(every))
    while len(_taken) < wanted:
        while _taken:  # or two jobs that have one card each could wait for a second one forever
            os.close(_taken.popitem()[1])
        for card in every:
            if len(_taken) < wanted and (lock := _locked(card)) is not None:
                _taken[card] = lock
        if len(_taken) < wanted:
            time.sleep(PATIENCE)
    os.environ[VISIBLE] = ",".join(_taken)
    return [*_taken]


def _locked(card: str) -> int | None:
    """The lock of a card, if no other process has it."""
    import fcntl

    lock = os.open(Path(gettempdir(), f"icl-it-{os.getuid()}-card-{card}"), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        return None
    return lock


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
