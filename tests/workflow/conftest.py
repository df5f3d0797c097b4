"""A clone of the repository with a tiny study of real stages, in which a test may run what it likes."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
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
    "arms": ["anchor", "icl", "it", "both", "icl-reordered", "it-reseeded", "distilled"],
    "prepare_dataset": {"pool": 20},
}
TEMPLATE = {"query": "text : {text}\nlabel :"}
STUDY = {
    "models": {
        "one": {"source": "pocket", "untrained": True},
        "two": {"source": "pocket", "untrained": True, "seed": 2},
    },
    "datasets": {
        "words": {
            "source": "local",
            "pool": "words.csv",
            "queries": "queries.csv",
            "format": "csv",
            "labels": {"positive": "positive", "negative": "negative"},
            "template": TEMPLATE,
        }
    },
    "factors": {"shots": [1, 2], "labels": ["gold", "flipped"]},
    "reference": {"shots": 2, "labels": "gold"},
    "draws": 2,
    "queries": 8,
    "arms": ["anchor", "icl", "it"],
}

SMALL = {
    **STUDY,
    "models": {"one": STUDY["models"]["one"]},
    "factors": {"shots": [1], "labels": ["flipped"]},
    "reference": {"shots": 1, "labels": "gold"},
    "queries": 6,
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
            # Nor is a make in a clone told that it is one inside another, or it would say where it is.
            **{k: v for k, v in os.environ.items() if not k.startswith(("PYTEST", "COV", "MAKE", "MFLAGS"))},
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
        for command, words in (("snakemake -n", "Nothing to be done"), ("dvc status", "up to date")):
            assert words in (output := self.run(command)), output
            assert "metadata" not in output, output  # Snakemake's notes, which count for nothing here

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


def write_words(folder):
    from workflow_scripts.lib.world.texts import examples

    rows = [f"{text},{label}\n" for text, label in examples("sentiment", 40, seed=0)]
    (folder / "words.csv").write_text("text,label\n" + "".join(rows[:30]))
    (folder / "queries.csv").write_text("text,label\n" + "".join(rows[30:]))


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    """Two versions of the study, tagged and pushed: `one`, and `two` with another number of tuning steps."""
    top = tmp_path_factory.mktemp("promises")
    (top / "made").mkdir()
    made = clone_into(top / "made")
    write_words(made.folder)
    made.params(**STUDY, tune_lora__steps=2)
    made.run("git init -q . && git add -A && git commit -qm start && snakemake --cores 2")
    made.run(
        f"dvc remote add -q -d shared {top}/remote && git add -A && git commit -qm one && git tag one && dvc push -q"
    )
    made.params(tune_lora__steps=3)
    assert "settings.steps was 2, is 3" in made.run("snakemake -n")
    made.run("dvc repro -q && git add -A && git commit -qm two && git tag two && dvc push -q")
    return made


@pytest.fixture
def copy(made, tmp_path):
    """The made study at version `two`, a copy for one test to spoil."""
    return copied(made, tmp_path / "copy")


@pytest.fixture(scope="session")
def small(tmp_path_factory):
    """One version of a smaller study, made, committed and pushed."""
    top = tmp_path_factory.mktemp("small")
    (top / "small").mkdir()
    small = clone_into(top / "small")
    write_words(small.folder)
    small.params(**SMALL, tune_lora__steps=2, aggregate_similarity__resamples=100)
    small.run(f"git init -q . && dvc remote add -q -d shared {top}/remote && git add -A && git commit -qm start")
    small.run("snakemake --cores 2 && git add -A && git commit -qm made && dvc push -q")
    return small


def copied(clone, folder):
    """A copy of a clone with all that it made."""
    shutil.copytree(clone.folder, folder, symlinks=True)
    return Clone(folder)


def without_artifacts(clone, folder):
    """A copy of a clone's settings, data and code."""
    made = [clone.folder / name for name in ("artifacts", ".snakemake", ".dvc/cache", ".dvc/tmp")]
    shutil.copytree(clone.folder, folder, ignore=lambda inside, names: [n for n in names if Path(inside, n) in made])
    return Clone(folder)


METRICS = "artifacts/aggregate_similarity/metrics.json"
READ = ("params.yaml", "words.csv", "queries.csv", "workflow_scripts")
KNOWN = {}


def metrics(clone):
    """What is in metrics.json."""
    return json.loads((clone.folder / METRICS).read_text())


def metrics_made_afresh(clone, folder):
    """Metrics of the same settings, data and code in a clone that has nothing of this one's; known once for each."""
    files = [path for name in READ for path in sorted([clone.folder / name, *(clone.folder / name).rglob("*.py")])]
    files = [path for path in files if path.is_file()]
    state = json.dumps([[str(path.relative_to(clone.folder)), path.read_text()] for path in files])
    if state not in KNOWN:
        other = without_artifacts(clone, folder)
        other.run(f"rm -f dvc.lock sources/dvc.lock && snakemake --cores 2 {METRICS}")
        KNOWN[state] = metrics(other)
        shutil.rmtree(folder)
    return KNOWN[state]


def colleague(made, folder, version="two"):
    """A git clone without artifacts."""
    made.run(f"git clone -q . {folder} && cd {folder} && git checkout -q {version}")
    return Clone(folder)


def unprotected(path):
    """A file that can be written to, as `dvc unprotect` makes it: one that is linked to the cache is a copy then."""
    if not os.access(path, os.W_OK):
        content = path.read_bytes()
        path.unlink()
        path.write_bytes(content)
    return path


def flip(path):
    """Change one bit in the middle of a file."""
    unprotected(path)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def kill_after(clone, command, seconds):
    """Start a command and kill its whole process group, as a power cut would."""
    with subprocess.Popen(
        f"exec {command}", shell=True, cwd=clone.folder, env=clone.environment, start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    ) as process:  # fmt: skip
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(seconds)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    time.sleep(1)  # until the system has buried the rest of the group
