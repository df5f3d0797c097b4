"""What is said of a job that failed, once: which, why, the end of its log, and the command that runs it by hand.

Why is known of jobs on other machines alone: how the scheduler says that the job fared, and what it wrote into the log.
"""

import re
from collections.abc import Sequence
from pathlib import Path

from freshness.recipes import by_hand

LAST = 15  # lines
NO_NEWS = re.compile(r"Detailed failure reason unavailable|For further error details|\n")  # from here on
ENDED_BY = re.compile(r"(slurmstepd|srun|slurmd)\S*: (error|Exceeded)")
REDIRECTED = re.compile(r"\s+2> \S+$")


def told(artifact: str, shellcmd: str | None, logs: Sequence[str], fared: str | None = None) -> str:
    """The message, of several lines; `fared` is what Snakemake's executor says of the job."""
    parts = [f"FAILED {artifact}"]
    if fared:
        parts.append(f"  {NO_NEWS.split(fared)[0].strip()}")
    for log in logs:
        lines = lines_of(Path(log))
        before = [line for line in lines[:-LAST] if ENDED_BY.match(line)]
        parts += [*(f"    {line}" for line in [*before, *lines[-LAST:]]), f"  log: {log}"]
    if shellcmd:
        parts.append(f"  by hand: {REDIRECTED.sub('', by_hand(shellcmd)).strip()}")
    return "\n".join(parts)


def lines_of(log: Path) -> list[str]:
    """The lines of a log that say something; none where there is no log."""
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
    return [line.rstrip() for line in lines if line.strip()]
