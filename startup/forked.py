"""In a process that warm_server.py forks: be the process that a client of warm.py asked for."""

import atexit
import marshal
import os
import runpy
import signal
import socket
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from startup.warm import DECLINED, STARTED

PR_SET_PDEATHSIG = 1


def die_with_parent(number: int) -> None:
    """Have Linux send this process a signal, or none (0), when its parent ends; raises where it cannot."""
    from ctypes import CDLL  # a Python may lack it

    if CDLL(None).prctl(PR_SET_PDEATHSIG, number, 0, 0, 0):
        raise OSError("prctl failed")


def call(name: str) -> None:
    """What top(1) is to call this process."""
    with suppress(OSError):
        Path("/proc/self/comm").write_text(name)


def decline(client: socket.socket) -> None:
    """Leave a client to start its job itself."""
    with suppress(OSError), client:
        client.sendall(DECLINED)


def become(client: socket.socket) -> NoReturn:
    """In a child: be the process that a client asked for; decline if that cannot be."""
    status = 1
    try:
        module = take_over(client)
        client.sendall(STARTED)
    except BaseException:  # whatever is missing: the client can do without
        decline(client)
        os._exit(status)
    try:
        status = run_as_main(module)
        tidy_up()
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        os._exit(status)  # without taking the interpreter down, which is half a second for torch


def take_over(client: socket.socket) -> str:
    """Take a client's streams, folder, environment, flags and number of threads; the module that it asks for."""
    die_with_parent(signal.SIGKILL)
    size, streams, *_ = socket.recv_fds(client, 8, 3)
    folder, environment, command = marshal.loads(client.makefile("rb").read(int.from_bytes(size, "big")))
    for stream, own in zip((0, 1, 2), streams, strict=True):
        os.dup2(own, stream)
        os.close(own)
    os.chdir(folder)
    os.environb.clear()
    os.environb.update(environment)
    sys.path[0], sys.argv = folder, command
    threads = int(os.environ.get("OMP_NUM_THREADS", 0))
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(threads or 1)
    elif threads != 1:
        raise OSError("numpy has the one thread that it was loaded with")
    stage = [part for part in command if part.startswith("workflow_scripts.")] or command
    call(stage[0].split(".")[-1])
    return command[0]


def run_as_main(module: str) -> int:
    """Run a module as the program; its exit status, and its last words if it fails, as the interpreter gives them."""
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as end:
        if isinstance(end.code, int):
            return end.code & 0xFF
        sys.stderr.write(f"{end.code}\n" if end.code is not None else "")
        return int(end.code is not None)
    except BaseException:
        sys.excepthook(*sys.exc_info())
        return 1
    return 0


def tidy_up() -> None:
    """What the interpreter does before it takes itself down."""
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
