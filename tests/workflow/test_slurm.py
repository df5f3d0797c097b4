"""A study on a real Slurm makes what one machine makes, whatever is killed meanwhile (`make test-slurm`)."""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import time
from importlib.util import find_spec
from typing import ClassVar

import pytest

from freshness.contents import md5
from startup import cluster
from tests.processes import within
from tests.slurm import Slurm, lacking, limits
from tests.workflow.conftest import SMALL, clone_into, copied, write_words

WHY_NOT = lacking() or (None if find_spec("snakemake_executor_plugin_slurm") else "needs `make slurm`")
pytestmark = [pytest.mark.slurm, pytest.mark.skipif(WHY_NOT is not None, reason=WHY_NOT or "")]
RUN = "snakemake --workflow-profile profiles/slurm"
QUICK = "--latency-wait 10 --seconds-between-status-checks 2 --slurm-init-seconds-before-status-checks 2"
TUNED = "artifacts/tune_lora/one/words/reference/tuned"
STATES = "artifacts/dump_hidden_states/one/words/reference/it.parquet"
HANGS = 1200  # seconds after which a run is taken to hang; on a free machine the longest takes three minutes
LONG = 1000  # steps of tuning that take longer than the controller does to save its state
# MB: a job of tuning takes 500 to 600, of which Snakemake has 350.
HALF, LITTLE = 400, 120
OUT_OF_MEMORY = re.compile("oom-kill|exceeded memory limit")
# A node whose clock is an hour ahead.
SKEW = "find $SLURM_SUBMIT_DIR/artifacts -mmin -60 ! -newermt now -exec touch --no-dereference --date='1 hour' {} +"


@pytest.fixture(scope="module")
def top(tmp_path_factory):
    return tmp_path_factory.mktemp("slurm")


@pytest.fixture(scope="module")
def slurm(top):
    with started(Slurm(top / "cluster", limits=limits()[0], after=SKEW)) as made:
        yield made


@contextlib.contextmanager
def started(made):
    try:
        made.start()
        yield made
    finally:
        for run in Running.every:
            run.stop()
        made.stop()


def on(slurm, clone):
    """The clone, whose commands find the Slurm."""
    path = f"{slurm.environment['PATH']}:{clone.environment['PATH']}"
    clone.environment |= slurm.environment | {"PATH": f"{os.path.dirname(shutil.which('snakemake'))}:{path}"}  # noqa: PTH120
    clone.environment["OMP_NUM_THREADS"] = "1"
    return clone


@pytest.fixture(scope="module")
def fresh(top, tiny_folder):
    """A small study with a model that takes a GPU where there is one; nothing made yet."""
    (top / "fresh").mkdir()
    clone = clone_into(top / "fresh")
    write_words(clone.folder)
    shutil.copytree(tiny_folder, clone.folder / "model")
    clone.params(**SMALL, tune_lora__steps=2, aggregate_similarity__resamples=100)
    clone.params(models={"one": {"source": "local", "path": "model", "device": "auto"}})
    clone.run("git init -q . && git add -A && git commit -qm start")
    return clone


@pytest.fixture(scope="module")
def local(fresh, top):
    """The study as one machine makes it."""
    made = copied(fresh, top / "local")
    made.run("snakemake --cores 2")
    return made


@pytest.fixture(scope="module")
def prepared(fresh, top):
    """The study up to where adapters are tuned."""
    made = copied(fresh, top / "prepared")
    made.run("snakemake --cores 2 artifacts/prepare_model/one artifacts/sample_demonstrations/words/reference.parquet")
    made.params(tune_lora__steps=100_000)
    return made


class Running:
    """A run on the cluster in the background."""

    every: ClassVar[list] = []

    def __init__(self, clone, slurm, command):
        self.every.append(self)
        self.slurm, self.path = slurm, clone.folder / "run.txt"
        with self.path.open("w") as output:
            self.process = subprocess.Popen(
                f"exec {command}", shell=True, cwd=clone.folder, env=clone.environment,
                start_new_session=True, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
            )  # fmt: skip

    def awaits(self, rule, *, but=()):
        """The id of a job of a rule once it runs; `but` are jobs that are known."""

        def found():
            rows = [row.split() for row in self.slurm.jobs("RUNNING")]
            return [number for number, _, comment in rows if f"rule_{rule}_" in comment and number not in but]

        assert within(HANGS, lambda: found() or self.process.poll() is not None), self.said()
        assert found(), self.said()
        return found()[0]

    def said(self):
        return self.path.read_text()

    def status(self):
        """Its exit status, once it ends; of one that hangs, what it said."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(HANGS)
        assert self.process.poll() is not None, self.said()
        return self.process.returncode

    def stop(self):
        """Kill what a test that failed left running."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)


def test_a_study_is_what_one_machine_makes(slurm, fresh, local, top):
    clone = on(slurm, copied(fresh, top / "whole"))
    run = Running(clone, slurm, f"{RUN} {QUICK}")
    assert run.status() == 0, run.said()
    assert "planning what jobs take" in run.said()
    assert (clone.folder / "dvc.lock").read_text() == (local.folder / "dvc.lock").read_text()
    clone.quiet()


def test_clocks_that_differ_and_a_controller_that_dies_lose_nothing(slurm, prepared, tmp_path):
    here, there = copied(prepared, tmp_path / "here"), on(slurm, copied(prepared, tmp_path / "there"))
    for clone in (here, there):
        clone.params(tune_lora__steps=LONG)
    run = Running(there, slurm, f"{RUN} {QUICK} {STATES}")
    job = run.awaits("tune_lora")
    asked = slurm.command("scontrol", "show", "job", job)
    assert "gres:gpu:1" in asked or "gres/gpu=1" in asked, asked
    slurm.kill_controller()
    within(5, lambda: False)
    slurm.start_controller()
    assert run.status() == 0, run.said()
    assert (there.folder / f"{TUNED}.recipe").stat().st_mtime > time.time() + 1800
    here.run(f"snakemake --cores 2 {STATES}")
    for path in (STATES, f"{STATES}.recipe", f"{TUNED}.recipe"):
        assert (there.folder / path).read_bytes() == (here.folder / path).read_bytes()
    assert "Nothing to be done" in there.run(f"snakemake -n {STATES}")


@pytest.fixture
def tuning(slurm, prepared, tmp_path):
    """A run of one job, that takes long."""
    clone = on(slurm, copied(prepared, tmp_path / "tuning"))
    return Running(clone, slurm, f"{RUN} {QUICK} {TUNED}")


def test_a_job_that_is_killed_is_tried_again_with_more_memory_and_reported_by_name(slurm, tuning):
    asked, known = [], []
    for attempt in (1, 2, 3):
        job = tuning.awaits("tune_lora", but=known)
        known.append(job)
        shown = slurm.command("scontrol", "show", "job", job)
        asked.append((int(re.search(r"MinMemoryNode=(\d+)", shown)[1]), re.search(r"TimeLimit=(\S+)", shown)[1]))
        if attempt == 1:
            slurm.command("scancel", job)
        elif attempt == 2:
            assert within(60, lambda job=job: slurm.step(job)), "no step"
            os.kill(slurm.step(job), signal.SIGKILL)
        else:
            slurm.command("scontrol", "update", f"jobid={job}", "timelimit=1")
    assert tuning.status() == 1
    first = asked[0][0]
    assert [memory / first for memory, _ in asked] == [1, 2, 3]
    assert len({limit for _, limit in asked}) == 3
    for state in ("CANCELLED", "FAILED", "TIMEOUT"):
        assert f"SLURM status is: '{state}'" in tuning.said()
    assert tuning.said().count(f"FAILED {TUNED}") == 3
    assert "Traceback" not in tuning.said()


@pytest.fixture(params=limits())
def watchful(request, slurm, tmp_path):
    """A Slurm that ends jobs which take more memory than they asked for, in each way that there is here."""
    if request.param == limits()[0]:
        yield slurm
    else:
        with started(Slurm(tmp_path / "watchful", limits=request.param)) as made:
            yield made


def lacks_an_adapter(local, folder, megabytes):
    """The made study without one artifact, whose job asks at first for so much memory: no plan has it."""
    clone = copied(local, folder)
    plan = clone.folder / cluster.PLANS / f"{md5(clone.folder / 'params.yaml')}.json"
    plan.parent.mkdir(exist_ok=True)
    plan.write_text('{"kinds": {}}')
    module = clone.folder / "startup/cluster.py"
    module.write_text(module.read_text().replace('"bytes": 4e9', f'"bytes": {megabytes}e6'))
    shutil.rmtree(clone.folder / ".dvc/cache")  # from which it would come back
    shutil.rmtree(clone.folder / TUNED)
    return clone


def test_a_job_that_takes_more_memory_than_it_asked_for_is_ended_by_slurm_and_gets_more(watchful, local, tmp_path):
    clone = on(watchful, lacks_an_adapter(local, tmp_path / "lacks", HALF))
    run = Running(clone, watchful, f"{RUN} {QUICK}")
    assert run.status() == 0, run.said()
    assert OUT_OF_MEMORY.search(run.said()), run.said()
    assert (clone.folder / "dvc.lock").read_text() == (local.folder / "dvc.lock").read_text()
    clone.quiet()


def test_a_job_that_never_fits_is_reported_with_the_reason(watchful, local, tmp_path):
    clone = on(watchful, lacks_an_adapter(local, tmp_path / "lacks", LITTLE))
    run = Running(clone, watchful, f"{RUN} {QUICK}")
    assert run.status() == 1, run.said()
    assert len(OUT_OF_MEMORY.findall(run.said())) >= 3
    assert run.said().count(f"FAILED {TUNED}") == 3
    assert not (clone.folder / f"{TUNED}.recipe").exists()


def test_an_interrupted_run_cancels_its_jobs(slurm, tuning):
    job = tuning.awaits("tune_lora")
    os.killpg(tuning.process.pid, signal.SIGINT)
    tuning.status()
    assert within(60, lambda: not slurm.jobs())
    assert "CANCELLED" in slurm.command("scontrol", "show", "job", job)
