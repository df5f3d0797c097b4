import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from workflow_scripts.lib.datasets import normalised, prepare
from workflow_scripts.lib.readers import DataError
from workflow_scripts.lib.sources import LocalDataset, WorldDataset

ROWS = [("fine  film", "1"), ("dull", "0"), ("Fine film", "1"), ("lovely", "1"), ('so "so"', "0")]


def local(pool, queries, format="csv", **more):
    settings = {
        "labels": {"0": "negative", "1": "positive"},
        "template": {"query": "Review: {text}\nSentiment:"},
        **more,
    }
    return LocalDataset(source="local", pool=pool, queries=queries, format=format, **settings)


def write(path, rows, form):
    if form == "csv":
        quoted = [(text.replace('"', '""'), label) for text, label in rows]
        path.write_text("text,label\n" + "".join(f'"{text}",{label}\n' for text, label in quoted))
    elif form == "tsv":
        path.write_text("".join(f"{text}\t{label}\n" for text, label in rows))
    elif form == "jsonl":
        path.write_text("".join(json.dumps({"text": text, "label": int(label)}) + "\n" for text, label in rows))
    elif form == "parquet":
        pq.write_table(pa.table({"text": [r[0] for r in rows], "label": [int(r[1]) for r in rows]}), path)
    else:
        path.write_text("".join(f"{label} {text}\n" for text, label in rows))
    return path


@pytest.fixture(params=["csv", "tsv", "jsonl", "parquet", "labelled-lines"])
def source(request, tmp_path):
    pool = write(tmp_path / "pool", ROWS, request.param)
    queries = write(tmp_path / "queries", [("DULL", "0"), ("new", "1"), ("new", "1")], request.param)
    columns = {"columns": ["text", "label"]} if request.param == "tsv" else {}
    return local(pool, queries, request.param, **columns)


def test_every_format_gives_the_same_examples(source):
    prepared = prepare(source, pool=None, queries=2, key="0/d")
    assert [(one.fields["text"], one.label) for one in prepared.pool] == [
        ("fine  film", "positive"),
        ("lovely", "positive"),
        ('so "so"', "negative"),
    ]
    assert [one.fields["text"] for one in prepared.queries] == ["DULL", "new"]
    assert prepared.removed == {"repeated queries": 1, "repeated in the pool": 1, "pool texts that are queries": 1}


def test_cuts_depend_on_their_key_alone(source):
    cut = [prepare(source, pool=2, queries=1, key=key) for key in ("0/d", "0/d", "1/d", "2/d", "3/d")]
    assert cut[0] == cut[1]
    assert len({str(one) for one in cut}) > 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"labels": {"0": "negative", "2": "positive"}},
            r"labels outside the declared set: '1' \(3 rows\).*declares 0, 2",
        ),
        ({"template": {"query": "{review} is"}}, "rows lack review .*columns are text, label"),
        ({"label_column": "class"}, "rows lack class"),
        ({"columns": ["a", "b", "c"]}, "pool:1: has 2 columns, not the 3"),
        ({"encoding": "ascii"}, "is not ascii"),
        ({"format": "jsonl"}, "pool:1: is not JSON"),
        ({"format": "parquet"}, "not a whole Parquet file"),
    ],
)
def test_unusable_files_say_what_and_where(tmp_path, change, message):
    pool = write(tmp_path / "pool", [*ROWS, ("façade", "0")], "csv")
    with pytest.raises(DataError, match=message):
        prepare(local(pool, pool, **change), pool=None, queries=1, key="0/d")


def test_missing_and_empty_files(tmp_path):
    with pytest.raises(DataError, match="no such file"):
        prepare(local(tmp_path / "no", tmp_path / "no"), pool=None, queries=1, key="0/d")
    (tmp_path / "empty").write_text("text,label\n")
    with pytest.raises(DataError, match="holds no rows"):
        prepare(local(tmp_path / "empty", tmp_path / "empty"), pool=None, queries=1, key="0/d")


def test_too_few_queries_and_labels_mapped_to_null(tmp_path):
    pool, queries = write(tmp_path / "p", ROWS, "csv"), write(tmp_path / "q", [("a", "0"), ("b", "2")], "csv")
    labels = {"0": "negative", "1": "positive", "2": None}
    prepared = prepare(local(pool, queries, labels=labels), pool=None, queries=1, key="0/d")
    assert [one.fields["text"] for one in prepared.queries] == ["a"]
    with pytest.raises(DataError, match="has 1 different queries where `queries` asks for 5"):
        prepare(local(pool, queries, labels=labels), pool=None, queries=5, key="0/d")


def test_world_data_is_disjoint_and_of_the_size_asked():
    prepared = prepare(WorldDataset(source="world", task="topic"), pool=60, queries=30, key="0/topic")
    texts = [normalised(one) for one in prepared.pool + prepared.queries]
    assert (len(prepared.pool), len(prepared.queries), len(set(texts))) == (60, 30, 90)


@pytest.mark.parametrize(
    ("folder", "settings", "overlap"),
    [
        (
            "sst2",
            {"pool": "stsa.binary.train", "queries": "stsa.binary.test", "format": "labelled-lines"},
            2,
        ),
        (
            "agnews",
            {
                "pool": "train.tsv",
                "queries": "test.tsv",
                "format": "tsv",
                "columns": ["text", "label"],
                "labels": {"World": "world", "Sports": "sports", "Business": "business", "Sci/Tech": "science"},
            },
            8,
        ),
    ],
)
def test_official_splits_overlap_and_are_parted(outside, folder, settings, overlap):
    where = outside(f"data/{folder}")
    paths = {split: where / settings[split] for split in ("pool", "queries")}
    prepared = prepare(local(**{**settings, **paths}), pool=None, queries=500, key="0/d")
    assert prepared.removed["pool texts that are queries"] >= overlap
    assert not {normalised(one) for one in prepared.pool} & {normalised(one) for one in prepared.queries}
