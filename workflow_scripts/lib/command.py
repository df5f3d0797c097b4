"""Make a stage's function a command: its parameters are the flags, its expected errors one clear message."""

from collections.abc import Callable
from typing import Any

from jsonargparse import auto_cli

OURS = "workflow_scripts."


def command(stage: Callable[..., Any]) -> None:
    """Run `stage` with the flags of the command line.

    Errors of ours say what is wrong and what to do, and the file system's say which file and why: their message is
    all that is shown. Anything else is a bug and keeps its traceback.
    """
    try:
        auto_cli(stage, as_positional=False)
    except Exception as error:
        if type(error).__module__.startswith(OURS) or isinstance(error, OSError):
            raise SystemExit(f"{stage.__name__}: {error}") from None
        raise
