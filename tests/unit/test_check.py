"""An exported study is checked by what its sums, its recipes and its crate say."""

import hashlib
import json

import pytest

from freshness import contents, seal
from sharing import check, crate


def sums(folder):
    """Write what check.py goes by, as an export does, of whatever is there."""
    lines = [f"{sha}  {path}\n" for path, (sha, _) in check.digests(folder).items()]
    (folder / check.SUMS).write_text("".join(lines))


def sealed(folder, recipe, outputs, **more):
    """Seal files of a folder as a job does."""
    bytes_ = {key: hashlib.md5((folder / path).read_bytes()).hexdigest() for key, path in outputs.items()}
    return (
        {"libraries": {"numpy": "2.4"}, "params": {}, "made_from": {}, "inputs": {}} | recipe | {"bytes": bytes_} | more
    )


@pytest.fixture
def exported(tmp_path):
    """A study of two jobs: sets, and adapters in a folder, that are made from them."""
    files = {"artifacts/sets/a.parquet": "sets", "artifacts/tune/b/x.bin": "x", "artifacts/tune/b/y.bin": "y"}
    files |= {"code/workflow_scripts/sets.py": "", "code/workflow_scripts/tune.py": "", "with space.txt": ""}
    for path, text in files.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    first = sealed(
        tmp_path, {"code": {"c": "1"}, "inputs": {"data": ["words.csv 0a"]}}, {"sets": "artifacts/sets/a.parquet"}
    )
    inside = {"adapters/x.bin": "artifacts/tune/b/x.bin", "adapters/y.bin": "artifacts/tune/b/y.bin"}
    made_from = {"inputs": {"sets": [seal.name(first)]}, "made_from": {"sets": [seal.part(first, "sets")]}}
    second = sealed(tmp_path, {"code": {"c": "2"}, "params": {"r": 8}, **made_from}, inside)
    jobs = [
        crate.Job("artifacts/sets/a.parquet.recipe", first, {"sets": "artifacts/sets/a.parquet"}),
        crate.Job("artifacts/tune/b.recipe", second, {"adapters": "artifacts/tune/b/"}),
    ]
    for job in jobs:
        (tmp_path / job.path).write_text(json.dumps(job.recipe))
    study = crate.Study("Title", "Words", "2026-01-01T00:00:00+00:00", "0" * 40)
    (tmp_path / check.CRATE).write_text(json.dumps(crate.metadata(study, tmp_path, jobs)))
    sums(tmp_path)
    return tmp_path


def graph(folder):
    return {entity["@id"]: entity for entity in json.loads((folder / check.CRATE).read_text())["@graph"]}


def test_names_and_parts_are_those_of_seals():
    recipe = {
        "code": {"ä": 1},
        "libraries": {},
        "params": {"r": 8.5},
        "inputs": {},
        "bytes": {"x/a": "1", "x/b": "2", "y": "3"},
    }
    assert check.name(recipe) == seal.name(recipe)
    assert check.parts(recipe) == {seal.part(recipe, "x"), seal.part(recipe, "y")}
    assert check.PARTS == contents.PARTS


def test_the_crate_says_what_was_made_from_what(exported):
    assert list(check.faults(exported)) == []
    found = graph(exported)
    assert found["ro-crate-metadata.json"]["conformsTo"] == {"@id": "https://w3id.org/ro/crate/1.1"}
    action = found["#artifacts/tune/b.recipe"]
    assert action["result"] == [{"@id": "artifacts/tune/b/"}]
    assert {"@id": "artifacts/sets/a.parquet"} in action["object"]
    assert ("r", 8) in {(found[one["@id"]]["name"], found[one["@id"]].get("value")) for one in action["object"]}
    assert {"@id": "#numpy-2.4"} in action["instrument"]
    assert found["#outside-0a"]["name"] == "words.csv"
    for entity in found.values():  # what is referred to is there
        references = [one for value in entity.values() for one in (value if isinstance(value, list) else [value])]
        ids = {one["@id"] for one in references if isinstance(one, dict)}
        assert ids - {"https://w3id.org/ro/crate/1.1"} <= found.keys()


def test_every_file_is_part_of_the_root(exported):
    found, reached, waiting = graph(exported), set(), ["./"]
    while waiting:
        one = waiting.pop()
        reached.add(one)
        waiting += [part["@id"] for part in found[one].get("hasPart", [])]
    assert {name for name, entity in found.items() if "File" in entity["@type"]} <= reached


@pytest.mark.parametrize(
    ("harm", "told"),
    [
        (lambda top: (top / "artifacts/tune/b/x.bin").write_text("z"), "artifacts/tune/b/x.bin: altered"),
        (lambda top: (top / "artifacts/tune/b/x.bin").unlink(), "artifacts/tune/b/x.bin: missing"),
        (lambda top: (top / "artifacts/tune/b/z.bin").write_text(""), "artifacts/tune/b/z.bin: not of the export"),
        (lambda top: (top / check.CRATE).write_text("{"), "one is not whole"),
        (lambda top: (top / check.CRATE).write_text('{"@graph": [{"@id": "a"}]}'), f"{check.CRATE}: altered"),
        (lambda top: (top / "artifacts/tune/b.recipe").write_text("{}"), "artifacts/tune/b.recipe: altered"),
    ],
    ids=["altered", "missing", "added", "crate", "graph", "recipe"],
)
def test_harm_is_found(exported, harm, told):
    harm(exported)
    assert told in "\n".join(check.faults(exported))


def test_sums_that_were_written_anew_do_not_hide_another_artifact(exported):
    (exported / "artifacts/tune/b/x.bin").write_text("z")
    sums(exported)
    assert list(check.faults(exported)) == ["artifacts/tune/b.recipe: what it sealed is not what is here"]


def test_nor_do_recipes_that_were_sealed_anew_hide_what_was_made_from_another(exported):
    path = exported / "artifacts/sets/a.parquet.recipe"
    (exported / "artifacts/sets/a.parquet").write_text("others")
    recipe = json.loads(path.read_text()) | {"bytes": {"sets": hashlib.md5(b"others").hexdigest()}}
    path.write_text(json.dumps(recipe))
    sums(exported)
    assert list(check.faults(exported)) == ["artifacts/tune/b.recipe: made from another sets than is here"]


def test_nor_an_artifact_without_recipe(exported):
    (exported / "artifacts/tune/b.recipe").unlink()
    sums(exported)
    assert "artifacts/tune/b/x.bin: no recipe has sealed it" in list(check.faults(exported))
