import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from workflow_scripts.lib.data.datasets import prepare
from workflow_scripts.lib.data.parting import normalised
from workflow_scripts.lib.data.rows import DataError
from workflow_scripts.lib.data.sources import LocalDataset, WorldDataset

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
    prepared = prepare(source, pool=None, queries=2, seed=0)
    assert [(one.fields["text"], one.label) for one in prepared.examples.pool] == [
        ("fine  film", "positive"),
        ("lovely", "positive"),
        ('so "so"', "negative"),
    ]
    assert [one.fields["text"] for one in prepared.examples.queries] == ["DULL", "new"]
    found = {reason: count for reason, count in prepared.summary.removed.items() if count}
    assert found == {"repeated in the queries": 1, "repeated in the pool": 1, "in the pool that are nearly queries": 1}


def test_cuts_depend_on_their_seed_alone(source):
    cut = [prepare(source, pool=2, queries=1, seed=seed) for seed in (0, 0, 1, 2, 3)]
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
        ({"encoding": "latin-1"}, "is utf-8, and `encoding` says latin-1"),
        ({"format": "jsonl"}, "pool:1: is not JSON"),
        ({"format": "parquet"}, "not a whole Parquet file"),
    ],
)
def test_unusable_files_say_what_and_where(tmp_path, change, message):
    pool = write(tmp_path / "pool", [*ROWS, ("façade", "0")], "csv")
    with pytest.raises(DataError, match=message):
        prepare(local(pool, pool, **change), pool=None, queries=1, seed=0)


def test_missing_and_empty_files(tmp_path):
    with pytest.raises(DataError, match="no such file"):
        prepare(local(tmp_path / "no", tmp_path / "no"), pool=None, queries=1, seed=0)
    (tmp_path / "empty").write_text("text,label\n")
    with pytest.raises(DataError, match="holds no rows"):
        prepare(local(tmp_path / "empty", tmp_path / "empty"), pool=None, queries=1, seed=0)


def test_too_few_queries_and_labels_mapped_to_null(tmp_path):
    pool, queries = write(tmp_path / "p", ROWS, "csv"), write(tmp_path / "q", [("a", "0"), ("b", "2")], "csv")
    labels = {"0": "negative", "1": "positive", "2": None}
    prepared = prepare(local(pool, queries, labels=labels), pool=None, queries=1, seed=0)
    assert [one.fields["text"] for one in prepared.examples.queries] == ["a"]
    with pytest.raises(DataError, match="has 1 different queries where `queries` asks for 5"):
        prepare(local(pool, queries, labels=labels), pool=None, queries=5, seed=0)


def test_a_pool_that_is_all_queries_says_so_and_not_to_lower_the_shots(tmp_path):
    path = write(tmp_path / "all", ROWS, "csv")
    with pytest.raises(DataError, match=r"no example is left for the pool: all 4 .*`file: .*`queries: 0.2`") as caught:
        prepare(local(path, path), pool=None, queries=1, seed=0)
    assert "shots" not in str(caught.value)


def test_the_summary_accounts_for_every_row(tmp_path):
    pool, queries = write(tmp_path / "p", ROWS, "csv"), write(tmp_path / "q", [("dull!", "0"), ("b", "2")], "csv")
    labels = {"0": "negative", "1": "positive", "2": None}
    summary = prepare(local(pool, queries, labels=labels), pool=2, queries=1, seed=0).summary
    assert summary.read == {str(pool): 5, str(queries): 2}
    kept = sum(sum(some.values()) for some in summary.labels.values())
    assert sum(summary.read.values()) == kept + sum(summary.removed.values()) == 7
    removed = ["1 with a label mapped to null", "1 repeated in the pool", "1 in the pool that are nearly queries"]
    assert summary.lines()[1] == f"removed: {', '.join(removed)}, 1 beyond the size of the pool"
    assert summary.labels["queries"] == {"negative": 1, "positive": 0}


def test_equal_texts_with_contradicting_labels_are_counted_and_the_first_label_wins(tmp_path):
    rows = [("a", "0"), ("A", "1"), ("a", "0"), ("b", "1"), ("b", "0"), ("b", "0")]
    pool = write(tmp_path / "p", rows, "csv")
    queries = write(tmp_path / "q", [("c", "1"), ("c", "0"), ("d", "0")], "csv")
    two = prepare(local(pool, queries), pool=None, queries=2, seed=0)
    assert {one.fields["text"]: one.label for one in two.examples.pool} == {"a": "negative", "b": "positive"}
    assert two.summary.lines()[1] == (
        "removed: 1 repeated in the queries with another label than the first, 1 repeated in the pool, "
        "3 repeated in the pool with another label than the first"
    )
    every = write(tmp_path / "all", [*rows, ("e", "0"), ("f", "1")], "csv")
    one = prepare(local(None, 1, file=every), pool=None, queries=1, seed=0)
    assert one.summary.lines()[1] == "removed: 1 repeated, 3 repeated with another label than the first"


def test_the_summary_names_the_longest_text(tmp_path):
    path = write(tmp_path / "all", [("a", "0"), ("b" * 1200, "1"), ("c", "0"), ("d", "1")], "csv")
    made = prepare(local(None, 2, file=path), pool=None, queries=2, seed=0)
    assert made.summary.lines()[0] == f"rows read: 4 of {path}"
    assert made.summary.lines()[-1].startswith("longest text: 1,200 characters (")
    assert made.summary.lines()[-1].endswith("-000001)")


def test_labels_that_the_pool_or_the_queries_lack_are_noted_also_where_the_cut_took_them(tmp_path):
    path = write(tmp_path / "all", [(f"text {i}", str(i % 2)) for i in range(20)], "csv")
    every = local(None, 10, file=path)
    assert prepare(every, pool=None, queries=10, seed=0).summary.notes() == []
    cut = prepare(every, pool=1, queries=10, seed=0)
    kept = cut.examples.pool[0].label
    lacking = "positive" if kept == "negative" else "negative"
    assert cut.summary.notes() == [f"pool: none of the 1 examples has label {lacking}"]
    third = local(None, 10, file=path, labels={"0": "negative", "1": "positive", "2": "mixed", "3": None})
    assert [note[-5:] for note in prepare(third, pool=None, queries=10, seed=0).summary.notes()] == ["mixed"] * 2


def test_world_data_is_disjoint_and_of_the_size_asked():
    prepared = prepare(WorldDataset(source="world", task="topic"), pool=60, queries=30, seed=0)
    texts = [normalised(one) for one in prepared.examples.pool + prepared.examples.queries]
    assert (len(prepared.examples.pool), len(prepared.examples.queries), len(set(texts))) == (60, 30, 90)


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
    prepared = prepare(local(**{**settings, **paths}), pool=None, queries=500, seed=0)
    assert prepared.summary.removed["in the pool that are nearly queries"] >= overlap
    assert not {normalised(one) for one in prepared.examples.pool} & {
        normalised(one) for one in prepared.examples.queries
    }
