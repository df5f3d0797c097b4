"""How far a run is, what is said of it, and what is said of a job that fails."""

import io
import json
import logging

import pytest
from snakemake.logging import ColorizingTextHandler, DefaultFilter, DefaultFormatter
from snakemake_interface_logger_plugins.common import LogEvent

from runs import watch
from runs.failure import told
from runs.tally import Job, Tally, spoken
from runs.watch import CLEAR, DEFAULT, FAILED, LOGGER, Watch

TUNE, DUMP = "tune_lora one", "dump_hidden_states one"
CELL = ("one", "words", "shots")
JOBS = {
    1: Job("artifacts/a", TUNE),
    2: Job("artifacts/b", TUNE),
    3: Job("artifacts/c", DUMP),
    4: Job("artifacts/d", DUMP, cell=CELL),
    5: Job("artifacts/e", DUMP, cell=CELL),
}


def test_time_left_is_what_jobs_of_their_kind_took_side_by_side():
    tally = Tally(JOBS)
    tally.start(1, 0)
    tally.start(2, 0)
    tally.finish(1, 10)
    assert tally.left(10) == (0, False)  # nothing is known of dumps, and the other tuning is due
    tally.start(3, 10)
    tally.finish(2, 10)
    tally.finish(3, 14)
    # 24 seconds of work in 14; two dumps of 4 seconds to go
    assert tally.left(14) == (pytest.approx(8 / (24 / 14)), True)
    tally.start(4, 14)
    assert tally.left(15) == (pytest.approx((3 + 4) / (25 / 15)), True)


def test_what_the_run_before_took_counts_until_this_one_knows_better():
    tally = Tally(JOBS, before={TUNE: [2, 60], DUMP: [1, 5]})
    assert tally.left(0) == (2 * 30 + 3 * 5, True)
    assert tally.line(0) == "0 of 5 jobs and 0 of 1 cells done, 0 running, 0 failed, about 75 s left"
    tally.start(1, 0)
    tally.finish(1, 2)
    assert tally.left(2) == (2 + 3 * 5, True)
    assert tally.known == {TUNE: [1, 2], DUMP: [1, 5]}


def test_a_cell_is_done_with_the_last_of_its_jobs_and_a_job_that_runs_again_has_not_failed():
    tally = Tally(JOBS)
    for job in (4, 5):
        tally.start(job, 0)
    tally.finish(4, 1)
    assert tally.cells() == (0, 1)
    tally.fail(5)
    assert tally.line(1) == "1 of 5 jobs and 0 of 1 cells done, 0 running, 1 failed"
    tally.start(5, 1)
    tally.finish(5, 3)
    assert tally.cells() == (1, 1)
    assert tally.line(3).startswith("2 of 5 jobs and 1 of 1 cells done, 0 running, 0 failed, more than ")


def test_times_are_said_in_the_unit_that_says_them_best():
    assert [spoken(x) for x in (0, 89, 90, 5399, 5400, 86400)] == ["0 s", "89 s", "2 min", "90 min", "1.5 h", "24.0 h"]


def test_a_failed_job_shows_the_end_of_its_log_and_its_command_by_hand(tmp_path):
    log = tmp_path / "it.log"
    log.write_text("".join(f"line {i}\n\n" for i in range(40)))
    command = (
        "python startup/warm.py models freshness.job .snakemake/plan/0-1.json workflow_scripts.tune_lora"
        f" --settings '{{\"steps\": 2}}' 2> {log}"
    )
    lines = told("artifacts/tune_lora/one", command, [str(log)]).splitlines()
    assert lines[0] == "FAILED artifacts/tune_lora/one"
    assert lines[1:16] == [f"    line {i}" for i in range(25, 40)]
    assert lines[16:] == [
        f"  log: {log}",
        "  by hand: python -m workflow_scripts.tune_lora --settings '{\"steps\": 2}'",
    ]


def test_why_a_scheduler_ended_a_job_is_said(tmp_path):
    log = tmp_path / "1.log"
    killed = "slurmstepd-vm: error: Detected 1 oom-kill event(s) in StepId=1.0."
    log.write_text("of no interest\n" + f"{killed}\n" + "".join(f"line {i}\n" for i in range(20)))
    fared = "SLURM-job '1' failed, SLURM status is: 'FAILED'. For further error details see the cluster log"
    lines = told("artifacts/x", None, [str(log)], fared).splitlines()
    assert lines[:4] == [
        "FAILED artifacts/x",
        "  SLURM-job '1' failed, SLURM status is: 'FAILED'.",
        f"    {killed}",
        "    line 5",
    ]
    refused = "SLURM sbatch failed. The error message was 'no such partition'.\n    sbatch call:\n  sbatch ..."
    assert told("x", None, [], refused).splitlines()[1:] == [
        "  SLURM sbatch failed. The error message was 'no such partition'."
    ]


def test_a_failed_job_without_a_log_is_named(tmp_path):
    assert told("artifacts/x", None, [str(tmp_path / "none")]).splitlines()[0] == "FAILED artifacts/x"


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def begun(tmp_path, monkeypatch):
    """A watch in the place of Snakemake's handler, which writes to a stream; without its clock."""
    made = []

    def begin(stream, jobs=JOBS, stopped=()):
        monkeypatch.setattr(watch, "TICK", 1000)
        monkeypatch.setattr(watch, "jobs_of", lambda dag: jobs)
        monkeypatch.setenv("TERM", "xterm")
        monkeypatch.setenv("COLUMNS", "100")
        handler = ColorizingTextHandler(nocolor=True, stream=stream)
        handler.addFilter(DefaultFilter(None, False, False, False, False))
        handler.setFormatter(DefaultFormatter(None, True))
        handler.name = DEFAULT
        logger = logging.getLogger(LOGGER)
        monkeypatch.setattr(logger, "handlers", [handler])
        monkeypatch.setattr(logger, "propagate", False)
        logger.setLevel(logging.INFO)
        made.append(Watch(lambda: bool(stopped), tmp_path / "run.json"))
        made[0].begin(None)
        return made[0]

    yield begin
    made[0].close()


def say(event, text="", **fields):
    logging.getLogger(LOGGER).info(text, extra={"event": event, **fields})


def started(job):
    named = {"rule_msg": None, "rule_name": "tune_lora", "local": False, "is_checkpoint": False, "benchmark": None}
    lists = {"input": [], "output": [JOBS[job].artifact], "log": [], "wildcards": {}, "resources": {}}
    say(LogEvent.JOB_INFO, jobid=job, reason="why", priority=0, threads=1, indent=False, **named, **lists)


def failed(job, log):
    lists = {"input": [], "output": [JOBS[job].artifact], "log": [str(log)], "aux": {}}
    say(LogEvent.JOB_ERROR, jobid=job, rule_name="tune_lora", rule_msg=None, conda_env=None, shellcmd="x", **lists)
    logging.getLogger(LOGGER).error("RuleException:\nCalledProcessError in file x")
    logging.getLogger(LOGGER).error("Exiting because a job execution failed. Look above for error messages")


def test_in_a_log_jobs_are_said_as_snakemake_says_them_with_a_line_of_ours_for_each(begun):
    stream = io.StringIO()
    begun(stream)
    started(1)
    say(LogEvent.JOB_FINISHED, "Finished jobid: 1 (Rule: tune_lora)", job_id=1)
    say(LogEvent.PROGRESS, None, done=1, total=5)
    said = stream.getvalue()
    assert "output: artifacts/a" in said
    assert "Finished jobid: 1" in said
    assert "\n1 of 5 jobs and 0 of 1 cells done, 0 running, 0 failed, more than 0 s left\n" in said
    assert "steps" not in said
    assert "\033" not in said


def test_on_a_terminal_jobs_are_a_line_that_other_messages_clear(begun):
    stream = Terminal()
    begun(stream)
    started(1)
    assert stream.getvalue().startswith(f"{CLEAR}0 of 5 jobs and 0 of 1 cells done, 1 running, 0 failed")
    assert stream.getvalue().endswith("| a 0 s")
    assert len(stream.getvalue().removeprefix(CLEAR)) < 100
    logging.getLogger(LOGGER).warning("a warning")
    assert stream.getvalue().endswith(f"{CLEAR}a warning\n")
    started(2)  # within TICK, for the clock to tell
    assert stream.getvalue().endswith("a warning\n")
    assert "output:" not in stream.getvalue()


@pytest.mark.parametrize("stream", [io.StringIO, Terminal])
def test_a_failure_is_said_once_and_the_file_keeps_it(begun, tmp_path, stream):
    (tmp_path / "a.log").write_text("lower the rate\n")
    watching = begun(stream := stream())
    started(1)
    failed(1, tmp_path / "a.log")
    watching.end(FAILED)
    said = stream.getvalue()
    assert said.count("lower the rate") == said.count("FAILED artifacts/a") == 1
    assert "Exiting because" not in said
    assert "CalledProcessError" not in said
    assert said.rstrip().endswith("the next run goes on from there.")
    kept = json.loads((tmp_path / "run.json").read_text())
    assert [kept["ended"], kept["failed"], kept["running"]] == [FAILED, [{"artifact": "artifacts/a", "log": ""}], []]


def test_of_a_run_that_is_stopped_nothing_more_is_noted_or_said(begun, tmp_path):
    stopped = []
    watching = begun(stream := io.StringIO(), stopped=stopped)
    started(1)
    before = stream.getvalue(), (tmp_path / "run.json").read_text()
    stopped.append("as by Ctrl-C")
    failed(1, tmp_path / "a.log")
    watching.end(FAILED)
    assert (stream.getvalue(), (tmp_path / "run.json").read_text()) == before


def test_where_another_handler_says_it_only_the_file_is_written(begun, tmp_path, monkeypatch):
    stream = io.StringIO()
    monkeypatch.setattr(watch, "DEFAULT", "none of Snakemake's")
    watching = begun(stream)
    started(1)
    failed(1, tmp_path / "a.log")
    watching.end(FAILED)
    assert stream.getvalue().count("Error in rule") == 1
    assert json.loads((tmp_path / "run.json").read_text())["failed"]
