"""Benchmarks are commands that nobody runs for weeks: a look with each still runs, and its ways still do the same.

benchmarks.study is tested by its parts: the script's numbers in test_study.py, beside a study that is made there.
"""

import re
import subprocess
import sys

import pytest

from benchmarks.study import differences
from tests.workflow.conftest import ROOT
from workflow_scripts.lib.study.settings import read_study

pytestmark = pytest.mark.workflow
FAST = ["--d-model", "64", "--layers", "2", "--vocabulary", "500", "--rounds", "1"]


def printed(name, *flags, fast=FAST):
    """What a benchmark prints; it fails the test if it fails."""
    command = [sys.executable, "-m", f"benchmarks.{name}", *fast, *flags]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def rows(output):
    """First cells of a table's rows."""
    return [line.strip("| ").split(" | ")[0] for line in output.splitlines() if line.startswith("|")][2:]


def test_the_ways_to_dump_give_the_same_states():
    output = printed("dump", "--demonstrations", "2", "--queries", "6", "--usual-queries", "3")
    assert float(re.search(r"difference of a state ([\d.e+-]+)", output)[1]) < 1e-5
    assert {"usual", "engine"} < set(rows(output))


def test_past_a_window_a_shared_prefix_gives_the_states_of_whole_prompts():
    output = printed("windows", "--window", "32", "--demonstrations", "2", "--queries", "6", "--usual-queries", "3")
    assert float(re.search(r"difference of a state ([\d.e+-]+)", output.replace("\n", " "))[1]) < 1e-4
    assert rows(output) == ["whole prompts", "shared prefix"]


def test_the_ways_to_tune_end_at_the_same_losses():
    output = printed("tune", "--adapters", "2", "--usual-adapters", "2", "--examples", "3", "--steps", "2")
    assert float(re.search(r"at most ([\d.e+-]+) apart", output)[1]) < 1e-5
    assert rows(output) == ["usual", "engine"]


def test_every_file_of_states_gives_back_what_was_written():
    output = printed("states_file", "--demonstrations", "2", "--queries", "5", "--draws", "2")
    assert "not the ones written: none" in output
    assert len(rows(output)) == 5


def test_a_job_reads_a_model_that_was_seen_once():
    told = rows(printed("loading"))
    assert told[:2] == ["every byte read for its digest", "files as they were last seen"]
    assert len(told) == 8


def test_a_comparison_gives_the_same_whatever_the_threads():
    output = printed("compare", "--draws", "3", "--queries", "20", "--layers", "2", "--d-model", "64", fast=[])
    assert "1 different results of 2" in output
    assert rows(output) == ["1", "2"]


def test_a_large_study_is_planned_recorded_and_brought_back():
    """That nothing is left to do once it is recorded, and back, the benchmark itself asserts."""
    output = printed("dry_run", "--jobs", "100", "--rounds", "1", fast=[])
    assert re.search(r"^\| 133 \| here \|( [\d.]+ \([\d.]+\) \|){5}$", output, re.M), output
    shares = [float(one) for one in re.findall(r"\| (\d+)% \| \d+% \|", output)]
    assert 95 < sum(shares) < 105


def test_what_a_gpu_is_asked_runs_on_tiny_shapes():
    output = printed("gpu", "--look", fast=[])
    errors = {
        name: float(re.search(rf"^\| {name} .* ([\d.e+-]+) \|$", output, re.M)[1]) for name in ("bfloat16", "split")
    }
    assert errors["split"] < errors["bfloat16"] / 100
    assert rows(output)[:3] == ["bfloat16", "float32", "split"]
    assert "the plan of studies/smoke.yaml" in output


def test_the_study_for_a_look_is_one_that_can_run():
    assert read_study(ROOT / "benchmarks/look.yaml").models.keys() == {"random"}


def test_numbers_that_one_side_lacks_are_not_the_same():
    apart = differences({"a": {"b": 1.0}, "d": "x", "more": 1.0}, {"a": {"b": 1.5, "c": 2.0}, "d": "x"})
    assert apart == {"/a/b": 0.5, "/a/c": float("inf"), "/d": 0.0}
