import pyarrow as pa
import pytest

from workflow_scripts.lib.artifacts.tables import ArtifactError, read_origin, read_table, whole, write_table

TABLE = pa.table({"a": [1, 2, 3]})


def test_a_job_that_dies_leaves_what_was_there(tmp_path):
    target = tmp_path / "folder" / "a.txt"
    with whole(target) as temporary:
        temporary.write_text("first")
    with pytest.raises(ZeroDivisionError):  # noqa: PT012, SIM117 - the block must have begun to write
        with whole(target) as temporary:
            temporary.write_text("half")
            assert 1 / 0
    assert target.read_text() == "first"
    assert [path.name for path in target.parent.iterdir()] == ["a.txt"]


def test_a_folder_is_replaced_as_a_whole(tmp_path):
    for names in (["a", "b"], ["c"]):
        with whole(tmp_path / "made") as temporary:
            temporary.mkdir()
            for name in names:
                (temporary / name).write_text(name)
    assert [path.name for path in (tmp_path / "made").iterdir()] == ["c"]


def test_origin_is_read_back_and_bytes_are_equal(tmp_path):
    for name in ("a", "b"):
        write_table(TABLE, tmp_path / name, {"stage": "x", "settings": {"k": 1}})
    assert read_origin(tmp_path / "a") == {"stage": "x", "settings": {"k": 1}}
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_missing_and_damaged_files_say_what_to_do(tmp_path):
    with pytest.raises(ArtifactError, match="missing; `snakemake"):
        read_table(tmp_path / "no")
    write_table(TABLE, tmp_path / "a", {})
    (tmp_path / "a").write_bytes((tmp_path / "a").read_bytes()[:-5])
    with pytest.raises(ArtifactError, match=r"cannot be read.*delete it"):
        read_table(tmp_path / "a")
