"""End a run at once when it is interrupted (Ctrl-C), told to end (`kill`) or its terminal is closed: in one line.

Left to itself Snakemake reports every job that dies so as an error, with its shell command, or ends in a traceback;
told to end, it waits for its jobs. Here its jobs are ended first, with all that they started, and it is left to end in
silence. Where jobs run on other machines it alone knows how to cancel them, and all is as Snakemake has it.

Signal handlers and exceptions are all that this uses. Snakemake has no setting for it: `onerror` runs when the errors
have been printed, not at all while it plans, and not before a job that it waits for has come to its own end.
"""

import _thread  # the documented low-level module: threading's start() takes a lock that a handler may have interrupted
import atexit
import os
import re
import shutil
import signal
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any

import psutil

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
LINE = b"Stopped. What is finished is kept; `snakemake --cores all` goes on from there.\n"
# A terminal sends its signals to every process at once. Jobs do not hear them, or Snakemake would take one that dies
# before its own handler has run for a failed one, and say so.
UNMOVED = "trap '' HUP INT; "
PATIENCE = 2.0  # seconds
UNFINISHED = re.compile(r"\.(\d+)\.tmp$")  # by the writing process: artifacts/tables.py, freshness/contents.py
WRITTEN = ("artifacts", ".snakemake", ".dvc/cache/recipes", ".dvc/cache/unfinished")


def unmoved(command: list[str]) -> list[str]:
    """A command that does not hear a terminal's signals."""
    return ["sh", "-c", f'{UNMOVED}exec "$@"', "sh", *command]


class Stop:
    """What a run does at a signal. `workflow` is Snakemake's."""

    def __init__(self, workflow: Any) -> None:
        self.workflow = workflow
        self.before: dict[int, Any] = {}
        self.status = 0
        atexit.register(self._end)

    def listen(self) -> None:
        """Take the signals, but for those that are ignored (`nohup`); again after Snakemake took one."""
        for number in SIGNALS:
            before = signal.getsignal(number)
            if before not in (None, signal.SIG_IGN, self._heard):
                with suppress(ValueError):  # Snakemake may run in a thread, and signals are the main thread's
                    signal.signal(number, self._heard)
                    self.before[number] = before

    def leave(self) -> None:
        """At the end of a run: wait for no timer, and exit with the status of a stopped one if it was stopped.

        Snakemake's would be that of a failed one.
        """
        cancel_timers()
        if self.status:
            raise SystemExit(self.status)

    def _end(self) -> None:
        """End before the interpreter is taken down: a thread at work meanwhile can crash it, or make it wait."""
        if self.status:
            os._exit(self.status)

    def _heard(self, number: int, frame: FrameType | None) -> None:
        if not self.workflow.local_exec:
            self._pass_on(number, frame)
            return
        for each in SIGNALS:
            signal.signal(each, signal.SIG_IGN)
        self.status = 128 + number  # as a shell has it
        terminal = _silence()
        remove_unfinished({os.getpid(), *end_jobs()})
        with suppress(OSError):  # a terminal that is closed
            os.write(terminal, b"\n" + LINE if os.isatty(terminal) else LINE)  # the cursor stands behind ^C
        if not threading.main_thread().is_alive():  # the interpreter is being taken down, and heeds no exception
            os._exit(self.status)
        for each in SIGNALS:
            signal.signal(each, self._heard_again)
        _thread.start_new_thread(self._make_sure, ())
        self.leave()

    def _heard_again(self, number: int, frame: FrameType | None) -> None:
        self.leave()

    def _pass_on(self, number: int, frame: FrameType | None) -> None:
        """Do what would have been done without this."""
        if callable(before := self.before[number]):
            before(number, frame)
        else:
            signal.signal(number, before)
            os.kill(os.getpid(), number)

    def _make_sure(self) -> None:
        """End what a thread was about to start; and this process, should anything hold the exception up or catch it."""
        main, until = threading.main_thread(), time.monotonic() + PATIENCE
        while time.monotonic() < until:
            remove_unfinished(end_jobs())
            cancel_timers()
            time.sleep(0.1)
            if main.is_alive() and main.ident:
                signal.pthread_kill(main.ident, signal.SIGINT)
        os._exit(self.status)


def cancel_timers() -> None:
    """Cancel Snakemake's timers, each of which is to look for more jobs to start: a process waits for its threads."""
    for thread in threading.enumerate():
        if isinstance(thread, threading.Timer):
            thread.cancel()


def _silence() -> int:
    """Let this process say no more; gives where it would have said it."""
    terminal, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    return terminal


def end_jobs() -> set[int]:
    """Kill what this process started, and what that started; gives their ids once they are gone."""
    held: set[psutil.Process] = set()
    # Stopped first: a shell whose command is killed would start the next, which nobody would find if it is killed too.
    while found := {*_alive(psutil.Process().children(recursive=True))} - held:
        _each("suspend", found)
        held |= found
    _each("kill", held)
    until = time.monotonic() + PATIENCE
    while any(_alive(held)) and time.monotonic() < until:
        time.sleep(0.005)
    return {process.pid for process in held}


def _alive(processes: Iterable[psutil.Process]) -> Iterator[psutil.Process]:
    for process in processes:
        with suppress(psutil.Error):
            if process.status() != psutil.STATUS_ZOMBIE:
                yield process


def _each(action: str, processes: Iterable[psutil.Process]) -> None:
    for process in processes:
        with suppress(psutil.Error):
            getattr(process, action)()


def remove_unfinished(pids: set[int]) -> None:
    """Remove what processes that are gone had not finished writing, where that can be."""
    for top in WRITTEN if pids else ():
        with suppress(OSError):
            for path in list(Path(top).rglob(".*.tmp")):
                writer = UNFINISHED.search(path.name)
                if writer and int(writer[1]) in pids:
                    shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)
