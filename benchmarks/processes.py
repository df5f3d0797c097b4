"""What a command takes, with all the processes that it starts, those that outlive their parent included."""

import ctypes
import os
import resource
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

BECOME_PARENT_OF_ORPHANS = 36  # PR_SET_CHILD_SUBREAPER of prctl(2)


class Taken(NamedTuple):
    """Seconds of a command, and what it printed."""

    wall: float
    cpu: float
    output: str


def timed(command: list[str], folder: Path, environment: dict[str, str] | None = None) -> Taken:
    """Run a command until its last process has ended; SystemExit with its output where it fails."""
    ctypes.CDLL(None).prctl(BECOME_PARENT_OF_ORPHANS, 1, 0, 0, 0)
    before, start = cpu_of_the_dead(), time.monotonic()
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    wall = time.monotonic() - start
    with suppress(ChildProcessError):
        while True:
            os.wait()
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
    return Taken(wall, cpu_of_the_dead() - before, done.stdout)


def cpu_of_the_dead() -> float:
    """CPU seconds of all that ran below this process and has ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
