"""Have DVC check what it pulls: `verify = true` of every remote.

DVC believes a remote unless the remote's own settings say otherwise, and has no setting for all of them. So every run,
`make remote` and `make fetch` see to it, and nobody needs to know.
"""

import subprocess
import sys
from collections.abc import Iterable, Sequence
from typing import NamedTuple

OF_PROJECT = ".dvc/config"  # committed, so that it holds for everybody


class Unverified(NamedTuple):
    """A remote of which nobody said whether what is pulled from it is checked, and the file that says its URL."""

    name: str
    origin: str


def unverified(listed: str) -> list[Unverified]:
    """Those remotes, of what `dvc config --list --show-origin` prints: a file, a tab and `remote.name.url=...`."""
    said: dict[str, dict[str, str]] = {}
    for line in listed.splitlines():
        origin, _, setting = line.partition("\t")
        key, _, _ = setting.partition("=")
        if key.startswith("remote."):
            name, _, option = key.removeprefix("remote.").rpartition(".")
            said.setdefault(name, {})[option] = origin
    return [Unverified(name, of["url"]) for name, of in said.items() if "url" in of and "verify" not in of]


def settle(remotes: Iterable[Sequence[str]]) -> None:
    """Say `verify = true` of some remotes where they are said, or in .dvc/config.local where that is not the project's.

    `remotes`: name and file of each, as `unverified` has them.
    """
    for name, origin in remotes:
        level = [] if origin == OF_PROJECT else ["--local"]
        command = [sys.executable, "-m", "dvc", "remote", "modify", *level, name, "verify", "true"]
        subprocess.run(command, check=True, capture_output=True)
        file = OF_PROJECT if not level else f"{OF_PROJECT}.local"
        sys.stderr.write(f"remote {name}: what is pulled from it is checked from here (verify in {file})\n")
