import json
import shutil

import pytest

from workflow_scripts.lib import provenance
from workflow_scripts.lib.provenance import code_digest, modules_of, origin, syntax_digests


def forget():
    for cached in (code_digest, syntax_digests, modules_of):
        cached.cache_clear()


@pytest.fixture
def code(tmp_path, monkeypatch):
    """A copy of our code that a test may edit; gives a function that edits a module and digests a stage."""
    shutil.copytree(provenance.ROOT / "workflow_scripts", tmp_path / "workflow_scripts")
    monkeypatch.setattr(provenance, "ROOT", tmp_path)

    def digest(stage, module=None, edit=lambda text: text):
        if module:
            path = tmp_path / "workflow_scripts" / module
            path.write_text(edit(path.read_text()))
        forget()
        return code_digest(stage)

    yield digest
    forget()


def test_modules_are_found_through_other_modules():
    found = modules_of("workflow_scripts.compare_hidden_states")
    assert {"workflow_scripts.compare_hidden_states", "workflow_scripts.lib.similarity"} <= set(found)
    assert "workflow_scripts.lib.lora" not in found


def test_an_edit_of_code_changes_the_digest_of_what_imports_it(code):
    before = code("sample_demonstrations"), code("compare_hidden_states")
    code("sample_demonstrations", "lib/demonstrations.py", lambda text: text + "\nX = 1\n")
    assert (code("sample_demonstrations") != before[0], code("compare_hidden_states") != before[1]) == (True, False)


@pytest.mark.parametrize(
    "edit",
    [
        lambda text: "# a comment\n" + text,
        lambda text: text.replace('"""Write a row per demonstration', '"""Put down a row per demonstration'),
        lambda text: text.replace("\n\n\n", "\n\n\n\n"),
    ],
    ids=["comment", "docstring", "layout"],
)
def test_an_edit_that_does_nothing_changes_no_digest(code, edit):
    before = code("sample_demonstrations")
    assert code("sample_demonstrations", "lib/demonstrations.py", edit) == before


def test_origin_holds_nothing_of_this_machine(tmp_path):
    told = json.dumps(origin("prepare_dataset", ("pyarrow", "torch"), seed=1))
    assert str(provenance.ROOT) not in told
    assert "+cpu" not in told
