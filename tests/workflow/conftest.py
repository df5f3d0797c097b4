"""A clone of the repository with a tiny study of real stages, in which a test may run what it likes."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
TINY = {
    "models": {"random": {"source": "pocket", "untrained": True}},
    "datasets": {"work-arbitrary": {"source": "world", "task": "work-arbitrary"}},
    "factors": {"shots": [1, 2], "labels": ["gold", "flipped"]},
    "reference": {"shots": 2, "labels": "gold"},
    "draws": 2,
    "queries": 10,
    "prepare_dataset": {"pool": 20},
}


class Clone:
    """A checkout of its own, with its own environment of commands."""

    def __init__(self, folder):
        self.folder = folder
        bin_folder = folder / ".venv" / "bin"
        bin_folder.mkdir(parents=True, exist_ok=True)
        for name in ("installed", "installed-dev"):  # what `make` would install is what runs this test
            (folder / ".venv" / name).touch()
        self.environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith(("PYTEST", "COV"))},
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "GIT_AUTHOR_NAME": "a",
            "GIT_AUTHOR_EMAIL": "a@example.org",
            "GIT_COMMITTER_NAME": "a",
            "GIT_COMMITTER_EMAIL": "a@example.org",
        }

    def run(self, command, check=True):
        """Output of a shell command in the clone, both streams; a failure fails the test unless `check` is False."""
        done = subprocess.run(
            command, shell=True, cwd=self.folder, env=self.environment, text=True, capture_output=True, check=False
        )
        output = done.stdout + done.stderr
        assert not check or done.returncode == 0, f"{command}\n{output}"
        return output

    def quiet(self):
        """Both engines say that there is nothing to do."""
        assert "Nothing to be done" in self.run("snakemake -n")
        assert "up to date" in self.run("dvc status")

    def planned(self):
        """Rule -> how many of its jobs a dry run would make, the recording of versions left out."""
        jobs = self.jobs(self.run("snakemake -n"))
        jobs.pop("version_artifacts", None)
        return jobs

    def params(self, **changes):
        """Change top-level keys of params.yaml, or one key of a block given as block__key."""
        path = self.folder / "params.yaml"
        content = yaml.safe_load(path.read_text())
        for name, value in changes.items():
            block, _, key = name.partition("__")
            if key:
                content[block][key] = value
            else:
                content[block] = value
        path.write_text(yaml.safe_dump(content, sort_keys=False))

    def jobs(self, output):
        """Rules that a Snakemake run or dry run names, with how many jobs of each."""
        lines = output.split("Job stats:")[1].split("total")[0].splitlines() if "Job stats:" in output else []
        rows = [line.split() for line in lines]
        return {row[0]: int(row[1]) for row in rows if len(row) == 2 and row[1].isdigit() and row[0] != "all"}


def clone_into(folder):
    """Copy what git would, uncommitted edits included, and commit it."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    for name in filter(None, listed.stdout.decode().split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    return Clone(folder)


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    """A clone whose params.yaml is the tiny study; nothing made yet."""
    made = clone_into(tmp_path_factory.mktemp("clone"))
    made.params(**TINY, tune_lora__steps=2)
    made.run("git init -q . && git add -A && git commit -qm tiny")
    return made


@pytest.fixture(scope="module")
def study(clone):
    """The tiny study, made from end to end."""
    clone.first_output = clone.run("snakemake --cores 2")
    return clone
