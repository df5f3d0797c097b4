"""Make a stage's function a command: its parameters are the flags, its expected errors one clear message."""

from collections.abc import Callable
from typing import Any

from jsonargparse import auto_cli

from workflow_scripts.lib.errors import StudyError


def command(stage: Callable[..., Any]) -> None:
    """Run `stage` with the flags of the command line.

    Errors of ours say what is wrong and what to do, and the file system's say which file and why: their message is
    all that is shown. Anything else is a bug and keeps its traceback.
    """
    try:
        auto_cli(stage, as_positional=False)
    except (StudyError, OSError) as error:
        raise SystemExit(f"{stage.__name__}: {error}") from None
