"""What files of data hold, and which of them are refused: every text is right, or there is one line that says why."""

import bz2
import csv
import gzip
import io
import lzma
import re
import tarfile

import pandas as pd
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq
import pytest

from workflow_scripts.lib.data.datasets import prepare
from workflow_scripts.lib.data.labelled import labelled
from workflow_scripts.lib.data.readers import read_files, read_hub
from workflow_scripts.lib.data.rows import DataError
from workflow_scripts.lib.data.sources import HubDataset, LocalDataset

HEAD = b"text,label\n"
NAMED = {"columns": ["text", "label"]}


def gz(content):
    """The same bytes at any time of day: they are in the names of tests, on which processes must agree."""
    return gzip.compress(content, mtime=0)


def source(path, format="csv", **more):
    settings = {"labels": {"0": "negative", "1": "positive"}, "template": {"query": "{text}:"}, **more}
    return LocalDataset(source="local", file=path, queries=1, format=format, **settings)


def read(path, format="csv", **more):
    """(text, label word) of every row."""
    settings = source(path, format, **more)
    made = labelled(read_files(settings.file, settings), settings, "it").examples
    return [(one.fields["text"], one.label) for one in made]


def refused(path, format="csv", **more):
    """The one line that refuses a file."""
    with pytest.raises(DataError) as caught:
        read(path, format, **more)
    assert "\n" not in str(caught.value)
    return str(caught.value).replace(f"{path.parent}/", "")


@pytest.fixture
def put(tmp_path):
    """Writes bytes to a file and gives its path."""

    def write(content, name="data"):
        (tmp_path / name).write_bytes(content)
        return tmp_path / name

    return write


@pytest.mark.parametrize("pack", [gz, bz2.compress, lzma.compress, lambda b: pa.compress(b, "zstd", True)])
@pytest.mark.parametrize("format", ["csv", "jsonl", "parquet"])
def test_packed_files_are_read_by_content_whatever_they_are_called(put, pack, format):
    if format == "parquet":
        sink = io.BytesIO()
        pq.write_table(pa.table({"text": ["fine", "dull"], "label": [1, 0]}), sink)
        content = sink.getvalue()
    else:
        content = (
            HEAD + b"fine,1\ndull,0\n" if format == "csv" else b'{"text":"fine","label":1}\n{"text":"dull","label":0}'
        )
    assert read(put(pack(content)), format) == [("fine", "positive"), ("dull", "negative")]


def test_two_gzip_files_in_a_row_are_one(put):
    assert len(read(put(gz(HEAD + b"a,1\n") + gz(b"b,0\n")))) == 2


def feather():
    sink = io.BytesIO()
    pyarrow.feather.write_feather(pa.table({"text": ["a"], "label": [1]}), sink)
    return sink.getvalue()


def tar():
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("a.csv"), io.BytesIO())
    return sink.getvalue()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (gz(HEAD + b"a,1\n" * 99)[:-9], "data: is packed and cannot be unpacked"),
        (gz(gz(HEAD + b"a,1\n")), "data: is packed twice; unpack it once"),
        (gz(bz2.compress(HEAD + b"a,1\n")), "data: is packed twice; unpack it once"),
        (bz2.compress(gz(HEAD + b"a,1\n")), "data: is packed twice; unpack it once"),
        (pa.compress(HEAD, "lz4", True), "data: is packed by lz4; unpack it"),
        (feather(), "data: is a Feather (Arrow) file; save the table as Parquet"),
        (tar(), "data: is a tar archive; unpack it"),
        (gz(tar()), "data: is a tar archive; unpack it"),
        (b"7z\xbc\xaf\x27\x1c\0\4", "data: is a 7z archive"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "data: is a spreadsheet; save the table as csv"),
        (b"PK\x03\x04...", "data: is a zip archive or a spreadsheet"),
        (b"version https://git-lfs.github.com/spec/v1\noid", "data: is a git-lfs pointer"),
        (b"PAR1....PAR1", "data: is a Parquet file; set `format: parquet`"),
        (b"\xff\xfea\x00b", "data:1: is not utf-16 (truncated data)"),
        (HEAD.decode().encode("utf-16-le") + "a,1".encode("utf-16-le"), "set `encoding`, perhaps utf-16-le"),
        (HEAD.decode().encode("utf-16-be") + "a,1".encode("utf-16-be"), "set `encoding`, perhaps utf-16-be"),
    ],
)
def test_what_is_no_text_is_named(put, content, words):
    assert words in refused(put(content))


def test_a_folder_is_refused_with_the_pattern_that_names_its_files(tmp_path):
    assert "is a folder; name its files by a pattern" in refused(tmp_path)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
@pytest.mark.parametrize("format", ["csv", "tsv", "labelled-lines", "jsonl"])
def test_a_byte_order_mark_tells_the_encoding_and_is_no_text(put, encoding, format):
    texts = {"csv": "né,1", "tsv": "né\t1", "labelled-lines": "1 né", "jsonl": '{"text":"né","label":"1"}'}
    columns = NAMED if format in ("csv", "tsv") else {}
    labels = {"1": "positive", "né": "odd"}
    assert read(put(texts[format].encode(encoding)), format, labels=labels, **columns) == [("né", "positive")]
    first = put("né,1".encode(encoding))
    assert read(first, labels=labels, columns=["label", "text"])[0] == ("1", "odd")


@pytest.mark.parametrize(
    ("format", "texts"),
    [
        ("csv", ("a,1\n", "b,0\n")),
        ("csv", ("a,1\n", '"b",0\n')),
        ("tsv", ("a\t1\n", "b\t0\n")),
        ("labelled-lines", ("1 a\n", "0 b\n")),
    ],
)
def test_a_byte_order_mark_inside_a_file_stays_in_no_text(put, format, texts):
    columns = NAMED if format in ("csv", "tsv") else {}
    path = put("".join(texts).encode("utf-8-sig") + texts[1].encode("utf-8-sig"), "data")
    assert re.search("data:3: `(text|label)` holds a byte-order mark .U[+]FEFF.", refused(path, format, **columns))


def test_a_byte_order_mark_in_cells_of_other_formats(put, tmp_path):
    assert "`text` holds a byte-order mark" in refused(put(b'{"text": "a\\ufeff", "label": 1}'), "jsonl")
    with pytest.raises(DataError, match=r"texts:2: `text` holds a byte-order mark"):
        parallel(put, "a\n\ufeffb\n".encode(), b"1\n0\n")
    pq.write_table(pa.table({"text": ["\ufeffa"], "label": [1]}), tmp_path / "data")
    assert "`text` holds a byte-order mark" in refused(tmp_path / "data", "parquet")


def test_a_second_byte_order_mark_before_a_header_is_shown(put):
    line = refused(put("\ufeff\ufefftext,label\na,1\n".encode()))
    assert r"rows lack text (columns are '\ufefftext', label)" in line


@pytest.mark.parametrize(
    ("text", "written", "said", "words"),
    [
        ("dear,1\ncafé", "latin-1", "utf-8", "data:3: is not utf-8 .*often latin-1"),
        ("€5,1", "cp1252", "utf-8", "data:2: is not utf-8 .*often cp1252"),
        (
            "dear,1\n€5,1",
            "cp1252",
            "latin-1",
            "data:3: the byte 0x80 is a control character in latin-1.*encoding: cp1252",
        ),
        ("€5,1", "utf-8", "cp1252", "is utf-8, and `encoding` says cp1252"),
        ("café,1", "utf-8", "latin-1", "is utf-8, and `encoding` says latin-1"),
        ("cafe,1", "utf-8-sig", "latin-1", "is utf-8, and `encoding` says latin-1"),
    ],
)
def test_a_wrong_encoding_is_refused_with_the_right_one(put, text, written, said, words):
    assert re.search(words, refused(put(("text,label\n" + text).encode(written)), encoding=said))


@pytest.mark.parametrize("encoding", ["utf-16", "UTF_16", "utf-32"])
def test_an_encoding_of_two_byte_orders_needs_the_mark_or_the_order(put, encoding):
    text = "text,label\nné,1\n"
    assert f"data: has no byte-order mark; set `encoding` to utf-{encoding[-2:]}-le or" in refused(
        put(text.encode(f"{encoding}-be")), encoding=encoding
    )
    assert read(put(text.encode(encoding)), encoding=encoding) == [("né", "positive")]


def test_an_encoding_of_names_of_hosts_is_refused_as_others_are(put):
    assert "data: is not punycode (" in refused(put(HEAD + b"a,1\n-!!"), encoding="punycode")


@pytest.mark.parametrize("encoding", ["cp1252", "utf-8", "utf-16-le"])
def test_the_right_encoding_gives_the_right_text(put, encoding):
    assert read(put("text,label\n€5,1".encode(encoding)), encoding=encoding) == [("€5", "positive")]


def csv_of(rows):
    out = io.StringIO()
    csv.writer(out).writerows([("text", "label"), *rows])
    return out.getvalue().encode()


def test_an_unclosed_quote_swallows_no_rows(put):
    rows = [f"film {i},1" for i in range(40)]
    broken = [*rows[:10], '"film ten,1', *rows[10:]]
    assert "data:12: its quotation marks are broken" in refused(put(HEAD + "\n".join(broken).encode()))


@pytest.mark.parametrize(
    "lines", ['"fine,1\ndull,0\nso he said",1', '"fine,1\nso "he said",0\nx,1', '"a,1\nb,0\n1,"c"\nd,0', 'he,1\n"x"y,0']
)
def test_quotes_that_are_lost_are_refused_also_where_another_closes_them(put, lines):
    assert "data:" in (line := refused(put(HEAD + lines.encode())))
    assert "quot" in line or "columns" in line


@pytest.mark.parametrize("irregular", ["", "\n", "1{}an unquoted{}separator\n", "2{}not declared\n"])
@pytest.mark.parametrize(("format", "separator"), [("csv", ","), ("tsv", "\t")])
@pytest.mark.parametrize("last", [6, 34])
def test_two_stray_quotes_swallow_no_rows_whatever_stands_between(put, format, separator, irregular, last):
    mark = '"'
    rows = [f"{i % 2}{separator}{mark * (i == 5)}film {i}{mark * (i == last)}\n" for i in range(41)]
    rows.insert(6, irregular.format(separator, separator))
    path = put(f"label{separator}text\n{''.join(rows)}".encode())
    assert "data:7: a quotation mark that opens here is not closed" in refused(path, format, quotes=True)


LISTS = ["one\ntwo", "one\n\nand two", "it has:\n0, a plot\n2, actors\nand no more"]


def test_line_ends_commas_and_quotes_in_quoted_cells_are_text(put):
    texts = ["one\ntwo", 'so "so", he said', "a,1", "x\r\ny, 0", "1\n0"]
    assert read(put(csv_of([(text, 1) for text in texts]))) == [(text, "positive") for text in texts]
    label_first = "label,text\n" + "".join(f'1,"{text}"\n' for text in LISTS)
    assert [text for text, _ in read(put(label_first.encode()))] == LISTS


def test_a_cell_may_be_longer_than_csvs_own_limit(put):
    assert len(read(put(HEAD + b"a" * 200_000 + b",1"))[0][0]) == 200_000


def test_na_null_and_numbers_are_texts_in_a_csv(put):
    assert [text for text, _ in read(put(HEAD + b"NA,1\nnull,0\n007,1\n1e3,0\nTrue,1\n"))] == [
        "NA",
        "null",
        "007",
        "1e3",
        "True",
    ]


TRICKY = ['"Great" he said', 'he said "no"', '"all of it in quotes"', 'a "" b', "plain", "tab\tin it", "two\nlines"]


@pytest.mark.parametrize("quoting", [csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC])
def test_a_tsv_that_pandas_wrote_gives_its_texts_back(put, tmp_path, quoting):
    frame = pd.DataFrame({"text": TRICKY, "label": [1] * len(TRICKY)})
    for texts in (frame, *(frame.iloc[[i]] for i in range(len(frame)))):
        texts.to_csv(tmp_path / "data", sep="\t", index=False, quoting=quoting)
        assert [text for text, _ in read(tmp_path / "data", "tsv")] == list(texts["text"])


def test_a_tsv_with_bare_quotes_gives_its_texts_as_they_stand(put):
    texts = ['"Great" he said', 'he said "no"', '"all of it in quotes"', 'a "" b', '" PTB style "', '"open', 'close"']
    lines = "".join(f"{text}\t1\n" for text in texts)
    assert [text for text, _ in read(put(lines.encode()), "tsv", **NAMED)] == texts


def test_a_tsv_in_quotes_of_which_one_is_lost_is_not_taken_for_one_with_bare_quotes(put):
    path = put(b'text\tlabel\n"he said ""no"""\t1\nfine\t0\n"lost\t1\ndull\t0\n')
    assert "data:4: its quotation marks are broken" in refused(path, "tsv")


def test_a_tsv_that_can_be_read_in_two_ways_asks(put):
    path = put(b'text\tlabel\nfine\t1\n"all of it in quotes"\t1\n')
    assert "data:3: quotation marks may be part of the text" in refused(path, "tsv")
    assert read(path, "tsv", quotes=False)[1][0] == '"all of it in quotes"'
    assert read(path, "tsv", quotes=True)[1][0] == "all of it in quotes"


def test_quotes_can_be_plain_characters_of_a_csv(put):
    assert read(put(HEAD + b'"Great" he said,1\n"x,0\n'), quotes=False) == [
        ('"Great" he said', "positive"),
        ('"x', "negative"),
    ]


@pytest.mark.parametrize(
    ("content", "format"),
    [(b"text,text,label\na,b,1\n", "csv"), (b'{"text":"a","text":"b","label":1}', "jsonl")],
)
def test_a_column_that_is_there_twice_is_refused(put, content, format):
    assert "the column 'text' is there more than once" in refused(put(content), format)


def test_a_column_that_is_there_twice_in_parquet(tmp_path):
    table = pa.table([["a"], ["b"], [1]], names=["text", "text", "label"])
    pq.write_table(table, tmp_path / "data")
    assert "the column 'text' is there more than once" in refused(tmp_path / "data", "parquet")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (
            '{"text": "\\ud800", "label": 1}',
            "U+D800), which is no character (1 rows are with half a surrogate pair)",
        ),
        ('{"text": null, "label": 1}', "data:2: `text` is null (1 rows are null); mend them, or leave them out"),
        ('{"label": 1}', "data:2: `text` is null"),
        ('{"text": NaN, "label": 1}', "data:2: `text` is null"),
        ('{"text": "  ", "label": 1}', "data:2: `text` is empty"),
        ('{"text": "\\u200b", "label": 1}', "data:2: `text` is empty"),
        ('{"text": ["but", "it"], "label": 1}', "data:2: `text` is a list and no text: ['but', 'it']"),
        ('{"text": {"a": 1}, "label": 1}', "data:2: `text` is a dict and no text"),
        ('{"text": 0.5, "label": 1}', "data:2: `text` is a float and no text: 0.5"),
        ('{"text": true, "label": 1}', "data:2: `text` is a bool and no text"),
        ('{"text": "it\\u0092s", "label": 1}', "data:2: `text` holds the control character U+0092"),
        ('{"text": "a\\u0000b", "label": 1}', "data:2: `text` holds the control character U+0000"),
        ('{"text": "a", "label": null}', "data:2: `label` is null"),
        ('{"text": "a", "label": [1]}', "data:2: `label` is a list"),
        ('{"text": "a", "label": 0.5}', "labels outside the declared set: '0.5' (1 rows)"),
        ('["a", 1]', "data:2: is not a JSON object"),
        ("[" * 100_000, "data:2: is not JSON"),
        ('{"text": "a", "label": 1' + "0" * 5000 + "}", "data:2: is not JSON, one object a line: Exceeds the limit"),
    ],
)
def test_a_cell_that_is_no_text_is_named_by_row_and_column(put, line, words):
    assert words in refused(put(f'{{"text": "a", "label": 1}}\n{line}'.encode()), "jsonl")


@pytest.mark.parametrize("whole", ["[{}, {}]", '{{"0": {}, "1": {}}}'])
def test_json_is_a_list_of_rows_or_an_object_of_them(put, whole):
    rows = '{"text": "fine", "label": 1, "more": [1]}', '{"text": "dull", "label": 0}'
    assert read(put(whole.format(*rows).encode()), "json") == [("fine", "positive"), ("dull", "negative")]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b'{"text": "a"}', "data: is not one list, or one object, of objects; an object a line is format `jsonl`"),
        (b'{"text": "a"}\n{"text": "b"}', "data: is not JSON, one list, or one object, of objects: Extra data"),
        (b'[{"text": "a", "label": 1}, {"text": 0.5, "label": 1}]', "data, row 2: `text` is a float and no text: 0.5"),
        (b'[{"text": "a", "text": "b"}]', "data: the column 'text' is there more than once"),
        (b"[]", "data: holds no rows"),
    ],
)
def test_json_that_is_no_rows_is_refused(put, content, words):
    assert words in refused(put(content), "json")


@pytest.mark.parametrize(
    ("cells", "texts"),
    [
        (pa.array([b"caf\xc3\xa9", b"dull"]), ["café", "dull"]),
        (pa.array(["fine", "dull"]).dictionary_encode(), ["fine", "dull"]),
        (pa.array(["fine", "dull"], pa.large_string()), ["fine", "dull"]),
        (pa.array([1984, 7]), ["1984", "7"]),
    ],
)
def test_cells_of_one_meaning_are_decoded(tmp_path, cells, texts):
    pq.write_table(pa.table({"text": cells, "label": [1, 0]}), tmp_path / "data")
    assert [text for text, _ in read(tmp_path / "data", "parquet")] == texts


@pytest.mark.parametrize(
    ("cells", "words"),
    [
        (pa.array([b"fine", b"\xff"]), "data, row 2: `text` is binary and not UTF-8"),
        (pa.array([b"fine", b"\xff"]).view(pa.string()), "data, row 2: `text` is binary and not UTF-8"),
        (pa.array(["fine", None]), "data, row 2: `text` is null"),
        (pa.array([["a"], ["b"]]), "data, row 1: `text` is a list"),
        (pa.array([1.0, float("nan")]), "data, row 1: `text` is a float"),
        (pa.array([0, 0], pa.timestamp("us")), "data, row 1: `text` is a datetime"),
        (pa.array([0, 2**62], pa.timestamp("us")), "data: `text` is a column of timestamp[us] that cannot be read"),
        (pa.array([0, 1], pa.timestamp("us", "no/where")), "data: `text` is a column of timestamp[us, tz=no/where]"),
        (pa.array([[0], [2**62]], pa.list_(pa.timestamp("us"))), "data: `text` is a column of list<"),
    ],
)
def test_cells_of_parquet_that_are_no_text(tmp_path, cells, words):
    pq.write_table(pa.table({"text": cells, "label": [1, 0]}), tmp_path / "data")
    assert words in refused(tmp_path / "data", "parquet")


@pytest.mark.parametrize(
    "labels",
    [pa.array([1, 0]), pa.array([1.0, 0.0]), pa.array([True, False]), pa.array([b"1", b"0"]), pa.array([" 1", "0 "])],
)
def test_labels_of_any_type_are_those_declared(tmp_path, labels):
    pq.write_table(pa.table({"text": ["fine", "dull"], "label": labels}), tmp_path / "data")
    declared = {"true": "positive", "False": "negative", "1": "positive", "0": "negative"}
    assert [word for _, word in read(tmp_path / "data", "parquet", labels=declared)] == ["positive", "negative"]


def test_unusable_rows_are_left_out_where_the_settings_say_so_and_counted(put):
    content = HEAD + "fine,1\n,1\nit\x92s,1\ndull,0\nodd,2\nempty too,\n".encode()
    settings = source(put(content), skip_unusable=True, labels={"0": "negative", "1": "positive", "2": None})
    made = labelled(read_files(settings.file, settings), settings, "it")
    assert [one.fields["text"] for one in made.examples] == ["fine", "dull"]
    assert made.removed == {"with a label mapped to null": 1, "empty": 2, "with control characters": 1}


def test_every_kind_of_unusable_row_is_named_by_its_first_and_counted(put):
    line = refused(put(HEAD + "fine,1\n,1\n,0\nit\x92s,1\n".encode()))
    assert "data:3: `text` is empty (2 rows are empty); " in line
    assert "data:5: `text` holds the control character U+0092" in line


def test_a_row_whose_label_is_mapped_to_null_may_hold_what_it_likes(put):
    assert read(put(HEAD + b"fine,1\n,2\n"), labels={"0": "no", "1": "yes", "2": None}) == [("fine", "yes")]


def parallel(put, texts, labels, **more):
    return read({"text": put(texts, "texts"), "label": put(labels, "labels")}, "lines", **more)


def test_texts_and_labels_in_parallel_files(put):
    assert parallel(put, b'fine, "so"\r\ndull\x1cday\n'.replace(b"\x1c", b" "), b"1\n0\n") == [
        ('fine, "so"', "positive"),
        ("dull day", "negative"),
    ]
    assert parallel(put, "a\u2028b\nc".encode(), b"1\n0\n")[0][0] == "a\u2028b"


def test_parallel_files_of_different_lengths_are_refused(put):
    with pytest.raises(DataError, match=r"different numbers of lines: .*texts has 2, .*labels has 3"):
        parallel(put, b"a\nb\n", b"1\n0\n1\n")
    with pytest.raises(DataError, match=r"texts:2: `text` is empty"):
        parallel(put, b"a\n\nb\n", b"1\n0\n1\n")


def test_parallel_shards_go_together_in_order(put):
    texts, labels = [put(b"a\nb\n", "t0"), put(b"c\n", "t1")], [put(b"1\n0\n", "l0"), put(b"1\n", "l1")]
    assert [text for text, _ in read({"text": texts, "label": labels}, "lines")] == ["a", "b", "c"]
    with pytest.raises(DataError, match=r"as many files are needed for each column: text has 2, label has 1"):
        read({"text": texts, "label": labels[0]}, "lines")


def test_several_files_are_read_in_order_each_with_its_own_header(put):
    files = [put(HEAD + b"a,1\n", "0"), put(gz(b"label,text\n0,b\n"), "1")]
    assert read(files) == [("a", "positive"), ("b", "negative")]


OTHERS = {
    "csv": (HEAD + b"a,1\n", b"review,label\nb,0\n", HEAD),
    "tsv": (b"text\tlabel\na\t1\n", b"review\tlabel\nb\t0\n", b"text\tlabel\n"),
    "jsonl": (b'{"text": "a", "label": 1}', b'{"review": "b", "label": 0}', b"\n"),
}


@pytest.mark.parametrize("skip", [False, True])
@pytest.mark.parametrize("format", OTHERS)
def test_each_of_several_files_has_the_columns_and_some_rows(put, format, skip):
    good, other, headed = OTHERS[format]
    for content, words in ((other, "1: rows lack text"), (b"", "1: holds no rows"), (headed, "1: holds no rows")):
        with pytest.raises(DataError, match=words):
            read([put(good, "0"), put(content, "1")], format, skip_unusable=skip)


def test_none_of_parallel_shards_is_empty(put):
    texts, labels = [put(b"a\n", "t0"), put(b"", "t1")], [put(b"1\n", "l0"), put(b"", "l1")]
    with pytest.raises(DataError, match=r"t1: holds no rows"):
        read({"text": texts, "label": labels}, "lines")


def hub(folder, **more):
    settings = {"labels": {"0": "negative", "1": "positive"}, "template": {"query": "{text}:"}, **more}
    return HubDataset(source="hub", id=str(folder), revision="main", **settings)


@pytest.fixture
def hub_folder(tmp_path, monkeypatch):
    """A data set as the hub has it, with classes, one of them hidden in the test split."""
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    features = datasets.Features({"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["no", "yes"])})
    for split, labels in (("train", [1, 0, 1, 0]), ("test", [-1, -1, -1, -1])):
        table = datasets.Dataset.from_dict({"text": [f"{split} {i}" for i in range(4)], "label": labels}, features)
        (tmp_path / "hub").mkdir(exist_ok=True)
        table.to_parquet(tmp_path / "hub" / f"{split}-00000-of-00001.parquet")
    return tmp_path / "hub"


def test_hub_cells_are_looked_at_as_those_of_files(hub_folder):
    rows, where = read_hub(hub(hub_folder), "train")
    assert where == f"{hub_folder}, train"
    assert [(row.cells["label"], row.cells["text"]) for row in rows] == [
        (1, b"train 0"),
        (0, b"train 1"),
        (1, b"train 2"),
        (0, b"train 3"),
    ]
    with pytest.raises(DataError, match=r"rows lack review \(columns are text, label\)"):
        read_hub(hub(hub_folder, template={"query": "{review}"}), "train")


def test_hidden_labels_of_the_hub_are_named(hub_folder):
    with pytest.raises(DataError, match=r"test: labels outside .*'-1' \(4 rows\).*kept secret: name another split"):
        prepare(hub(hub_folder), pool=None, queries=1, seed=0)


def test_a_hub_data_set_with_one_split_gives_pool_and_queries(hub_folder):
    made = prepare(hub(hub_folder, queries=0.5), pool=None, queries=2, seed=0).examples
    assert sorted(one.fields["text"] for one in made.pool + made.queries) == [f"train {i}" for i in range(4)]
    assert {one.label for one in made.queries} == {"negative", "positive"}
