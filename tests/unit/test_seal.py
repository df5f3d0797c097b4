import os

from rules import seal


def test_files_from_elsewhere_are_read_and_nothing_is_written_beside_them(tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    (tmp_path / "there").mkdir()
    data = tmp_path / "there" / "data.csv"
    data.write_text("a")
    monkeypatch.chdir(tmp_path / "here")
    for path in (str(data), "../there/data.csv"):
        assert seal.contents([path]) == {path: seal.md5(data)}
    assert [path.name for path in data.parent.iterdir()] == ["data.csv"]


def test_bytes_are_read_again_only_when_the_file_changed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "x"
    path.write_text("a")
    before = seal.contents(["x"])
    read = []
    monkeypatch.setattr(seal, "md5", lambda path: read.append(path) or "new")
    assert seal.contents(["x"]) == before
    assert not read
    keep = path.stat()
    path.write_text("b")
    os.utime(path, ns=(keep.st_atime_ns, keep.st_mtime_ns))  # the same size and time: its change time tells
    assert seal.contents(["x"]) == {"x": "new"}


def test_what_is_no_longer_of_the_study_is_removed_and_nothing_else(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    kept = ["made/a/x.parquet", "made/folder"]
    for name in (
        "a/x.parquet",
        "b/y.parquet",
        "folder/inside/z",
        "folder/.snakemake_timestamp",
        "old/.snakemake_timestamp",
    ):
        (tmp_path / "made" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "made" / name).write_text("")
    seal.tidy("made", kept)
    left = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file())
    assert left == ["made/a/x.parquet", "made/folder/.snakemake_timestamp", "made/folder/inside/z"]


def test_a_restore_is_whole_and_verified_or_does_not_happen(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cache = tmp_path / "cache/files/md5"
    monkeypatch.setattr(seal.subprocess, "run", lambda *a, **k: type("Done", (), {"stdout": str(tmp_path / "cache")}))
    recipe = {"output": "made/x", "code": {}, "params": {}, "inputs": {}}
    (tmp_path / "made").mkdir()
    (tmp_path / "made/x").write_text("content")
    seal.seal(recipe, ["made/x"])
    digest = seal.md5(tmp_path / "made/x")
    (cache / digest[:2]).mkdir(parents=True)
    (cache / digest[:2] / digest[2:]).write_text("content, spoilt")
    (tmp_path / "made/x").unlink()
    assert not seal.restore(recipe, ["made/x"])
    assert not (tmp_path / "made/x").exists()
    (cache / digest[:2] / digest[2:]).write_text("content")
    assert seal.restore(recipe, ["made/x"])
    assert (tmp_path / "made/x").read_text() == "content"
    assert not seal.restore({**recipe, "params": {"other": 1}}, ["made/x"])
