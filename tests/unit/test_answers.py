"""Answers of generation tasks in data sets, sets of demonstrations and prompts."""

from itertools import pairwise

import pytest
from pydantic import ValidationError

from tests.hand_tokenizers import KINDS, byte_level, llama, words
from workflow_scripts.lib.artifacts.provenance import origin
from workflow_scripts.lib.data.choice import Choice, Relevance, SampleDemonstrations
from workflow_scripts.lib.data.datasets import prepare
from workflow_scripts.lib.data.drawing import PoolError
from workflow_scripts.lib.data.examples import Example, Examples, read_examples, write_examples
from workflow_scripts.lib.data.prompts import LabelError, Prompts
from workflow_scripts.lib.data.rows import DataError
from workflow_scripts.lib.data.sampling import sample_sets
from workflow_scripts.lib.data.sets import Demonstration, DemonstrationSet, ServingSet
from workflow_scripts.lib.data.sources import LocalDataset
from workflow_scripts.lib.data.template import Template
from workflow_scripts.lib.study.preview import about_answers, warnings
from workflow_scripts.lib.study.prompt_checks import answers, check_answers

TEMPLATE = Template(query="Review {name}\nLabel", separator="\n")
POOL = [Example(f"pool-{i:02d}", {"name": f"name {i}"}, f"answer {i}") for i in range(12)]
QUERIES = [Example(f"query-{i}", {"name": f"asked {i}"}, answer) for i, answer in enumerate(["b", "a", "b"])]
DATA = Examples(POOL, QUERIES, [], TEMPLATE)


def parallel(folder, *pairs, **more):
    """A data set of two files, line by line, whose last two lines are queries."""
    for name, i in (("en", 0), ("cs", 1)):
        (folder / f"pool.{name}").write_text("".join(f"{line[i]}\n" for line in pairs[:-2]))
        (folder / f"queries.{name}").write_text("".join(f"{line[i]}\n" for line in pairs[-2:]))
    files = {split: {name: folder / f"{split}.{name}" for name in ("en", "cs")} for split in ("pool", "queries")}
    settings = {"answer_column": "cs", "template": {"query": "{en} ="}, "format": "lines", **files, **more}
    return LocalDataset(source="local", **settings)


def sets(labels="gold", shots=5, draws=3, data=DATA, **changes):
    """The demonstrations of each draw."""
    choice = Choice(shots=shots, labels=labels, **changes)
    settings = SampleDemonstrations(relevance=Relevance(queries=2))
    return [each.set.demonstrations for each in sample_sets(data, choice, draws=draws, settings=settings, seed=0)]


def test_answers_are_the_cells_as_they_stand(tmp_path):
    source = parallel(
        tmp_path, ("one", "jedna"), ("two", " dvě  tři "), ("One", "jeden"), ("three", "x"), ("four", "y")
    )
    made = prepare(source, pool=None, queries=2, seed=0)
    assert [(one.fields, one.label) for one in made.examples.pool] == [
        ({"en": "one"}, "jedna"),
        ({"en": "two"}, "dvě  tři"),
    ]
    assert made.examples.words == []
    assert made.summary.lines()[1:4] == [
        "removed: 1 repeated in the pool with another label than the first",
        "pool: 2 (2 different answers)",
        "queries: 2 (2 different answers)",
    ]
    assert made.summary.notes() == []


def test_an_empty_answer_is_refused_or_left_out(tmp_path):
    rows = [("one", "jedna"), ("two", ""), ("three", "x"), ("four", "y")]
    with pytest.raises(DataError, match=r"pool\.en:2: `cs` is empty \(1 rows are empty\)"):
        prepare(parallel(tmp_path, *rows), pool=None, queries=2, seed=0)
    made = prepare(parallel(tmp_path, *rows, skip_unusable=True), pool=None, queries=2, seed=0)
    assert [one.label for one in made.examples.pool] == ["jedna"]


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        ({"labels": {"0": "a", "1": "b"}}, "not both"),
        ({"answer_column": None}, "needs `labels`"),
        ({"template": {"query": "{en} {cs}"}}, "holds {cs}, which is the answer"),
        ({"format": "labelled-lines", "pool": "a", "queries": "b"}, "answers need a column of their own"),
    ],
)
def test_settings_that_are_of_no_task_are_refused(tmp_path, settings, error):
    with pytest.raises(ValidationError, match=error):
        parallel(tmp_path, ("a", "b"), ("c", "d"), ("e", "f"), **settings)


def test_queries_set_aside_of_one_file_are_drawn_whatever_their_answers(tmp_path):
    (tmp_path / "all.csv").write_text("en,cs\n" + "".join(f"text {i},answer {i % 7}\n" for i in range(20)))
    more = {"template": {"query": "{en}"}, "answer_column": "cs"}
    source = LocalDataset(source="local", file=tmp_path / "all.csv", queries=0.5, format="csv", **more)
    assert len(prepare(source, pool=None, queries=10, seed=0).examples.queries) == 10


def test_an_artifact_keeps_answers(tmp_path):
    write_examples(DATA, tmp_path / "made.parquet", origin())
    assert read_examples(tmp_path / "made.parquet") == DATA
    assert DATA.targets == [0, 1, 0]


def test_flipped_answers_are_the_sets_own_and_none_by_its_text():
    for gold, flipped in zip(sets(), sets("flipped"), strict=True):
        assert [one.id for one in gold] == [one.id for one in flipped]
        assert sorted(one.label for one in gold) == sorted(one.label for one in flipped)
        assert all(one.label != one.gold for one in flipped)


def test_flipped_answers_that_repeat_stand_by_other_texts_as_far_as_they_can():
    pool = [Example(f"pool-{i}", {"name": f"n {i}"}, answer) for i, answer in enumerate("aabb")]
    for one in sets("flipped", shots=4, data=Examples(pool, QUERIES, [], TEMPLATE)):
        assert all(shown.label != shown.gold for shown in one) or len({a.gold == b.gold for a, b in pairwise(one)}) > 1
        assert sum(shown.label != shown.gold for shown in one) >= 2


def test_random_answers_are_any_of_the_pool():
    shown = [one.label for draw in sets("random", draws=20) for one in draw]
    assert set(shown) == {one.label for one in POOL}


@pytest.mark.parametrize(
    ("labels", "shots", "error"),
    [("permuted", 4, "a generation task has no classes"), ("flipped", 1, "1 shot has no other")],
)
def test_rules_of_labels_that_mean_nothing_for_answers_are_refused(labels, shots, error):
    with pytest.raises(PoolError, match=error):
        sets(labels, shots=shots)


def test_the_nearest_are_the_nearest_as_answers_are_no_classes():
    pool = [Example(f"pool-{i}", {"name": f"asked x{i}" if i % 3 else f"other x{i}"}, f"answer {i}") for i in range(12)]
    for one in sets(shots=2, data=Examples(pool, QUERIES, [], TEMPLATE), relevance="nearest"):
        assert all(shown.fields["name"].startswith("asked") for shown in one)


def prompts_of(tokenizer, **template):
    return Prompts(tokenizer, TEMPLATE.model_copy(update=template), [])


SHOWN = [
    Demonstration("pool-1", {"name": "fine"}, "žluťoučký kůň", "x"),
    Demonstration("pool-2", {"name": "good"}, "a", "a"),
]


@pytest.mark.parametrize("make", [byte_level, llama])
def test_an_answer_stands_in_a_prompt_as_it_is_learnt(make):
    prompts, tokenizer = prompts_of(make()), make()
    for one in SHOWN:
        learnt = prompts.completion(one)
        assert learnt.label == prompts.shown(one.label) + prompts.separator
        assert str(tokenizer.decode(learnt.label)).strip() == one.label
    whole = prompts.prefix(SHOWN)
    assert whole == prompts.before + [
        token for one in SHOWN for token in [*prompts.query(one.fields), *prompts.learnt(one.label)]
    ]


@pytest.mark.parametrize("make", [byte_level, llama])
def test_a_written_answer_ends_at_the_separator(make):
    prompts = prompts_of(make())
    learnt = prompts.learnt("žluťoučký kůň")
    ends = [prompts.ends(learnt[:length]) for length in range(1, len(learnt) + 1)]
    assert ends == [False] * (len(learnt) - 1) + [True]
    assert (
        prompts.answer(learnt) == prompts.answer(learnt[:-1]) == prompts.answer([*learnt, *learnt]) == "žluťoučký kůň"
    )


def test_an_answer_ends_where_a_token_holds_more_than_the_separator():
    prompts, tokenizer = prompts_of(byte_level()), byte_level()
    both = tokenizer.convert_tokens_to_ids("ĊĊ")
    assert prompts.separator != [both]
    assert prompts.ends([*prompts.shown("good"), both])
    assert prompts.answer([*prompts.shown("good"), both]) == "good"


def test_a_text_that_reads_like_a_special_token_is_text_in_an_answer_too():
    prompts, tokenizer = prompts_of(llama()), llama()
    assert not set(tokenizer.all_special_ids) & set(prompts.learnt("a </s> b"))


@pytest.mark.parametrize("kind", ["uncased", "words"])
def test_a_tokenizer_that_drops_the_separator_is_refused(kind):
    with pytest.raises(LabelError, match=r"no token for the separator '\\n', which ends an answer"):
        prompts_of(KINDS[kind]())


def test_an_answer_that_holds_the_separator_is_refused_with_its_example():
    sets_ = [ServingSet(DemonstrationSet((SHOWN[1], Demonstration("pool-9", {"name": "x"}, "two\nlines", "x"))))]
    told = answers(DATA, sets_)
    assert told == {"a": "query-1", "b": "query-2", "two\nlines": "pool-9"}
    with pytest.raises(LabelError, match="pool-9: the answer holds the separator"):
        check_answers(prompts_of(byte_level()), told, None)
    check_answers(prompts_of(byte_level(), separator="###"), told, None)


def test_what_is_odd_about_answers_is_told():
    prompts = prompts_of(byte_level())
    assert list(about_answers(prompts, ["ab", "abcdef"], 0)) == [
        "no answer is written: dump_hidden_states.new_tokens is 0, and answers have a log-probability alone"
    ]
    assert list(about_answers(prompts, ["ab", "abcdef"], 4)) == [
        "1 of 2 answers have more tokens than may be written (dump_hidden_states.new_tokens is 4, the longest answer "
        "has 8)"
    ]
    assert list(about_answers(prompts, ["ab", "abcdef"], 8)) == []
    assert list(about_answers(prompts_of(words(), separator=" . "), ["good", "Haus"], 8)) == [
        "1 of 2 answers hold words that the vocabulary lacks, and can never be written"
    ]
    assert not any("label" in line for line in warnings(prompts, [("query-1", {"name": "fine"})]))
