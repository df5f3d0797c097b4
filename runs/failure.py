"""What is said of a job that failed, once: which, the end of its own log, and the command that runs it by hand."""

import re
from collections.abc import Sequence
from pathlib import Path

from freshness.recipes import by_hand

LAST = 15  # lines
REDIRECTED = re.compile(r"\s+2> \S+$")


def told(artifact: str, shellcmd: str | None, logs: Sequence[str]) -> str:
    """The message, of several lines."""
    parts = [f"FAILED {artifact}"]
    for log in logs:
        parts += [*(f"    {line}" for line in last_lines(Path(log))), f"  log: {log}"]
    if shellcmd:
        parts.append(f"  by hand: {REDIRECTED.sub('', by_hand(shellcmd)).strip()}")
    return "\n".join(parts)


def last_lines(log: Path, count: int = LAST) -> list[str]:
    """The last lines of a log that say something; none where there is no log."""
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
    return [line.rstrip() for line in lines if line.strip()][-count:]
