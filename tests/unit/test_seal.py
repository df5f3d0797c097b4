import hashlib
import json
import os
import time
from pathlib import Path

import pytest

from freshness import cached, contents, folders, libraries, seal
from freshness.contents import load_sealed, md5, write


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def put(path, text=""):
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return str(path)


def job(**changes):
    """A job that makes made/x and a folder made/y from data.csv and the artifact in/a."""
    made = {"states": "made/x", "adapters": "made/y"}
    given = {"input": [{"outputs": {"examples": "in/a"}, "output": "examples", "recipe": seal.name(RECIPE)}]}
    files = {"data.csv": md5(Path("data.csv")), "code.py": md5(Path("code.py"))}
    recipe = {"code": {"code.py": "syntax"}, "libraries": {}, "params": {"r": 8}, "inputs": {"input": ["recipe"]}}
    return {
        "outputs": made, "recipe": recipe, "accepted": {}, "files": files, "inputs": given, "cache": "cache",
        "folders": [], "installed": {"torch": libraries.here("torch")},
    } | changes  # fmt: skip


NOTHING = hashlib.md5(b"").hexdigest()
RECIPE = {"code": {}, "libraries": {}, "params": {}, "inputs": {}}


@pytest.fixture
def ready(here):
    """All that the job reads."""
    put("data.csv", "a")
    put("code.py", "x = 1")
    put("in/a", "artifact")
    seal.seal(
        {
            "outputs": {"examples": "in/a"},
            "recipe": RECIPE,
            "accepted": {},
            "files": {},
            "folders": [],
            "inputs": {},
            "cache": "cache",
            "installed": {},
        },
        Path("none.json"),
    )
    return here


def make():
    put("made/x", "content")
    put("made/y/one", "1")


# Contents


def test_files_from_elsewhere_are_read_and_nothing_is_written_beside_them(tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    data = Path(put(tmp_path / "there/data.csv", "a"))
    monkeypatch.chdir(tmp_path / "here")
    for path in (str(data), "../there/data.csv"):
        assert contents.contents([path]) == {path: md5(data)}
    assert [path.name for path in data.parent.iterdir()] == ["data.csv"]


def test_bytes_are_read_again_only_when_the_file_changed(here, monkeypatch):
    put("x", "a")
    before = contents.contents(["x"])
    monkeypatch.setattr(contents, "md5", lambda path: pytest.fail("read again"))
    assert contents.contents(["x"]) == before


def test_bytes_that_changed_under_the_same_time_are_seen_and_dated_so_that_dvc_sees_them_too(here):
    path = Path(put("x", "a"))
    contents.contents(["x"])
    keep = path.stat()
    path.write_text("b")
    os.utime(path, ns=(keep.st_atime_ns, keep.st_mtime_ns))
    assert contents.contents(["x"]) == {"x": md5(path)}
    assert path.stat().st_mtime_ns != keep.st_mtime_ns


def test_bytes_that_change_in_the_very_tick_in_which_they_were_read_are_seen(here, monkeypatch):
    """As on Linux before 6.13: times stand still for some milliseconds, and the size is the same."""
    path, ticks = Path(put("x", "a")), iter([1, 2])
    clock = {"now": path.stat().st_ctime_ns}

    def identity(path):
        return [1, 1, clock["written"], clock["written"]]

    clock["written"] = clock["now"]
    monkeypatch.setattr(contents, "identity", identity)
    monkeypatch.setattr(contents.time, "clock_gettime_ns", lambda which: clock["now"])
    monkeypatch.setattr(contents.time, "sleep", lambda seconds: clock.update(now=clock["now"] + next(ticks)))
    contents.contents(["x"])
    path.write_text("b")
    clock["written"] = clock["now"]  # what a write now is dated
    assert contents.contents(["x"]) == {"x": md5(path)}


def test_a_name_of_any_length_is_noted(here):
    path = put("ä" * 100 + ".csv", "a")
    assert contents.contents([path]) == {path: md5(Path(path))}


# Begin and seal


def test_what_is_sealed_names_no_model_and_no_data_set(ready):
    seal.begin(job(), Path("job.json"))
    make()
    seal.seal(job(), Path("job.json"))
    sealed = json.loads(Path("made/x.recipe").read_text())
    assert set(sealed["bytes"]) == {"states", "adapters/one"}
    assert sealed["made_from"] == {"input": [seal.part(json.loads(Path("in/a.recipe").read_text()), "examples")]}
    assert seal.intact(job()["outputs"])
    put("made/y/one", "2")
    assert seal.intact(job()["outputs"]) is None
    assert seal.altered(job()["outputs"], sealed) == ["made/y/one"]


def test_a_library_that_is_upgraded_meanwhile_stops_a_job(ready, monkeypatch):
    planned = job()
    seal.begin(planned, Path("job.json"))
    make()
    monkeypatch.setattr(libraries, "here", lambda library: "2.99")
    with pytest.raises(seal.ChangedError, match="another release of torch"):
        seal.seal(planned, Path("job.json"))
    with pytest.raises(seal.ChangedError, match="torch is not what it was"):
        seal.begin(planned, Path("job.json"))


def test_what_else_lies_in_a_folder_does_not_count(ready):
    seal.begin(job(), Path("job.json"))
    make()
    seal.seal(job(), Path("job.json"))
    put("made/y/notes.txt", "mine")
    assert seal.intact(job()["outputs"])


@pytest.mark.parametrize("path", ["data.csv", "code.py", "in/a"])
def test_a_job_does_not_begin_on_what_was_not_planned(ready, path):
    planned = job()
    put(path, "edited")
    with pytest.raises(seal.ChangedError, match=path):
        seal.begin(planned, Path("job.json"))


def test_data_and_models_that_were_seen_are_read_by_no_job_again(ready, monkeypatch):
    """Weights of 13 GB would take each job a quarter of a minute."""
    planned, read = job(), []
    contents.contents(["data.csv"])  # as the run that plans has seen it
    for module in (contents, seal):
        monkeypatch.setattr(module, "md5", lambda path: read.append(str(path)) or md5(path))
    seal.begin(planned, Path("job.json"))
    assert read == ["code.py"]
    put("data.csv", "b")
    with pytest.raises(seal.ChangedError, match=r"data\.csv"):
        seal.begin(planned, Path("job.json"))


def test_a_job_does_not_begin_on_an_artifact_of_another_recipe(ready):
    planned = job()
    planned["inputs"]["input"][0]["recipe"] = "another"
    with pytest.raises(seal.ChangedError, match="in/a"):
        seal.begin(planned, Path("job.json"))


def test_comments_of_a_module_may_change(ready):
    from freshness.syntax import syntax_digest

    planned = job()
    planned["recipe"]["code"]["code.py"] = syntax_digest(Path("code.py"))
    put("code.py", "x = 1  # why")
    seal.begin(planned, Path("job.json"))


@pytest.mark.parametrize("put_back", [False, True])
@pytest.mark.parametrize("path", ["data.csv", "code.py", "in/a"])
def test_nothing_is_sealed_that_was_made_while_its_inputs_were_edited(ready, path, put_back):
    planned, before = job(), Path(path).read_text()
    seal.begin(planned, Path("job.json"))
    make()
    time.sleep(0.01)
    put(path, "edited")
    if put_back:
        put(path, before)
    with pytest.raises(seal.ChangedError, match=f"{path} was written to"):
        seal.seal(planned, Path("job.json"))
    assert not Path("made/x.recipe").exists()


def test_a_new_link_to_an_artifact_is_no_edit(ready):
    seal.begin(job(), Path("job.json"))
    make()
    os.link("in/a", "elsewhere")
    seal.seal(job(), Path("job.json"))


def test_an_output_that_was_not_made_is_not_sealed(ready):
    seal.begin(job(), Path("job.json"))
    put("made/x")
    with pytest.raises(seal.ChangedError, match="made/y was not made"):
        seal.seal(job(), Path("job.json"))


# Brought back


def recalled(name):
    """What the cache has of a recipe, by a look at its index now."""
    return list(cached.recalled(Path("cache"), name, cached.remembered(Path("cache"))))


def cache(path):
    target = cached.object_path(Path("cache"), md5(Path(path)))
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(Path(path).read_bytes())
    return target


def test_what_comes_back_is_whole_and_verified_or_does_not_come(ready):
    seal.begin(job(), Path("job.json"))
    make()
    seal.seal(job(), Path("job.json"))
    name = seal.name(job()["recipe"])
    assert not recalled(name), "its bytes are not in the cache"
    spoilt = cache("made/x")
    cache("made/y/one")
    (sealed,) = recalled(name)
    other = {"states": "new/x", "adapters": "new/y"}  # under another name
    paths = {key: seal.path_of(key, other) for key in sealed["bytes"]}
    spoilt.write_text("spoilt")
    assert not cached.bring_back(cached.Cache(Path("cache"), []), sealed, paths, other.values())
    assert not Path("new/x").exists()
    assert not spoilt.exists(), "or DVC would take it for what its name says"
    cache("made/x")
    put("new/y/old", "of another recipe")
    assert cached.bring_back(cached.Cache(Path("cache"), []), sealed, paths, other.values())
    assert Path("new/x").read_text() == "content"
    assert [path.name for path in Path("new/y").iterdir()] == ["one"]


def test_forgetting_takes_what_was_made_from_it_too(here):
    empty = {**RECIPE, "bytes": {}, "made_from": {}}
    for name, inputs in (("a", {}), ("b", {"x": ["a"]}), ("c", {"y": ["z", "b"]}), ("other", {"x": ["z"]})):
        cached.remember(Path("cache"), name, {**empty, "inputs": inputs})
    assert cached.forget(Path("cache"), {"a"}) == {"a", "b", "c"}
    assert [path.name.split("-")[0] for path in Path("cache/recipes").glob("*/*.json")] == ["other"]


def noted_of_nothing(**changes):
    """What a recipe gave whose only file is empty, as the cache has it."""
    put("empty")
    cache("empty")
    return {**RECIPE, "bytes": {"states": NOTHING}, "made_from": {}, **changes}


def test_an_entry_of_another_form_or_name_brings_nothing_back(here):
    sealed, name = noted_of_nothing(), seal.name(RECIPE)
    cached.remember(Path("cache"), name, sealed)
    assert recalled(name) == [sealed]
    cached.remember(Path("cache"), name, {**sealed, "params": {"other": 1}})
    put(f"cache/recipes/{name[:2]}/{name}-1.json", '{"x": 1}')
    assert recalled(name) == [sealed]
    path = Path(f"cache/recipes/{name[:2]}/{name}-2.json")
    for changes in (
        *({"bytes": some} for some in ({}, {"states": 5}, {"states": None}, {"states": "xx/tmp/victim"}, [])),
        *({"bytes": {key: NOTHING}} for key in ("../states", "states//x", "/states", "a\0b")),
        *({"made_from": some} for some in (None, {"x": None}, {"x": [1]}, {"x": "y"})),
        *({"inputs": some} for some in ([1], {"x": 1}, {"x": [{}]})),
        *({"accepted": some} for some in ([], [1], {"torch": 2.0}, None)),
        {"code": {"x.py": 1}},
        {"libraries": {"torch": []}},
    ):
        write(path, {**sealed, **changes})
        assert load_sealed(path) is None or not changes.get("bytes", True), changes
        assert recalled(name) == [sealed], changes
    path.write_text("[" * 200_000)
    assert load_sealed(path) is None


def test_an_object_that_cannot_be_read_brings_nothing_back_and_is_left(here, monkeypatch):
    sealed = noted_of_nothing()

    def refused(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(cached, "md5", refused)
    given = {"states": "made/x"}
    assert not cached.bring_back(cached.Cache(Path("cache"), []), sealed, given, given.values())
    assert cached.object_path(Path("cache"), NOTHING).exists()
    assert not Path("made/x").exists()


def test_a_note_is_the_newest_once_more_only_if_it_was_made_again(here):
    sealed, other = noted_of_nothing(), noted_of_nothing(accepted={"torch": "2.0"})
    name = seal.name(RECIPE)
    for number, one in enumerate([sealed, other]):
        cached.remember(Path("cache"), name, one)
        (entry,) = [path for path in Path("cache/recipes").glob("*/*.json") if load_sealed(path) == one]
        os.utime(entry, (number, number))
    cached.remember(Path("cache"), name, sealed, again=False)
    assert recalled(name) == [other, sealed]
    cached.remember(Path("cache"), name, sealed)
    assert recalled(name) == [sealed, other]


def test_another_users_note_is_written_anew_and_may_be_read_by_the_group(here, monkeypatch):
    Path("cache").mkdir()
    Path("cache").chmod(0o2770)
    sealed, name = noted_of_nothing(), seal.name(RECIPE)
    before = os.umask(0o077)
    cached.remember(Path("cache"), name, sealed)
    os.umask(before)
    (entry,) = Path("cache/recipes").glob("*/*.json")
    assert entry.stat().st_mode & 0o777 == 0o660

    def refused(path):
        raise PermissionError

    number = entry.stat().st_ino
    monkeypatch.setattr(cached.os, "utime", refused)
    cached.remember(Path("cache"), name, sealed, again=False)
    assert entry.stat().st_ino == number
    cached.remember(Path("cache"), name, sealed)
    assert entry.stat().st_ino != number
    assert load_sealed(entry) == sealed


def test_what_could_not_be_written_leaves_nothing_behind(here):
    Path("x.json").mkdir()
    with pytest.raises(OSError, match="directory"):
        write(Path("x.json"), {})
    assert [path.name for path in here.iterdir()] == ["x.json"]


@pytest.mark.parametrize("entry", [5, {}, {"identity": [1]}, None])
def test_what_was_seen_in_another_form_is_read_anew(here, entry):
    put("x", "a")
    memory = contents.SEEN / f"{contents.digest(['x'])}.json"
    write(memory, {"x": entry})
    assert contents.contents(["x"]) == {"x": md5(Path("x"))}


def test_a_list_that_is_not_whole_is_none(here):
    files = {"a/b": NOTHING, "c": NOTHING}
    name, kept = contents.folder_digest(files), Path("kept")
    kept.write_bytes(contents.listed(files))
    assert contents.list_in(kept, name) == files
    kept.write_bytes(contents.listed(files)[:-5])
    assert contents.list_in(kept, name) is None
    assert contents.list_in(Path("nowhere"), name) is None
    kept.write_text("[1]")
    assert contents.list_in(kept, md5(kept) + ".dir") is None


def test_what_one_recipe_gave_twice_is_noted_twice_the_last_first(here):
    name = seal.name(RECIPE)
    one, other = (noted_of_nothing(made_from={"x": [word]}) for word in ("one", "other"))
    for number, sealed in enumerate([one, other, one]):
        cached.remember(Path("cache"), name, sealed)
        for entry in Path("cache/recipes").glob("*/*.json"):
            if entry.stat().st_mtime > 100:
                os.utime(entry, (number, number))
    assert recalled(name) == [one, other]


def test_a_cache_that_cannot_be_written_stops_no_job(here):
    put("cache", "a file")
    cached.remember(Path("cache"), "abc", {"made_from": {}})


# Folders


def sealed_at(path, outputs):
    put(seal.recipe_path(path), json.dumps({**RECIPE, "bytes": outputs, "made_from": {}}))


def test_ours_and_others_files_are_told_apart(here):
    for path in (
        "made/a/x",
        "made/b/y",
        "made/f/in/z",
        "made/f/.snakemake_timestamp",
        "made/a/.x.77.tmp",
        "made/.f.7.tmp/in",
    ):
        put(path)
    for path in ("made/notes.txt", "made/f/mine.csv", "made/b/mine", "made/.mine.1.tmp"):
        put(path, "mine")
    sealed_at("made/a/x", {"states": NOTHING})
    sealed_at("made/b/y", {"states": NOTHING})
    sealed_at("made/f", {"adapters/in/z": NOTHING})
    jobs = [{"states": "made/a/x"}, {"adapters": "made/f"}]
    found = folders.sort_out("made", jobs)
    assert set(map(str, found.orphans)) == {"made/b/y", "made/b/y.recipe", "made/a/.x.77.tmp", "made/.f.7.tmp/in"}
    assert set(map(str, found.foreign)) == {"made/notes.txt", "made/f/mine.csv", "made/b/mine", "made/.mine.1.tmp"}
    put("aside/made/notes.txt", "older")
    folders.move_aside(found.foreign)
    assert Path("aside/made/notes.txt").read_text() == "older"
    assert Path("aside/made/notes.txt.1").read_text() == "mine"
    folders.tidy("made", jobs)
    left = {path.relative_to(here).as_posix() for path in Path(here, "made").rglob("*") if path.is_file()}
    assert left == {"made/a/x", "made/a/x.recipe", "made/f/in/z", "made/f/.snakemake_timestamp", "made/f.recipe"}
    assert not Path("made/b").exists()


def test_a_folder_that_was_not_sealed_is_all_ours(here):
    put("made/f/half")
    assert folders.sort_out("made", [{"adapters": "made/f"}]) == ([], [])


def test_artifacts_of_the_future_are_dated_now(here):
    put("made/x")
    put("made/f/.snakemake_timestamp")
    late = time.time() + 1e6
    for path in ("made/x", "made/f", "made/f/.snakemake_timestamp"):
        os.utime(path, (late, late))
    folders.date_back(["made/x", "made/f", "made/none"])
    assert all(
        Path(path).stat().st_mtime <= time.time() for path in ("made/x", "made/f", "made/f/.snakemake_timestamp")
    )


def test_a_file_that_comes_into_a_models_folder_is_noticed(ready, tmp_path):
    put("model/config.json", "{}")
    one = job(folders=["model"])
    one["files"] |= {"model/config.json": md5(Path("model/config.json"))}
    planned = tmp_path / "job.json"
    seal.begin(one, planned)
    put("made/x", "states")
    put("made/y/a", "adapter")
    put("model/model.safetensors", "other weights")  # which loading would take before those of an index
    with pytest.raises(seal.ChangedError, match=r"not sealed: model/model.safetensors came while the job ran"):
        seal.seal(one, planned)
    with pytest.raises(seal.ChangedError, match=r"not started: model/model.safetensors"):
        seal.begin(one, planned)
    Path("model/model.safetensors").unlink()
    seal.seal(one, planned)


def test_a_module_that_is_half_edited_is_named(ready, tmp_path):
    planned = job()
    put("code.py", "def x(:")
    with pytest.raises(seal.ChangedError, match=r"not started: code.py is not what it was"):
        seal.begin(planned, tmp_path / "job.json")
