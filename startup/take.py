"""Take a ready-made study: `python -m startup.take studies/smollm2.yaml` makes it the study that params.yaml describes.

params.yaml stays the one place for settings, so that DVC records what ran; what stands there is never lost.
"""

import subprocess
import sys
from pathlib import Path

from workflow_scripts.lib.study.settings import SettingsError, read_study

PARAMS = Path("params.yaml")
STUDIES = Path("studies")


def take(study: Path) -> None:
    """Copy a study over params.yaml; exits with a line where the study does not hold, or edits would be lost."""
    try:
        read_study(study)
    except SettingsError as error:
        sys.exit(str(error))
    wanted = study.read_bytes()
    if PARAMS.exists() and PARAMS.read_bytes() == wanted:
        return
    if not _kept_elsewhere():
        sys.exit(f"{PARAMS} has edits that are in no commit and no file of {STUDIES}/: commit or copy it first")
    PARAMS.write_bytes(wanted)
    sys.stderr.write(f"{PARAMS} is {study} now; `git checkout {PARAMS}` brings back what was committed\n")


def _kept_elsewhere() -> bool:
    """Whether what stands in params.yaml is in git, or is a ready-made study."""
    if not PARAMS.exists() or any(one.read_bytes() == PARAMS.read_bytes() for one in STUDIES.glob("*.yaml")):
        return True
    unchanged = subprocess.run(["git", "diff", "--quiet", "HEAD", "--", str(PARAMS)], check=False, capture_output=True)
    return unchanged.returncode == 0


if __name__ == "__main__":
    take(Path(sys.argv[1]))
