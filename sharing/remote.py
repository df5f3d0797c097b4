"""Add the default remote of a study, whose bytes are checked as they are pulled: `make remote URL=... [NAME=shared]`.

Whatever DVC takes for a URL: a folder, `ssh://user@host/path`, `s3://bucket/path` and more (docs/sharing.md).
"""

import re
import subprocess
import sys
from pathlib import Path

from freshness import configured, remotes
from sharing.store import Remote, StoreError
from workflow_scripts.lib.command import command


def remote(url: str, name: str = "shared") -> None:
    """Add a remote and make it the default, or say what is there under that name.

    Args:
        url: where its objects are to be
        name: what DVC calls it
    """
    if not url:
        raise StoreError("URL says where: a folder, ssh://user@host/path, s3://bucket/path (docs/sharing.md)")
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", name):
        raise StoreError(f"NAME={name}: a remote is called by letters, digits, - and _")
    configured.need_dvc("a remote")
    said = configured.settings().get(f"remote.{name.lower()}.url")
    there = said.value if said else None
    if said and there != url and configured.path_of(said) != Path(url).resolve():
        raise StoreError(f"{name} is {there} already: `make remote URL=... NAME=other`, or `dvc remote remove {name}`")
    if not there:
        _dvc("remote", "add", name, url)
    try:
        added = Remote(name)  # says if a library is missing that this kind of remote needs
    except StoreError:
        if not there:
            _dvc("remote", "remove", name)
        raise
    _dvc("remote", "default", name)
    remotes.settle()
    sys.stdout.write(f"{added.name} ({added.url}) is the default remote: `dvc push` sends, `dvc pull` fetches\n")


def _dvc(*words: str) -> None:
    done = subprocess.run([sys.executable, "-m", "dvc", *words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise StoreError(done.stderr.strip())


if __name__ == "__main__":
    command(remote)
