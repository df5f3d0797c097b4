"""What jobs on other machines ask for, and which Slurm cannot say how they fare."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from snakemake import cli
from snakemake.settings.enums import RerunTrigger

from freshness.contents import md5
from startup import cluster
from tests.unit.test_plan import GIB, planned
from workflow_scripts.lib.plan.cards import card_named
from workflow_scripts.lib.plan.estimates import CUDA, write
from workflow_scripts.lib.plan.jobs import COMPARE, DUMP, TUNE, Job
from workflow_scripts.lib.plan.survey import Survey
from workflow_scripts.lib.plan.work import Work

PROFILES = Path(__file__).parents[2] / "profiles"
CARD = card_named("A10")
CELL = SimpleNamespace(model="big", dataset="data")


@pytest.fixture
def asks(tmp_path, monkeypatch):
    """What jobs ask for by the plan of two tunings, of which the second is larger, a dump and a comparison."""
    monkeypatch.chdir(tmp_path)
    params = tmp_path / "params.yaml"
    params.write_text("study")
    works = [(TUNE, Work(flops=1e15, host=GIB)), (TUNE, Work(flops=3e15, host=2 * GIB)), (DUMP, Work(host=GIB))]
    jobs = [Job(stage, "big", "data", "reference", work) for stage, work in works]
    jobs.append(Job(COMPARE, "big", "data", "reference", Work(host=20 * GIB), seconds=90))
    write(cluster.PLANS / f"{md5(params)}.json", Survey({"big": planned(1e9)}, jobs, []), CARD)
    workflow = SimpleNamespace(is_main_process=True, local_exec=False, dryrun=True, global_resources={})
    return cluster.Asks(workflow, params)


def gpu(wildcards):
    return 1


def test_the_largest_job_of_a_kind_stands_for_all_and_memory_and_time_grow_with_attempts(asks):
    memory, minutes = asks.memory(TUNE, gpu), asks.minutes(TUNE, gpu)
    # 2 GiB, a process with CUDA, and the weights on their way to the GPU; twice over.
    assert memory(CELL, 1) == pytest.approx(2 * (2 * GIB + 0.5e9 + CUDA + 4e9) / 1e6, abs=1)
    assert [memory(CELL, attempt) / memory(CELL, 1) for attempt in (2, 3)] == [2, 3]
    assert minutes(CELL, 2) == 2 * minutes(CELL, 1)
    # 1e-9 s for each of 3e15 FLOPs on a core: a month.
    assert asks.minutes(TUNE)(CELL, 1) == pytest.approx(10 + 2 * 3e6 / 60, rel=1e-3)


def test_a_comparison_needs_no_gpu(asks):
    assert asks.memory(COMPARE, gpu)(CELL, 1) == asks.memory(COMPARE)(CELL, 1) > 40_000
    assert asks.minutes(COMPARE, gpu)(CELL, 1) == 10 + 3


def test_what_is_not_planned_asks_for_the_least(asks, tmp_path):
    other = SimpleNamespace(dataset="data")
    assert (asks.memory("prepare_dataset")(other, 1), asks.minutes("prepare_dataset")(other, 1)) == (4000, 30)
    (tmp_path / "params.yaml").write_text("another study")
    anew = cluster.Asks(asks.workflow, tmp_path / "params.yaml")
    assert anew.memory(TUNE, gpu)(CELL, 1) == 4000


def test_a_run_that_has_no_plan_makes_one_and_says_why_it_cannot(asks, tmp_path, capfd):
    params = tmp_path / "params.yaml"
    params.write_text("no: study")
    asks.workflow.dryrun = False
    assert asks.memory(TUNE)(CELL, 2) == 8_000
    error = capfd.readouterr().err
    assert "no plan, so every job asks for 4 GB" in error
    assert "Traceback" not in error


def test_gpus_of_other_machines_are_what_the_profile_says(asks):
    assert asks.gpus_elsewhere == 0
    asks.workflow.global_resources["gpu"] = SimpleNamespace(value=16)
    assert asks.gpus_elsewhere == 16


@pytest.mark.parametrize(
    ("main", "local", "remote", "spread"),
    [(True, True, False, False), (False, True, False, False), (True, False, False, True), (False, True, True, True)],
)
def test_jobs_are_spread_where_they_are_handed_out_and_where_they_arrive(asks, main, local, remote, spread):
    asks.workflow.is_main_process, asks.workflow.local_exec, asks.workflow.remote_exec = main, local, remote
    assert asks.spread == spread


def config(storage, age):
    return f"AccountingStorageType   = accounting_storage/{storage}\nMinJobAge               = {age} sec\n"


@pytest.mark.parametrize(
    ("said", "asked", "told"),
    [
        (config("slurmdbd", 300), "sacct", None),
        (config("slurmdbd", 2), "sacct", None),
        (config("none", 300), "squeue", None),
        (config("none", 300), "sacct", "set slurm-status-command: squeue"),
        (config("slurmdbd", 60), "squeue", "set slurm-status-command: sacct"),
        (config("none", 60), "squeue", "ask for MinJobAge=240 or more"),
    ],
)
def test_a_slurm_that_cannot_say_how_jobs_fare_is_refused(said, asked, told):
    refused = cluster.refusal(said, asked)
    assert refused is None if told is None else told in refused


def test_machines_that_do_not_share_the_folder_are_refused():
    workflow = SimpleNamespace(
        executor_plugin=SimpleNamespace(name="kubernetes"), storage_settings=SimpleNamespace(shared_fs_usage=[])
    )
    with pytest.raises(SystemExit, match="kubernetes: jobs must share this folder with this machine"):
        cluster.check(workflow)


def test_estimates_are_json(asks, tmp_path):
    (path,) = (tmp_path / cluster.PLANS).iterdir()
    assert json.loads(path.read_text())["card"] == "A10"


@pytest.mark.parametrize("profile", ["slurm", "cluster-generic"])
def test_a_profile_stands_in_for_the_default_and_has_all_of_it(profile):
    default, other = (yaml.safe_load((PROFILES / name / "config.yaml").read_text()) for name in ("default", profile))
    assert other["resources"]["gpu"] > 1
    assert "resources" not in default  # as many as there are cards (rules/common.smk)
    assert {**default, "resources": other["resources"]}.items() <= other.items()


@pytest.mark.parametrize("profile", sorted(path.name for path in PROFILES.iterdir()))
def test_snakemake_knows_every_word_of_a_profile(profile, monkeypatch):
    if profile == "slurm":
        pytest.importorskip("snakemake_executor_plugin_slurm", reason="needs `make slurm`")
    monkeypatch.delenv("SNAKEMAKE_PROFILE", raising=False)
    _, parsed = cli.parse_args(["--workflow-profile", str(PROFILES / profile)])  # which ends on a word it does not know
    said = yaml.safe_load((PROFILES / profile / "config.yaml").read_text())
    assert parsed.executor == said.get("executor")
    assert parsed.retries == said.get("retries", 0)
    assert parsed.rerun_triggers == frozenset({RerunTrigger.MTIME})
