"""Whatever is done to a study, in whatever order: if both engines are quiet, its metrics are those of a fresh clone.

Random edits of settings, data, code, names and artifacts, runs of either engine, kills, commits, checkouts and pulls.
`make test-states SEED=1` takes an hour and another way.
"""

import os
import random
import shutil
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from tests.workflow.conftest import (
    KNOWN,
    SMALL,
    Clone,
    copied,
    flip,
    kill_after,
    metrics,
    metrics_made_afresh,
    unprotected,
    without_artifacts,
)

pytestmark = pytest.mark.workflow
SECONDS = float(os.environ.get("STATES_SECONDS", "150"))
SEED = int(os.environ.get("STATES_SEED", "0"))
ENGINES = ["snakemake --cores 2", "dvc repro"]
THEN = st.sampled_from([None, *ENGINES])

# What can be set, and its values: each changes metrics.json, but for the name.
PARAMS = {"tune_lora__steps": [1, 2], "seed": [0, 1], "aggregate_similarity__confidence": [0.9, 0.8]}
NAMES = ["one", "uno"]
DATA = {"words.csv": ["as it is", "two rows swapped", "labels changed"]}
CODE = {
    "workflow_scripts/lib/measures/on_states.py": (
        "return states - layer.anchor",
        "return states - 0.5 * layer.anchor",
    ),
    "workflow_scripts/lib/lora/apply.py": ("", "# a comment\n"),
    "workflow_scripts/lib/lora/train.py": ("weight_decay=0.0", "weight_decay=0.5"),
}
HARM = ["flipped", "flipped at the same time", "truncated", "deleted", "recipe deleted", "dated later", "note beside"]


def rewrite(path, variant):
    """One of the variants of a data file, from its rows in order."""
    head, *rows = path.with_suffix(".base").read_text().splitlines()
    if variant == "two rows swapped":
        rows[0], rows[1] = rows[1], rows[0]
    if variant == "labels changed":
        rows = [row.replace("positive", "\0").replace("negative", "positive").replace("\0", "negative") for row in rows]
    path.write_text("\n".join([head, *rows]) + "\n")


ACTIONS = []  # what can be done, and the choices that it has


def step(**choices):
    """Let a method of Study be done now and then."""

    def noted(method):
        ACTIONS.append((method, choices))
        return method

    return noted


class Study(RuleBasedStateMachine):
    """A clone that things are done to, and fresh clones to compare it with."""

    def __init__(self, base, top, log):
        super().__init__()
        self.top, self.log, self.base = top, log, base
        self.clone = copied(base, top / f"study-{time.time_ns()}") if self.in_time() else None
        self.versions = []

    @rule(data=st.data())  # one for all: of many, Hypothesis would leave most out of each sequence
    def do_something(self, data):
        action, choices = data.draw(st.sampled_from(ACTIONS))
        drawn = {name: data.draw(choice) for name, choice in choices.items()}
        if self.in_time():  # what is drawn must not depend on it
            action(self, **drawn)

    def in_time(self):
        return time.monotonic() - BEGAN[0] < SECONDS

    def do(self, what, then=None):
        """Note a step, run an engine if one is to, and judge. A run may be refused; it may not be wrong."""
        output = self.clone.run(then, check=False) if then else ""
        self.log.append(f"{what}; {then}" if then else what)
        print(self.log[-1], flush=True)
        assert "Traceback" not in output, output
        dry, status = self.both("snakemake -n", "dvc status")
        assert "What is fresh cannot be told" not in dry, dry
        if "Nothing to be done" in dry and "up to date" in status:
            self.log.append("quiet")
            print("  quiet", flush=True)
            assert self.canonical(metrics(self.clone)) == self.fresh(), self.log

    def both(self, *commands):
        with ThreadPoolExecutor() as pool:
            return pool.map(lambda command: self.clone.run(command, check=False), commands)

    def canonical(self, found):
        """Metrics by what models are, not what they are called."""
        return list(found.values())

    def fresh(self):
        """Metrics that a clone without history gives."""
        called_one = without_artifacts(self.clone, self.top / f"read-{time.time_ns()}")
        called_one.params(models=SMALL["models"])
        found = metrics_made_afresh(called_one, self.top / f"fresh-{time.time_ns()}")
        shutil.rmtree(called_one.folder)
        return self.canonical(found)

    @step(key=st.sampled_from(sorted(PARAMS)), which=st.integers(0, 1), then=THEN)
    def set_a_parameter(self, key, which, then):
        self.clone.params(**{key: PARAMS[key][which]})
        self.do(f"{key} = {PARAMS[key][which]}", then)

    @step(name=st.sampled_from(NAMES), then=THEN)
    def rename_the_model(self, name, then):
        self.clone.params(models={name: SMALL["models"]["one"]})
        self.do(f"model called {name}", then)

    @step(path=st.sampled_from(sorted(DATA)), variant=st.integers(0, 2), keep_time=st.booleans(), then=THEN)
    def edit_data(self, path, variant, keep_time, then):
        target = self.clone.folder / path
        before = target.stat()
        rewrite(target, DATA[path][variant])
        if keep_time:  # as a tool that writes beside, renames and keeps times
            shutil.copy(target, target.with_name("new"))
            target.with_name("new").replace(target)
            os.utime(target, ns=(before.st_atime_ns, before.st_mtime_ns))
        self.do(f"{path}: {DATA[path][variant]}{', same time' if keep_time else ''}", then)

    @step(path=st.sampled_from(sorted(CODE)), back=st.booleans(), then=THEN)
    def edit_code(self, path, back, then):
        target, (old, new) = self.clone.folder / path, CODE[path]
        original = (self.base.folder / path).read_text()
        assert old in original
        target.write_text(original if back else original.replace(old, new, 1) if old else new + original)
        self.do(f"{path}: {'as it was' if back else new}", then)

    @step(how=st.sampled_from(HARM), pick=st.integers(0, 1000), then=THEN)
    def harm_an_artifact(self, how, pick, then):
        files = sorted(path for path in (self.clone.folder / "artifacts").rglob("*") if path.is_file())
        files = [path for path in files if path.name != ".snakemake_timestamp"]
        if files:
            path = files[pick % len(files)]
            harm(path, how)
            self.do(f"{path.relative_to(self.clone.folder)} {how}", then)

    @step(how=st.sampled_from(["--forceall", "--forcerun tune_lora", "--forcerun dump_hidden_states"]))
    def force(self, how):
        self.do("forced", f"snakemake --cores 2 {how}")

    @step(engine=st.sampled_from(ENGINES), tenths=st.integers(5, 80), then=THEN)
    def kill(self, engine, tenths, then):
        kill_after(self.clone, engine, tenths / 10)
        self.do(f"{engine}, killed after {tenths / 10} s", then)

    @step(engine=st.sampled_from(ENGINES), tenths=st.integers(10, 60), then=THEN)
    def edit_while_it_runs(self, engine, tenths, then):
        edit = "sed -i 's/^  steps: 1$/  steps: 2/; s/^seed: 0/seed: 1/' params.yaml"
        output = self.clone.run(f"(sleep {tenths / 10}; {edit}) & {engine}; wait", check=False)
        assert "Traceback" not in output, output
        self.do(f"{engine}, params.yaml edited after {tenths / 10} s", then)

    @step(back=st.integers(0, 3), artifacts=st.booleans(), then=THEN)
    def commit_and_check_out(self, back, artifacts, then):
        """Commit what is there and go on from an earlier commit, with its artifacts or with those of the last."""
        self.clone.run("git add -A && git commit -q --allow-empty -m version")
        self.versions.append(self.clone.run("git rev-parse HEAD").strip())
        version = self.versions[-1 - back % len(self.versions)]
        self.clone.run(f"git checkout -q {version}")
        if artifacts:
            self.clone.run("dvc checkout -q", check=False)
        self.do(f"checkout of {back} before{' with artifacts' if artifacts else ''}", then)

    @step(share_the_cache=st.booleans(), then=THEN)
    def move_to_another_clone(self, share_the_cache, then):
        self.clone.run("git add -A && git commit -q --allow-empty -m version; dvc push -q", check=False)
        folder = self.top / f"clone-{time.time_ns()}"
        self.clone.run(f"git clone -q . {folder}")
        before, self.clone, self.versions = self.clone, Clone(folder), []
        if share_the_cache:
            self.clone.run(f"dvc cache dir --local {before.folder}/.dvc/cache")
        self.clone.run("dvc pull -q", check=False)
        self.do(f"another clone{' with the same cache' if share_the_cache else ''}", then)


BEGAN = [0.0]


def harm(path, how):
    keep = path.stat()
    if how.startswith("flipped") and keep.st_size:
        flip(path)
    if how.endswith("same time"):
        os.utime(path, ns=(keep.st_atime_ns, keep.st_mtime_ns))
    if how == "truncated":
        unprotected(path).write_bytes(path.read_bytes()[:-1])
    if how == "deleted":
        path.unlink()
    if how == "recipe deleted":
        for recipe in path.parent.glob("*.recipe"):
            recipe.unlink()
    if how == "dated later":
        os.utime(path, (time.time() + 1e6,) * 2)
    if how == "note beside":
        path.with_name(f"note-{random.randrange(10)}.txt").write_text("mine")


def test_what_both_engines_call_fresh_is_what_a_fresh_clone_gives(small, tmp_path):
    base = copied(small, tmp_path / "base")
    shutil.copy(base.folder / "words.csv", base.folder / "words.base")
    base.params(aggregate_similarity__confidence=0.9)
    base.run("git add -A && git commit -qm rows")
    logs = []

    def study():
        logs.append([])
        if len(logs) <= 3:  # Hypothesis begins with the simplest of all: the same step again and again
            BEGAN[0] = -SECONDS
        elif len(logs) == 4:
            BEGAN[0] = time.monotonic()
        return Study(base, tmp_path, logs[-1])

    steps = settings(
        max_examples=100,
        stateful_step_count=12,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    try:
        run_state_machine_as_test(seed(SEED)(study), settings=steps)
    finally:
        taken = [step for log in logs for step in log]
        quiet = taken.count("quiet")
        print(f"{len(taken) - quiet} steps, quiet after {quiet}, compared with {len(KNOWN)} fresh clones")
    assert "quiet" in taken
