"""The README's commands, run one after the other in a clone with a tiny study."""

import re

import pytest

from tests.workflow.conftest import ROOT

pytestmark = pytest.mark.workflow
README = (ROOT / "README.md").read_text()
COMMANDS = [
    line
    for block in re.findall(r"```bash\n(.*?)```", README, re.DOTALL)
    for line in block.splitlines()
    if line and not line.startswith("#")
]
# Commands of the README that this test leaves out, and why.
LEFT_OUT = {
    "git clone": "the test is in a clone",
    "make test": "the test would run itself",
    "make reproduce STUDY=": "needs a package index; tests/workflow/test_smollm2.py runs a cut of it",
    "source .venv": "the clone runs in this test's own environment",
}


def test_the_readme_is_short_and_starts_with_its_commands():
    assert len(README.splitlines()) <= 150
    assert "make reproduce" in "\n".join(README.splitlines()[:30])


def test_every_command_runs(clone, tmp_path):
    run = [one.split("#")[0].strip() for one in COMMANDS if not one.startswith(tuple(LEFT_OUT))]
    assert "make reproduce" in run
    for command in run:
        clone.run(command.replace("/path/to/shared-artifacts", str(tmp_path / "remote")))


def test_the_tree_names_what_is_there():
    named = re.findall(r"^(?:  )?([\w./-]+)  ", README.split("```text\n")[1].split("```")[0], re.MULTILINE)
    assert len(named) > 10
    missing = [name for name in named if not (ROOT / name).exists() and not list(ROOT.rglob(name))]
    assert not missing
