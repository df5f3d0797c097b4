"""Progress of a long job: lines with done, total and an estimate in its log, a bar on a terminal."""

import sys
import time
from types import TracebackType

from tqdm import tqdm

LINES = 20


class Progress:
    """Counts work done; as a context manager it closes the bar. At most `LINES` lines go to a log."""

    def __init__(self, what: str, total: int) -> None:
        self.what, self.total, self.done, self.started = what, total, 0, time.monotonic()
        self.bar = tqdm(total=total, desc=what, leave=False) if sys.stderr.isatty() else None

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self.bar is not None:
            self.bar.close()

    def advance(self, count: int = 1, note: str = "") -> None:
        """Count `count` more as done; `note` is shown beside the numbers."""
        before, self.done = self.done, self.done + count
        if self.bar is not None:
            self.bar.set_postfix_str(note, refresh=False)
            self.bar.update(count)
        elif before * LINES // self.total != self.done * LINES // self.total:
            log(self._line(note))

    def _line(self, note: str) -> str:
        left = (time.monotonic() - self.started) / self.done * (self.total - self.done)
        return f"{self.what}: {self.done}/{self.total}, about {left:.0f} s left{note and ', ' + note}"


def log(line: str) -> None:
    """Write a line to the job's log."""
    sys.stderr.write(line + "\n")
    sys.stderr.flush()
