"""GPUs of this machine, told without torch, which takes seconds to ask; and one each for jobs side by side."""

import os
import time
from pathlib import Path
from tempfile import gettempdir

GPUS = ("kfd", "dxg")  # under /dev: AMD's, and either in Windows' Linux; how many there are they do not say
CARDS = "nvidia[0-9]*"  # NVIDIA's, one each
VISIBLE = "CUDA_VISIBLE_DEVICES"
PATIENCE = 1.0  # seconds between two looks for a card that is free
_taken: dict[str, int] = {}  # cards of this process until it ends, and the descriptors of their locks


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
