"""A process that stands in Snakemake's place ends at a signal with all that it started, and says so in one line."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from startup.stop import LINE, PATIENCE, Stop
from tests.processes import gone, processes_of, within

ROOT = Path(__file__).parents[2]
ENOUGH = 10 * PATIENCE
HEAD = """
import os, pathlib, subprocess, sys, threading, time, types
from startup.stop import Stop
stop = Stop(types.SimpleNamespace(local_exec=True))
stop.listen()
WRITES = "import os, pathlib, sys, time; p = pathlib.Path(f'artifacts/.{sys.argv[1]}.{os.getpid()}.tmp'); " \\
    "p.mkdir(parents=True); (p / 'part').touch(); time.sleep(600)"
def job(name):
    command = f"sh -c '{sys.executable} -c \\"$WRITES\\" {name}' || {sys.executable} -c \\"$WRITES\\" {name}-next"
    return subprocess.Popen(command, shell=True, env=os.environ | {"WRITES": WRITES})
"""


def run(folder, text, **options):
    """A process in Snakemake's place, once it says that it is ready."""
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "env": {**os.environ, "PYTHONPATH": str(ROOT)}}
    process = subprocess.Popen([sys.executable, "-c", HEAD + text], cwd=folder, **streams, **options)
    assert process.stdout.readline() == b"ready\n"
    return process


def ends(process, number=signal.SIGINT):
    """Status and words of a process after a signal, which comes when it sleeps: one just before would not wake it."""
    time.sleep(0.3)
    process.send_signal(number)
    output, error = process.communicate(timeout=ENOUGH)
    return process.returncode, output, error


def written(folder, count):
    return lambda: len(list(folder.glob("artifacts/.*.tmp/part"))) == count


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_all_that_a_process_started_ends_with_it(tmp_path, number):
    process = run(tmp_path, "job('a'), job('b'), print('ready', flush=True), time.sleep(600)")
    assert within(ENOUGH, written(tmp_path, 2))
    (tmp_path / "artifacts/.others.1.tmp").touch()
    (tmp_path / "artifacts/whole").touch()
    assert ends(process, number) == (128 + number, b"", LINE)
    assert processes_of(tmp_path) == {}
    assert sorted(path.name for path in (tmp_path / "artifacts").iterdir()) == [".others.1.tmp", "whole"]


def test_what_it_was_writing_itself_is_removed(tmp_path):
    text = "pathlib.Path('.snakemake').mkdir(); pathlib.Path(f'.snakemake/.x.json.{os.getpid()}.tmp').touch()"
    assert ends(run(tmp_path, f"{text}; print('ready', flush=True); time.sleep(600)"))[0] == 130
    assert list((tmp_path / ".snakemake").iterdir()) == []


def test_cleaning_up_goes_on_and_is_silent(tmp_path):
    text = """
try:
    print("ready", flush=True), time.sleep(600)
finally:
    pathlib.Path("cleaned").touch()
    print("an error, and a shell command"), sys.stderr.write("Traceback"), os.system("echo more; echo and more >&2")
"""
    assert ends(run(tmp_path, text)) == (130, b"", LINE)
    assert (tmp_path / "cleaned").exists()


def test_code_that_catches_everything_ends_all_the_same(tmp_path):
    text = """
while True:
    try:
        print("ready", flush=True), time.sleep(600)
    except BaseException:
        pathlib.Path("caught").touch()
"""
    assert ends(run(tmp_path, text)) == (130, b"", LINE)
    assert (tmp_path / "caught").exists()


def test_what_a_thread_starts_meanwhile_ends_too(tmp_path):
    text = """
def one_after_another():
    for _ in range(5):
        subprocess.run(["sleep", "600"])
threading.Thread(target=one_after_another).start()
print("ready", flush=True), time.sleep(600)
"""
    process = run(tmp_path, text)
    assert within(ENOUGH, lambda: len(processes_of(tmp_path)) == 2)
    assert ends(process) == (130, b"", LINE)
    assert processes_of(tmp_path) == {}


def test_a_timer_of_snakemakes_does_not_hold_the_end_up(tmp_path):
    text = "threading.Timer(600, print).start(); print('ready', flush=True); time.sleep(600)"
    process = run(tmp_path, f"import atexit; atexit.register(pathlib.Path('tidy').touch); {text}")
    assert ends(process) == (130, b"", LINE)
    assert (tmp_path / "tidy").exists()


def test_what_cannot_be_removed_does_not_matter(tmp_path):
    text = "pathlib.Path('artifacts').mkdir(); pathlib.Path.rglob = lambda *_: open('nowhere')"
    assert ends(run(tmp_path, f"{text}; print('ready', flush=True); time.sleep(600)")) == (130, b"", LINE)


def test_a_second_signal_changes_nothing(tmp_path):
    process = run(tmp_path, "job('a'), print('ready', flush=True), time.sleep(600)")
    assert within(ENOUGH, written(tmp_path, 1))
    process.send_signal(signal.SIGINT)
    assert ends(process, signal.SIGTERM)[1:] == (b"", LINE)
    assert processes_of(tmp_path) == {}


def test_a_signal_that_is_ignored_stays_so(tmp_path):
    process = run(tmp_path, "print('ready', flush=True); time.sleep(600)", preexec_fn=lambda: ignore(signal.SIGHUP))
    process.send_signal(signal.SIGHUP)
    assert not within(0.5, lambda: gone(process.pid))
    assert ends(process)[0] == 130


def ignore(number):
    signal.signal(number, signal.SIG_IGN)


@pytest.mark.usefixtures("signals")
def test_where_jobs_run_elsewhere_all_is_as_snakemake_has_it():
    heard = []
    stop = Stop(SimpleNamespace(local_exec=False))
    stop.listen()
    signal.signal(signal.SIGTERM, lambda *_: heard.append("graceful"))  # Snakemake does, when it has read the rules
    stop.listen()
    signal.raise_signal(signal.SIGTERM)
    assert heard == ["graceful"]
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)
    stop.leave()


def test_where_jobs_run_elsewhere_a_closed_terminal_ends_snakemake(tmp_path):
    process = run(tmp_path, "stop.workflow.local_exec = False; print('ready', flush=True); time.sleep(600)")
    assert ends(process, signal.SIGHUP) == (-signal.SIGHUP, b"", b"")


def test_the_end_of_a_run_waits_for_no_timer():
    timer = threading.Timer(600, print)
    timer.start()
    Stop(workflow=None).leave()
    timer.join(10)
    assert not timer.is_alive()
