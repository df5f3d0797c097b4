"""Have DVC check what it pulls: `verify = true` of every remote.

DVC believes a remote unless the remote's own settings say otherwise, and has no setting for all of them. So every run,
`make remote` and `make fetch` see to it, and nobody needs to know.
"""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from freshness import configured


class Unverified(NamedTuple):
    """A remote of which nobody said whether what is pulled from it is checked, and the file that says its URL."""

    name: str
    file: Path


def names(settings: Mapping[str, configured.Said]) -> list[str]:
    """What remotes are called that have a URL, of settings by their names: `remote.name.url`."""
    of_urls = (key for key in settings if key.startswith("remote.") and key.endswith(".url"))
    return [key.removeprefix("remote.").removesuffix(".url") for key in of_urls]


def unverified(settings: Mapping[str, configured.Said]) -> list[Unverified]:
    """Remotes that have a URL, and of which nobody said whether to check."""
    unsaid = [name for name in names(settings) if f"remote.{name}.verify" not in settings]
    return [Unverified(name, settings[f"remote.{name}.url"].file) for name in unsaid]


def settle() -> None:
    """Say `verify = true` of them, in the project's file where that says their URL, and else in this clone's."""
    for name, said_in in unverified(configured.settings()):
        file = said_in if said_in == configured.OF_PROJECT else configured.OF_CLONE
        configured.say(file, f'remote "{name}"', "verify", "true")
        sys.stderr.write(f"remote {name}: what is pulled from it is checked from here (verify in {file})\n")
