"""`make` takes the Pythons that the workflow runs with, and says in a line that it needs one of them."""

import os
import subprocess
import sys

import pytest

from tests.workflow.conftest import ROOT

pytestmark = pytest.mark.workflow


def pretend(folder, name, version):
    """A Python that takes itself for another version."""
    path = folder / name
    path.write_text(f'#!/bin/sh\nexec {sys.executable} -c "import sys; sys.version_info = {version}; $2"\n')
    path.chmod(0o755)
    return path


def environment(folder, *flags):
    """What `make` would do about .venv in a folder that has none."""
    (folder / "requirements.lock").touch()
    # A make that `make test` starts inherits its flags, and would say which folder it enters.
    command = ["make", "--dry-run", "--no-print-directory", "-f", str(ROOT / "Makefile"), *flags, "environment"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(("version", "fits"), [((3, 10), 0), ((3, 11), 1), ((3, 12), 1), ((3, 13), 1), ((3, 14), 0)])
def test_a_python_that_fits_is_taken_and_another_refused_in_a_line(tmp_path, version, fits):
    python = pretend(tmp_path, "python", version)
    done = environment(tmp_path, f"PYTHON={python}")
    if fits:
        assert f"{python} -m venv .venv\n" in done.stdout
    else:
        assert done.returncode == 2
        assert done.stdout == ""
        (line,) = done.stderr.splitlines()
        assert "Python 3.11, 3.12 or 3.13 is needed" in line


def test_the_first_python_that_fits_is_taken(tmp_path, monkeypatch):
    pretend(tmp_path, "python3.11", (3, 9))  # as pyenv has names for versions that are not there
    pretend(tmp_path, "python3.12", (3, 12))
    pretend(tmp_path, "python3.13", (3, 13))
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert f"{tmp_path}/python3.12 -m venv .venv\n" in environment(tmp_path).stdout


@pytest.mark.parametrize("target", ["test", "test-gpu", "test-kills", "test-states"])
def test_tests_run_with_one_thread_unless_told_otherwise(tmp_path, monkeypatch, target):
    (tmp_path / ".venv/bin").mkdir(parents=True)
    for name in ("requirements.lock", "requirements-dev.lock", ".venv/installed", ".venv/installed-dev"):
        (tmp_path / name).touch()
    pytest_ = tmp_path / ".venv/bin/pytest"
    pytest_.write_text('#!/bin/sh\necho "threads: $OMP_NUM_THREADS"\n')
    pytest_.chmod(0o755)
    command = ["make", "-f", str(ROOT / "Makefile"), f"PYTHON={sys.executable}", target]
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    for environment, threads in (({}, "1"), ({"OMP_NUM_THREADS": "3"}, "3")):
        done = subprocess.run(
            command, cwd=tmp_path, env=os.environ | environment, capture_output=True, text=True, check=True
        )
        assert f"threads: {threads}\n" in done.stdout
