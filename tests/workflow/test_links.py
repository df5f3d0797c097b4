"""DVC's cache shares its bytes with the artifacts where that is safe, and nowhere else."""

import os
import shutil

import pytest
from dvc_objects.fs import system

from freshness import links
from freshness.contents import md5
from tests.workflow.conftest import Clone, copied

pytestmark = pytest.mark.workflow
STATES = "artifacts/dump_hidden_states/one/words/reference/it.parquet"  # of another tuning: made anew by `linked`
# Root as anybody else: what is read-only cannot be written to.
BOUND = "setpriv --bounding-set=-dac_override,-dac_read_search --inh-caps=-dac_override,-dac_read_search"
AS_USER = BOUND if os.geteuid() == 0 else ""
needs_users = pytest.mark.skipif(os.geteuid() == 0 and not shutil.which("setpriv"), reason="root without setpriv")


def objects(clone):
    """Every object of the cache by its MD5, which is its path."""
    found = (clone.folder / ".dvc/cache/files/md5").glob("??/*")
    return {f"{path.parent.name}{path.name}".removesuffix(".dir"): path for path in found}


def cloned(folder):
    """Whether the file system has reflinks, which need no hard links."""
    (folder / "one").write_text("bytes")
    try:
        system.reflink(folder / "one", folder / "other")
    except OSError:
        return False
    return True


def intact(clone):
    """Whether every object of the cache has the bytes of its name."""
    return all(md5(path) == name for name, path in objects(clone).items())


@pytest.fixture(scope="module")
def made(small, tmp_path_factory):
    """The small study, made on by somebody for whom read-only holds, whatever it was made by."""
    clone = copied(small, tmp_path_factory.mktemp("links") / "made")
    (clone.folder / ".dvc/config.local").unlink(missing_ok=True)
    clone.params(tune_lora__steps=1)
    clone.first_output = clone.run(f"{AS_USER} snakemake --cores 2")
    return clone


@pytest.fixture
def linked(made, tmp_path):
    """A copy of it, links and all, for one test to spoil."""
    made.run(f"cp -a . {tmp_path}/linked")
    return Clone(tmp_path / "linked")


def test_a_hard_link_is_one_file_and_read_only(tmp_path):
    (tmp_path / "object").write_text("bytes")
    links.put(tmp_path / "object", tmp_path / "artifact", hard=True)
    assert (tmp_path / "artifact").read_text() == "bytes"
    if not cloned(tmp_path):
        assert (tmp_path / "object").samefile(tmp_path / "artifact")
        assert (tmp_path / "artifact").stat().st_mode & 0o777 == 0o444


def test_an_object_of_another_user_is_linked_as_it_stands(tmp_path, monkeypatch):
    (tmp_path / "object").write_text("bytes")
    (tmp_path / "object").chmod(0o444)

    def refuse(*_, **__):
        raise PermissionError("not the owner")

    monkeypatch.setattr(os, "chmod", refuse)
    links.put(tmp_path / "object", tmp_path / "artifact", hard=True)
    assert cloned(tmp_path) or (tmp_path / "object").samefile(tmp_path / "artifact")


def test_where_no_link_can_be_had_there_is_a_copy(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError("on another disk")

    monkeypatch.setattr(os, "link", refuse)
    (tmp_path / "object").write_text("bytes")
    links.put(tmp_path / "object", tmp_path / "artifact", hard=True)
    assert (tmp_path / "artifact").read_text() == "bytes"
    assert not (tmp_path / "object").samefile(tmp_path / "artifact")


@needs_users
def test_artifacts_and_cache_are_the_same_files(made, linked):
    assert "artifacts are read-only links into DVC's cache from here" in made.first_output
    assert (linked.folder / STATES).samefile(objects(linked)[md5(linked.folder / STATES)])
    assert "Nothing to be done" in linked.run(f"{AS_USER} snakemake -n")


@needs_users
def test_an_edit_in_place_is_refused_and_a_new_artifact_leaves_the_cache_alone(linked):
    before = md5(linked.folder / STATES)
    assert "Permission denied" in linked.run(f"{AS_USER} bash -c 'echo x >> {STATES}'", check=False)
    linked.params(queries=4)
    assert (
        linked.planned()["dump_hidden_states"]
        == linked.jobs(linked.run(f"{AS_USER} snakemake -n"))["dump_hidden_states"]
    )
    linked.run(f"{AS_USER} snakemake --cores 2")
    assert md5(linked.folder / STATES) != before
    assert before in objects(linked)
    assert intact(linked)
    assert (linked.folder / STATES).stat().st_nlink == 2


@needs_users
def test_what_comes_back_from_the_cache_is_linked(linked):
    (linked.folder / STATES).unlink()
    output = linked.run(f"{AS_USER} snakemake --cores 2")
    assert f"{STATES}: from DVC's cache" in output
    assert (linked.folder / STATES).samefile(objects(linked)[md5(linked.folder / STATES)])
    assert intact(linked)


@needs_users
def test_a_link_that_was_made_writable_and_edited_is_not_served_again(linked):
    linked.run(f"chmod u+w {STATES} && echo x >> {STATES}")
    assert not intact(linked)
    linked.run(f"{AS_USER} snakemake --cores 2")
    assert intact(linked)
    linked.quiet()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root writes to read-only files")
def test_root_has_copies(small, tmp_path):
    clone = copied(small, tmp_path / "copies")
    clone.params(tune_lora__steps=1)
    assert "links into DVC's cache" not in clone.run("snakemake --cores 2")
    clone.run(f"echo x >> {STATES}")
    assert intact(clone)
    assert (clone.folder / STATES).stat().st_nlink == 1


def test_what_is_said_of_links_stays(small, tmp_path):
    clone = copied(small, tmp_path / "said")
    clone.run("dvc config --local cache.type copy")
    clone.params(tune_lora__steps=1)
    clone.run(f"{AS_USER} snakemake --cores 2")
    assert clone.run("dvc config --local cache.type").strip() == "copy"
    assert (clone.folder / STATES).stat().st_nlink == 1
