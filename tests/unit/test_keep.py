"""What is put into the cache without DVC has its name, its mode and its links, and is whole or not there."""

import hashlib
import json
import os
from pathlib import Path

import pytest

from freshness import cached, keep, links
from freshness.cached import Cache, object_path
from freshness.contents import folder_digest, listed, load_sealed, write

CACHE = Cache(Path("cache"), [])
NAME = hashlib.md5(b"bytes").hexdigest()


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """An artifact in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    Path("made").mkdir()
    Path("made/x").write_text("bytes")


def left_over():
    return list(Path("cache", keep.UNFINISHED).iterdir())


def test_an_object_is_a_read_only_copy_under_its_name():
    keep.keep(CACHE, Path("made/x"), NAME)
    kept = object_path(CACHE.folder, NAME)
    assert str(kept) == f"cache/files/md5/{NAME[:2]}/{NAME[2:]}"
    assert kept.read_text() == "bytes"
    assert kept.stat().st_mode & 0o777 == 0o444
    assert Path("made/x").stat().st_mode & 0o200
    assert left_over() == []


def test_an_artifact_is_linked_where_links_are_said(monkeypatch):
    def refuse(*_):
        raise OSError("no reflinks")

    monkeypatch.setattr(links, "_reflink", refuse)
    keep.keep(CACHE, Path("made/x"), NAME, hard=True)
    assert object_path(CACHE.folder, NAME).samefile("made/x")
    assert Path("made/x").stat().st_mode & 0o777 == 0o444


def test_what_has_other_bytes_by_now_is_not_kept():
    Path("made/x").write_text("other")
    with pytest.raises(keep.KeepError, match="made/x was written to"):
        keep.keep(CACHE, Path("made/x"), NAME)
    assert not object_path(CACHE.folder, NAME).exists()
    assert left_over() == []


def test_an_object_that_was_made_writable_and_edited_is_replaced():
    keep.keep(CACHE, Path("made/x"), NAME)
    kept = object_path(CACHE.folder, NAME)
    kept.chmod(0o644)
    kept.write_text("edited")
    keep.keep(CACHE, Path("made/x"), NAME)
    assert kept.read_text() == "bytes"


def test_an_object_is_read_where_it_is_not_believed():
    keep.keep(CACHE, Path("made/x"), NAME)
    kept = object_path(CACHE.folder, NAME)
    kept.chmod(0o644)
    kept.write_text("harmed")
    kept.chmod(0o444)
    keep.keep(CACHE, Path("made/x"), NAME)
    assert kept.read_text() == "harmed"  # as DVC would take it
    keep.keep(CACHE, Path("made/x"), NAME, believed=False)
    assert kept.read_text() == "bytes"


def test_a_list_that_is_not_whole_is_written_anew():
    name = folder_digest({"x": NAME})
    kept = object_path(CACHE.folder, name)
    kept.parent.mkdir(parents=True)
    kept.write_text("[")
    keep.keep_folder(CACHE, Path("made"), {"x": NAME})
    assert kept.read_bytes() == listed({"x": NAME})


def test_a_cache_that_its_owner_keeps_from_others_is_not_opened_to_them():
    CACHE.folder.mkdir()
    CACHE.folder.chmod(0o2770)
    links.make_cache(CACHE.folder, shared=True)
    assert CACHE.folder.stat().st_mode & 0o7777 == 0o2770


@pytest.mark.parametrize("there", [False, True])
def test_a_group_may_write_where_a_cache_is_shared(there):
    if there:  # since before it was
        CACHE.folder.mkdir(mode=0o755)
    before = os.umask(0o022)
    try:
        links.make_cache(CACHE.folder, shared=True)
        keep.keep(CACHE, Path("made/x"), NAME)
        cached.remember(CACHE.folder, "abc", {"made_from": {}})
    finally:
        os.umask(before)
    folders = [path for path in (CACHE.folder, *CACHE.folder.rglob("*")) if path.is_dir()]
    assert len(folders) == 7
    assert {folder.stat().st_mode & 0o7777 for folder in folders} == {0o2775}


def test_a_folder_is_the_list_of_its_files():
    Path("made/a").mkdir()
    Path("made/a/é").write_text("")
    files = {"x": NAME, "a/é": hashlib.md5(b"").hexdigest()}
    keep.keep_folder(CACHE, Path("made"), files)
    text = object_path(CACHE.folder, folder_digest(files)).read_bytes()
    assert text == listed(files)
    assert hashlib.md5(text).hexdigest() + ".dir" == folder_digest(files)
    assert [row["relpath"] for row in json.loads(text)] == ["a/é", "x"]
    assert all(object_path(CACHE.folder, name).exists() for name in files.values())


@pytest.mark.parametrize("key", ["out/../../../x", "/x", "out//x", "."])
def test_a_recipe_that_names_files_elsewhere_is_none(key):
    sealed = {part: {} for part in ("code", "libraries", "params", "inputs", "made_from")}
    write(Path("one.recipe"), sealed | {"bytes": {"out/x": NAME}})
    assert load_sealed(Path("one.recipe"))
    write(Path("one.recipe"), sealed | {"bytes": {key: NAME}})
    assert load_sealed(Path("one.recipe")) is None
