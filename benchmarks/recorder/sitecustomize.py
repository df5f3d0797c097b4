"""Note of every Python process what starting it took: python imports this first where PYTHONPATH names the folder.

At its end a process writes a line of JSON to the folder that RECORDS names: its command, its CPU time (user and system)
and how much of that was start-up, in seconds. Start-up is what the interpreter took until here, and every import that
was not part of another import, whenever it happened, timed by its thread's CPU clock. A forked process begins at zero:
what it imports itself is its own, what it was born with is on its parent's bill.
"""

import atexit
import importlib._bootstrap as bootstrap
import os
import sys
import threading
import time
from types import ModuleType
from typing import Any

find_and_load = bootstrap._find_and_load
state = threading.local()
startup = [time.process_time()]


def timed(name: str, import_: Any) -> ModuleType:
    """Python's own import of a module that is not there yet, timed unless it is part of another."""
    if getattr(state, "importing", False):
        return find_and_load(name, import_)
    state.importing, started = True, time.thread_time()
    try:
        return find_and_load(name, import_)
    finally:
        state.importing = False
        startup[0] += time.thread_time() - started


def write() -> None:
    """The process's line."""
    import json

    line = {"command": sys.argv, "cpu": time.process_time(), "startup": startup[0]}
    path = os.path.join(os.environ["RECORDS"], f"{os.getpid()}-{time.time_ns()}.json")  # noqa: PTH118
    with open(path, "w", encoding="utf-8") as file:  # noqa: PTH123
        json.dump(line, file)


def born() -> None:
    """Begin at zero in a forked process."""
    startup[0] = 0.0


bootstrap._find_and_load = timed
os.register_at_fork(after_in_child=born)
atexit.register(write)
