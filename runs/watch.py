"""Follow a run of Snakemake: a line on the terminal every second, one in a log at every job, a file for `make status`.

This is a handler of the log that Snakemake's default handler writes to the terminal, and stands in its place: a message
it has nothing to do with is handed on to that. A logger plugin of Snakemake's would be the same, but has to be an
installed package. On a terminal jobs that start and end are in the line, and in .snakemake/log, and nowhere else.
"""

import json
import logging
import os
import shutil
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from snakemake_interface_logger_plugins.common import LogEvent

from freshness.contents import load
from runs import failure
from runs.tally import Job, Tally, jobs_of, spoken
from startup.checks import this_process

FILE = Path(".snakemake/run.json")
FINISHED, FAILED = "finished", "failed"
TICK = 1.0  # seconds
OF_JOBS = {LogEvent.JOB_INFO, LogEvent.JOB_STARTED, LogEvent.JOB_FINISHED, LogEvent.PROGRESS, LogEvent.SHELLCMD}
SELECTING = "Select jobs to execute"
# What Snakemake says of a failed job beside the message that stands for it here.
GENERIC = (
    "RuleException:\nCalledProcessError",
    "Shutting down, this might take some time",
    "Exiting because a job execution failed",
    "WorkflowError:\nAt least one job did not complete",
)
GO_ON = "{}, as said above. What is finished is kept; the next run goes on from there."
CLEAR = "\r\033[K"
LOGGER = "snakemake.logging"
DEFAULT = "DefaultStreamHandler"


class Watch(logging.Handler):
    """Follows a run between `begin` and `end`, or until `stopped` says that it is being ended with all its jobs."""

    def __init__(self, stopped: Callable[[], bool] = lambda: False, file: Path = FILE) -> None:
        super().__init__()
        self.stopped, self.file, self.tally = stopped, file, Tally({})
        self.shown: Any = None  # Snakemake's handler, where it has its own
        self.terminal, self.drawn = False, 0.0
        self.ended = threading.Event()

    def begin(self, dag: Any) -> None:
        """Take the place of Snakemake's handler; where another stands there (`--logger`), only the file is written."""
        earlier = load(self.file) or {}
        self.tally = Tally(jobs_of(dag), before=earlier.get("taken", {}))
        logger = logging.getLogger(LOGGER)
        self.shown = next((one for one in logger.handlers if one.name == DEFAULT), None)
        if self.shown:
            logger.removeHandler(self.shown)
            quiet = any(getattr(one, "quiet", None) for one in self.shown.filters)
            self.terminal = self.shown.is_tty and os.environ.get("TERM") != "dumb" and not quiet
        logger.addHandler(self)
        self._write()
        threading.Thread(target=self._tick, daemon=True).start()

    def end(self, how: str) -> None:
        """The run has ended: say what came of it, where Snakemake does not."""
        if self.ended.is_set() or self.stopped():
            return
        self.ended.set()
        with self.lock:  # type: ignore[union-attr]
            self._clear()
            self._write(how)
            if self.tally.failed:
                self._say(GO_ON.format(self.tally.counts()))
            elif self.terminal:
                self._say(self.tally.counts())

    def close(self) -> None:
        """With the log."""
        self.ended.set()
        if self.shown:
            self._clear()
            self.shown.close()
        super().close()

    # What Snakemake says

    def emit(self, record: logging.LogRecord) -> None:
        """Count what is said of jobs, and say it or hand it on; no run ends for what goes wrong here."""
        if self.stopped():  # jobs that are ended have not failed
            return
        try:
            self._take(record)
        except Exception:
            self.handleError(record)

    def _take(self, record: logging.LogRecord) -> None:
        event = getattr(record, "event", None)
        self._count(record, event)
        if self.shown is None:
            return
        if event == LogEvent.JOB_ERROR:
            self._fail(record)
        elif self.terminal and event in OF_JOBS:
            if event == LogEvent.JOB_INFO and time.time() - self.drawn > TICK:
                self.draw()
        elif self._said_better(str(record.msg)):
            return
        elif event == LogEvent.PROGRESS and self.shown.filter(record):
            self._say(self.tally.line(time.time()))
        else:
            self._clear()
            self.shown.handle(record)

    def _count(self, record: Any, event: LogEvent | None) -> None:
        now, jobs, running = time.time(), self.tally.jobs, self.tally.running
        if event == LogEvent.JOB_INFO and record.jobid in jobs and record.jobid not in running:
            self.tally.start(record.jobid, now)
        elif event == LogEvent.JOB_FINISHED and record.job_id in running:
            self.tally.finish(record.job_id, now)
        elif event == LogEvent.JOB_ERROR and record.jobid in running:
            self.tally.fail(record.jobid)

    def _said_better(self, text: str) -> bool:
        """Whether a message of Snakemake's is one that ours stand in for."""
        return text.startswith(GENERIC) or (text.startswith(SELECTING) and self.terminal)

    def _fail(self, record: Any) -> None:
        artifact = next(iter(record.output), record.rule_name)
        self._say(failure.told(artifact, record.shellcmd, record.log, record.rule_msg), logging.ERROR)

    def _say(self, text: str, level: int = logging.INFO) -> None:
        """A message of our own, as Snakemake's are shown."""
        if self.shown:
            self._clear()
            self.shown.handle(logging.LogRecord(LOGGER, level, "", 0, text, None, None))

    # Every second

    def _tick(self) -> None:
        while not self.ended.wait(TICK):
            with self.lock:  # type: ignore[union-attr]
                if not (self.ended.is_set() or self.stopped()):
                    self.draw()
                    self._write()

    def draw(self) -> None:
        """The line, as much as fits: counts first, then what runs."""
        if self.terminal:
            self.drawn = now = time.time()
            names = {one: self.tally.jobs[one].artifact.removeprefix("artifacts/") for one in self.tally.running}
            at_work = (f"{names[one]} {spoken(now - since)}" for one, since in self._running())
            text = " | ".join([self.tally.line(now), *at_work])
            self._put(CLEAR + text[: shutil.get_terminal_size().columns - 1])

    def _running(self) -> list[tuple[int, float]]:
        return sorted(self.tally.running.items(), key=lambda one: one[1])

    def _clear(self) -> None:
        if self.terminal:
            self._put(CLEAR)

    def _put(self, text: str) -> None:
        with suppress(OSError, ValueError):  # a terminal that is closed
            self.shown.stream.write(text)
            self.shown.stream.flush()

    def _write(self, how: str = "") -> None:
        """The file. In place: one that is renamed would leave another behind if the run is killed meanwhile."""
        jobs, now = self.tally.jobs, time.time()
        told = {
            "process": this_process(),
            "told": now,
            "ended": how,
            "counts": self.tally.counts(),
            "line": self.tally.line(now),
            "running": [noted(jobs[one]) | {"since": since} for one, since in self._running()],
            "failed": [noted(jobs[one]) for one in sorted(self.tally.failed)],
            "taken": self.tally.known,
        }
        with suppress(OSError):  # a full disk: jobs have more to say of it
            self.file.write_text(json.dumps(told) + "\n", encoding="utf-8")


def noted(job: Job) -> dict[str, str]:
    """What the file says of a job."""
    return {"artifact": job.artifact, "log": job.log}
