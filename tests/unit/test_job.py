"""A job in one process: what its stage makes is sealed if the stage ends well on what was planned, and only then."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from freshness import libraries
from freshness.contents import md5

ROOT = Path(__file__).parents[2]
MAKES = "from pathlib import Path\nPath('made').write_text('content')\n"
LIBRARY = "pydantic"


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A function that runs a stage of some text as a job; gives its status, output and errors, and what was sealed."""
    monkeypatch.chdir(tmp_path)

    def done(text, *flags):
        Path("stage.py").write_text(text)
        planned = {
            "outputs": {"made": "made"}, "accepted": {}, "inputs": {}, "cache": "cache",
            "recipe": {"code": {"stage.py": "syntax"}, "libraries": {}, "params": {}, "inputs": {}},
            "folders": [], "files": {"stage.py": md5(Path("stage.py"))},
            "installed": {LIBRARY: libraries.here(LIBRARY)},
        }  # fmt: skip
        Path("job.json").write_text(json.dumps(planned))
        command = [sys.executable, "-m", "freshness.job", "job.json", "stage", *flags]
        ran = subprocess.run(command, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True)
        recipe = Path("made.recipe")
        return ran.returncode, ran.stdout, ran.stderr, json.loads(recipe.read_text()) if recipe.exists() else None

    return done


def test_a_stage_that_ends_well_is_sealed(run):
    status, output, error, sealed = run(MAKES + "import sys\nprint(__name__, sys.argv[1:])", "--a", "b c")
    assert (status, output, error) == (0, "__main__ ['--a', 'b c']\n", "")
    assert sealed["bytes"] == {"made": md5(Path("made"))}


@pytest.mark.parametrize("end", ["raise SystemExit", "raise SystemExit(0)"])
def test_a_stage_may_say_that_it_ends_well(run, end):
    status, _, _, sealed = run(MAKES + end)
    assert (status, bool(sealed)) == (0, True)


@pytest.mark.parametrize(
    ("end", "status", "words"),
    [
        ("raise SystemExit('what is wrong')", 1, "what is wrong\n"),
        ("raise SystemExit(3)", 3, ""),
        ("1 / 0", 1, "ZeroDivisionError: division by zero\n"),
    ],
)
def test_a_stage_that_fails_is_not_sealed_and_has_the_last_word(run, end, status, words):
    ran, _, error, sealed = run(MAKES + end)
    assert (ran, sealed) == (status, None)
    assert error.endswith(words)


def test_a_stage_that_is_edited_while_it_runs_is_not_sealed(run):
    status, _, error, sealed = run(MAKES + "Path('stage.py').write_text('pass')")
    assert (status, sealed) == (1, None)
    assert error == "made: not sealed: stage.py was written to while the job ran; run again\n"


def test_a_library_that_is_upgraded_while_a_stage_runs_is_seen(run):
    upgrade = "from freshness import libraries\nlibraries.version = lambda library: '99.9.0'"
    status, _, error, sealed = run(MAKES + upgrade)
    assert (status, sealed) == (1, None)
    assert error == f"made: not sealed: another release of {LIBRARY} was installed while the job ran; run again\n"


def test_modules_of_ours_are_imported_after_begin_has_looked_at_them(run):
    told = "import sys\nprint([name for name in sys.modules if name.startswith('workflow_scripts')])"
    assert run(MAKES + told)[1] == "[]\n"


def test_a_stage_does_not_begin_on_what_was_not_planned(run):
    run(MAKES)
    Path("made").unlink()
    Path("stage.py").write_text(MAKES + "x = 1")
    command = [sys.executable, "-m", "freshness.job", "job.json", "stage"]
    ran = subprocess.run(command, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True)
    assert ran.returncode == 1
    assert ran.stderr == "made: not started: stage.py is not what it was when this run began; run again\n"
    assert not Path("made").exists()


def test_a_job_that_is_not_planned_any_more_ends_with_one_line(tmp_path):
    command = [sys.executable, "-m", "freshness.job", "gone.json", "stage"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    ran = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert ran.returncode == 1
    (line,) = ran.stderr.splitlines()
    assert "code or data are not what they were" in line
