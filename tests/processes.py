"""Processes as tests watch them."""

import time
from pathlib import Path

import psutil


def within(seconds, condition):
    """Whether a condition comes true in time."""
    until = time.monotonic() + seconds
    while not (true := condition()) and time.monotonic() < until:
        time.sleep(0.05)
    return true


def gone(pid):
    """Whether a process has ended, buried or not."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def processes_of(folder):
    """Commands of the processes at work in a folder, by process."""
    found = {}
    for process in psutil.process_iter():
        try:
            if process.status() != psutil.STATUS_ZOMBIE and Path(process.cwd()) == Path(folder).resolve():
                found[process.pid] = " ".join(process.cmdline())
        except psutil.Error:
            continue
    return found
