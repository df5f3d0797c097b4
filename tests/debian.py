"""Programs of the system that some tests need: `python -m tests.debian slurm`.

Root on a Debian has packages installed of which the program is not here; everybody else is told in a line what is
missing. Services that come with a package are left off, as tests start daemons of their own, on loopback.
"""

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

PATH = f"{os.environ['PATH']}:/usr/sbin:/sbin"
# Program -> its package.
NEEDS = {
    "slurm": {
        "munged": "munge",
        "slurmctld": "slurmctld",
        "slurmd": "slurmd",
        **dict.fromkeys(("sbatch", "srun", "squeue", "scancel", "scontrol", "sinfo"), "slurm-client"),
    },
    "ssh": {"sshd": "openssh-server", "ssh-keygen": "openssh-client"},
}
FORBIDS = Path("/usr/sbin/policy-rc.d")  # what Debian's packages ask before they start a service


def missing(what: str) -> list[str]:
    """Packages that tests of `what` need and of which a program is not here."""
    return sorted({package for program, package in NEEDS[what].items() if shutil.which(program, path=PATH) is None})


def install(packages: list[str]) -> None:
    """Install packages and leave their services off, now and at the next start of the machine."""
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    with _no_services():
        for words in (["update"], ["install", "--yes", "--no-install-recommends", *packages]):
            _run("apt-get", "-qq", *words, env=environment)
    if shutil.which("systemctl"):
        files = [Path(line) for line in _run("dpkg", "--listfiles", *packages).splitlines()]
        _run("systemctl", "disable", *(file.name for file in files if file.match("systemd/system/*[!@].service")))


def _run(*command: str, env: dict[str, str] | None = None) -> str:
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ChildProcessError(f"{' '.join(command)}: {(done.stderr.strip().splitlines() or ['no reason given'])[-1]}")
    return done.stdout


@contextlib.contextmanager
def _no_services() -> Iterator[None]:
    ours = not FORBIDS.exists()
    if ours:
        FORBIDS.write_text("#!/bin/sh\nexit 101\n", encoding="utf-8")
        FORBIDS.chmod(0o755)
    try:
        yield
    finally:
        if ours:
            FORBIDS.unlink()


def main(what: str) -> str | None:
    """Install what is missing; what is wrong, in a line, or None once every program is here."""
    lacking = missing(what)
    if not lacking:
        return None
    how = f"apt-get install {' '.join(lacking)}"
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        return f"tests of {what} need programs that are not here; as root on Debian: {how}"
    sys.stderr.write(f"{how} (their services stay off)\n")
    try:
        install(lacking)
    except OSError as error:
        return str(error)
    return None


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
