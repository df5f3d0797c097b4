import shutil
from pathlib import Path

import pytest

from workflow_scripts.lib.artifacts import provenance
from workflow_scripts.lib.artifacts.provenance import modules_of, origin, syntax_digest, syntax_digests


def forget():
    for cached in (syntax_digests, syntax_digest, modules_of, provenance._own_imports):
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
        return provenance.digest(syntax_digests(f"workflow_scripts.{stage}"))

    yield digest
    forget()


def test_modules_are_found_through_other_modules():
    found = modules_of("workflow_scripts.compare_hidden_states")
    assert {"workflow_scripts.compare_hidden_states", "workflow_scripts.lib.measures.on_states"} <= set(found)
    assert "workflow_scripts.lib.lora.config" not in found


def test_an_edit_of_code_changes_the_digest_of_what_imports_it(code):
    before = code("prepare_dataset"), code("compare_hidden_states")
    code("prepare_dataset", "lib/data/datasets.py", lambda text: text + "\nX = 1\n")
    assert (code("prepare_dataset") != before[0], code("compare_hidden_states") != before[1]) == (True, False)


@pytest.mark.parametrize(
    "edit",
    [
        lambda text: "# a comment\n" + text,
        lambda text: text.replace('"""Write a row per set', '"""Put down a row per set'),
        lambda text: text.replace("\n\n\n", "\n\n\n\n"),
    ],
    ids=["comment", "docstring", "layout"],
)
def test_an_edit_that_does_nothing_changes_no_digest(code, edit):
    before = code("sample_demonstrations")
    assert code("sample_demonstrations", "lib/data/sets.py", edit) == before


def test_an_origin_says_settings_and_nothing_of_this_machine(tmp_path):
    assert origin(seed=1, path=Path("a/b")) == {"settings": {"seed": 1, "path": "a/b"}}


@pytest.mark.parametrize("imported", ["from . import helper", "from .helper import X", "from ..lib import helper"])
def test_modules_that_are_imported_by_relative_names_count(code, tmp_path, imported):
    (tmp_path / "workflow_scripts/lib/helper.py").write_text("X = 1\n")
    before = code("aggregate_similarity", "lib/command.py", lambda text: f"{text}\n{imported}\n")
    assert code("aggregate_similarity", "lib/helper.py", lambda text: "X = 2\n") != before


def test_packages_count(code, tmp_path):
    before = code("aggregate_similarity")
    assert code("aggregate_similarity", "lib/__init__.py", lambda text: f"{text}\nX = 1\n") != before
    lib = tmp_path / "workflow_scripts/lib"
    (lib / "command").mkdir()
    (lib / "command.py").rename(lib / "command/__init__.py")
    before = code("aggregate_similarity")
    assert code("aggregate_similarity", "lib/command/__init__.py", lambda text: f"{text}\nX = 1\n") != before


# Digests that another release of Python must give as well (3.12 and 3.13 have more fields in their trees).
SOURCE = '''"""Say what."""
@d
async def f(a: int, *b, c=1, **k) -> "x":
    """Doc."""
    match a:
        case {"k": [1, *_]} if b:
            return f"{a!r:>{c}} {b'x'}"
    return None, 1, "1", True, 1.0, ...


class C(B, metaclass=M):
    x: list[int] = [y for y in (lambda z: z)(0)]
'''


def test_a_digest_is_the_same_under_every_release_of_python(tmp_path):
    (tmp_path / "x.py").write_text(SOURCE)
    assert syntax_digest(tmp_path / "x.py") == "fc94beb5c6a1de6c"


def test_constants_that_look_alike_are_told_apart(tmp_path):
    digests = set()
    for i, constant in enumerate(("1", "'1'", "1.0", "True", "'True'", "b'1'", "None", "'None'")):
        (tmp_path / f"{i}.py").write_text(f"x = {constant}\n")
        digests.add(syntax_digest(tmp_path / f"{i}.py"))
    assert len(digests) == 8
