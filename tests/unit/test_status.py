"""`make status`: what is said of a run by what it noted, whether or not it is still there."""

import json
import time
from pathlib import Path

import pytest

from freshness import seal
from freshness.contents import PARTS, md5, write
from runs import status, watch
from runs.tally import Job, Tally
from runs.watch import FAILED, FINISHED, Watch
from startup.checks import LOCK, be_alone, this_process

JOBS = {1: Job("artifacts/tune/a", "tune", "logs/a.log"), 2: Job("artifacts/tune/b", "tune", "logs/b.log")}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(status, "PAUSE", 0)
    (tmp_path / ".snakemake").mkdir()
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs/a.log").write_text("steps: 2/10\n\n")
    return tmp_path


def note(how="", failed=()):
    """What a run would note that has begun the first job."""
    watch = Watch()
    watch.tally = Tally(JOBS)
    watch.tally.start(1, time.time() - 5)
    for job in failed:
        watch.tally.fail(job)
    watch._write(how)


def told():
    return "\n".join(status.lines())


@pytest.fixture
def gone(folder):
    """The run was this process, and another has its number now."""
    number, began = this_process()
    process = [number, began - 1]
    LOCK.write_text(json.dumps(process))
    return process


def test_where_nothing_was_run_the_way_to_begin_is_said(folder):
    assert told() == "No run is at work, and none was before: `make reproduce` starts one."


def test_a_run_is_told_by_its_process_and_says_what_its_jobs_say(folder):
    be_alone()
    assert told().startswith("A run has begun ")
    note()
    first, running = told().splitlines()
    assert first.startswith("A run is at work for ")
    assert first.endswith(": 0 of 2 jobs done, 1 running, 0 failed.")
    assert running == "  running    5 s  artifacts/tune/a: steps: 2/10"


def test_a_run_that_is_gone_without_a_word_was_stopped(folder, gone, monkeypatch):
    monkeypatch.setattr(watch, "this_process", lambda: gone)
    note()
    assert (
        told()
        == "No run is at work. The last one was stopped or killed 0 s ago: 0 of 2 jobs done, 1 running, 0 failed."
    )


@pytest.mark.parametrize(("how", "failures"), [(FAILED, 1), (FINISHED, 0)])
def test_of_a_run_that_is_over_failures_are_named(folder, gone, monkeypatch, how, failures):
    monkeypatch.setattr(watch, "this_process", lambda: gone)
    note(how, failed=[1] if failures else [])
    assert told().startswith(f"No run is at work. The last one {how} 0 s ago: ")
    assert told().count("  failed  artifacts/tune/a: steps: 2/10\n          log: logs/a.log") == failures


def test_failures_are_those_of_the_last_run_alone(folder, gone):
    note(FAILED, failed=[1])
    assert told() == "No run is at work. The last one had nothing to do, or ended before its first job."


def test_a_file_that_a_kill_left_half_written_is_as_none(folder, gone):
    Path(".snakemake/run.json").write_text('{"process": [1,')
    assert told() == "No run is at work. The last one had nothing to do, or ended before its first job."


def test_artifacts_are_counted_that_are_sealed_with_the_planned_recipe(folder):
    recipes = [{key: {} for key in PARTS} | {"params": {"steps": steps}} for steps in (1, 2)]
    plans = [str(status.PLANNED / f"{name}.json") for name in "abc"]
    for plan, name in zip(plans, "abc", strict=True):
        write(Path(plan), {"outputs": {"adapters": f"artifacts/tune/{name}"}, "recipe": recipes[0]})
    Path("artifacts/tune").mkdir(parents=True)
    for name, recipe in zip("ab", recipes, strict=True):  # b was made by another recipe, c not at all
        write(seal.recipe_path(f"artifacts/tune/{name}"), recipe | {"bytes": {}, "made_from": {}})
    Path("params.yaml").write_text("steps: 1\n")
    record = {"params": {"params.yaml": md5(Path("params.yaml"))}, "stages": {"artifacts/tune": plans}}
    write(status.PLANNED / "all.json", record)
    Path("artifacts/tune/a").write_bytes(bytes(1_500_000))
    assert told().splitlines()[-1] == "artifacts/tune      1 of 3 made, 1.5 MB"
    write(watch.FILE, {"taken": {"tune one": [2, 50], "tune other": [1, 30], "dump one": [1, 7]}})
    assert told().splitlines()[-1] == "artifacts/tune      1 of 3 made, 1.5 MB, 80 s of 3 jobs when last made"
    Path("params.yaml").write_text("steps: 2\n")
    assert told().splitlines()[-1] == "params.yaml was edited since: `snakemake -n` says what a run would do."
