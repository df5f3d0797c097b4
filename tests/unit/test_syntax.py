import json
import os
import shutil
from pathlib import Path

import pytest

from freshness import syntax
from freshness.syntax import modules_of, said, syntax_digest, syntax_digests
from workflow_scripts.lib.artifacts import provenance


def forget():
    """Forget what a process knows, as the next one would."""
    for cached in (syntax_digests, modules_of, said, syntax._memory):
        cached.cache_clear()


@pytest.fixture
def code(tmp_path, monkeypatch):
    """A copy of our code that a test may edit; gives a function that edits a module and digests a stage."""
    shutil.copytree(syntax.ROOT / "workflow_scripts", tmp_path / "workflow_scripts")
    monkeypatch.setattr(syntax, "ROOT", tmp_path)

    def digest(stage, module=None, edit=lambda text: text):
        if module:
            path = tmp_path / "workflow_scripts" / module
            path.write_text(edit(path.read_text()))
        forget()
        return provenance.digest(syntax_digests(f"workflow_scripts.{stage}"))

    yield digest
    forget()


@pytest.mark.parametrize("files", [None, [], "x"])
def test_what_is_kept_in_another_form_is_read_anew(code, tmp_path, files):
    before = code("tune_lora")
    (tmp_path / syntax.MEMORY).write_text(json.dumps({"reader": syntax._reader(), "files": files}))
    assert code("tune_lora") == before


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


# What is kept from run to run


@pytest.fixture
def readings(code, monkeypatch):
    """Files that were read, in order; the memory is empty at first."""
    seen, read = [], syntax.read
    monkeypatch.setattr(syntax, "read", lambda path: seen.append(path.name) or read(path))
    return seen


def test_a_file_is_read_once_for_all_runs(code, readings):
    first = code("prepare_dataset")
    assert len(readings) == len(set(modules_of("workflow_scripts.prepare_dataset"))) > 10
    readings.clear()
    assert code("prepare_dataset") == first
    assert readings == []


def rewrite_in_place(path, text):
    """Write text of the same length, and set the times back."""
    was = path.stat()
    path.write_text(text)
    os.utime(path, ns=(was.st_atime_ns, was.st_mtime_ns))
    assert path.stat().st_size == was.st_size


def put_another_file(path, text):
    """Put another file of the same length and times in the place of one."""
    other, was = path.with_name("other"), path.stat()
    other.write_text(text)
    os.utime(other, ns=(was.st_atime_ns, was.st_mtime_ns))
    other.replace(path)


@pytest.mark.parametrize("change", [Path.write_text, rewrite_in_place, put_another_file])
def test_what_was_read_of_a_file_counts_while_it_is_as_it_was(code, readings, tmp_path, change):
    module = tmp_path / "workflow_scripts/lib/errors.py"
    module.write_text(module.read_text() + "\nX = 1\n")
    before = code("prepare_dataset")
    readings.clear()
    change(module, module.read_text().replace("X = 1", "X = 2"))
    assert code("prepare_dataset") != before
    assert readings == ["errors.py"]


def test_a_memory_of_another_reader_or_that_is_not_whole_is_not_taken(code, readings, tmp_path, monkeypatch):
    before, memory = code("prepare_dataset"), tmp_path / syntax.MEMORY
    files = len(readings)
    for spoil in (lambda: monkeypatch.setattr(syntax, "_reader", lambda: ["another"]), lambda: memory.write_text("{")):
        readings.clear()
        spoil()
        assert code("prepare_dataset") == before
        assert len(readings) == files


def test_a_name_that_becomes_a_module_counts_though_no_file_that_was_read_changed(code, tmp_path):
    before = code(
        "prepare_dataset", "lib/command.py", lambda text: f"{text}\ntry:\n    from . import late\nexcept E: x\n"
    )
    (tmp_path / "workflow_scripts/lib/late.py").write_text("X = 1\n")
    assert code("prepare_dataset") != before


def test_a_folder_that_git_left_behind_hides_no_module(code, tmp_path):
    before = code("aggregate_similarity")
    (tmp_path / "workflow_scripts/lib/command/__pycache__").mkdir(parents=True)
    assert code("aggregate_similarity") == before
    assert code("aggregate_similarity", "lib/command.py", lambda text: f"{text}\nX = 1\n") != before


def test_a_memory_that_cannot_be_written_is_done_without(code, tmp_path):
    (tmp_path / ".snakemake").write_text("in the way")
    assert code("prepare_dataset") == code("prepare_dataset")
