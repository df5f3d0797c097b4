"""A copy of the project in a folder of its own, in which a benchmark may run what it likes."""

import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[1]


def copy_project(folder: Path, project: Path = ROOT) -> None:
    """Copy what git would of a checkout, edits that are not committed included."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=project, capture_output=True, check=True)
    for name in filter(None, listed.stdout.decode().split("\0")):
        if (project / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(project / name, folder / name)
