from dataclasses import replace

import pytest

from tests.hand_tokenizers import KINDS, Characters, byte_level, llama, uncased, unigram, words
from workflow_scripts.lib.artifacts.provenance import origin
from workflow_scripts.lib.data.choice import Choice, SampleDemonstrations
from workflow_scripts.lib.data.examples import Example, Examples, Wording, read_examples, write_examples
from workflow_scripts.lib.data.prompts import LabelError, Prompts
from workflow_scripts.lib.data.sampling import sample_sets
from workflow_scripts.lib.data.sets import Demonstration, read_sets, write_sets
from workflow_scripts.lib.data.template import Template
from workflow_scripts.lib.data.tokens import TokenizerError

TEMPLATE = Template(query="text : {text}\nlabel :", label=" {label}", separator="\n\n")


def shown(text, label):
    return Demonstration("id", {"text": text}, label, label)


SHOWN = [shown("it was a great story", "positive"), shown("so dull", "negative")]
QUERY = {"text": "the river was lovely"}


@pytest.fixture
def prompts(tokenizer):
    return Prompts(tokenizer, TEMPLATE, ["positive", "negative"])


def test_one_bos_in_every_prompt(prompts, tokenizer):
    bos = tokenizer.bos_token_id
    every = [
        prompts.prefix() + prompts.query(QUERY),
        prompts.prefix(SHOWN) + prompts.query(QUERY),
        *(one.prompt + one.label for one in map(prompts.completion, SHOWN)),
    ]
    assert all(ids[0] == bos and ids.count(bos) == 1 for ids in every)


def test_the_query_ends_every_prompt(prompts):
    query, anchor, icl = prompts.query(QUERY), prompts.prefix() + prompts.query(QUERY), None
    icl = prompts.prefix(SHOWN) + query
    assert anchor[1:] == query
    assert icl[-len(query) :] == query


def test_pieces_join_to_the_text_where_the_tokenizer_has_no_merges(prompts, tokenizer):
    text = "text : it was a great story\nlabel : positive\n\ntext : so dull\nlabel : negative\n\ntext : the river"
    shown = prompts.prefix(SHOWN) + tokenizer("text : the river", add_special_tokens=False)["input_ids"]
    assert shown == tokenizer(text)["input_ids"]


def test_icl_and_it_see_the_same_ids_in_the_same_order(prompts):
    inside = prompts.prefix(SHOWN)
    at = 0
    for one in map(prompts.completion, SHOWN):
        piece = one.prompt[1:] + one.label
        found = next(i for i in range(at, len(inside)) if inside[i : i + len(piece)] == piece)
        at = found + len(piece)
    assert prompts.digest(SHOWN) != prompts.digest(SHOWN[::-1])


def test_demonstrations_of_another_task_are_told_as_that_one_tells_them(tokenizer):
    told = Template(query="input : {line}\noutput :", separator="\n", instruction="these are words .")
    theirs = Prompts(tokenizer, told, ["hot", "dull"])
    prompts = Prompts(tokenizer, TEMPLATE, ["positive", "negative"], {"weather": Wording(told, ["hot", "dull"])})
    own = Demonstration("id", {"line": "the sun"}, "hot", "hot")
    other = replace(own, task="weather")
    assert prompts.prefix([other]) == prompts.prefix() + theirs.prefix([own])[len(theirs.prefix()) :]
    assert prompts.prefix([other, *SHOWN])[-len(prompts.prefix(SHOWN)) + 1 :] == prompts.prefix(SHOWN)[1:]
    assert prompts.completion(other) == theirs.completion(own)
    assert prompts.labels.keys() == {"positive", "negative"}


def test_digest_tells_labels_and_templates_apart(prompts, tokenizer):
    flipped = [shown(one.fields["text"], "negative" if one.label == "positive" else "positive") for one in SHOWN]
    other = Prompts(tokenizer, TEMPLATE.model_copy(update={"separator": "\n"}), ["positive", "negative"])
    assert len({prompts.digest(SHOWN), prompts.digest(flipped), other.digest(SHOWN)}) == 3


def test_instruction_stands_in_every_prompt(tokenizer):
    prompts = Prompts(
        tokenizer, TEMPLATE.model_copy(update={"instruction": "these are words ."}), ["positive", "negative"]
    )
    said = tokenizer("these are words .", add_special_tokens=False)["input_ids"]
    assert prompts.prefix()[1:] == said
    assert prompts.prefix(SHOWN)[1 : len(said) + 1] == said
    assert all(one.prompt[1 : len(said) + 1] == said for one in map(prompts.completion, SHOWN))


LABELLED = Template(query="Review: {text}\nLabel:")


def test_labels_that_share_ids_are_refused():
    with pytest.raises(LabelError, match="'Good' and 'good' share their token ids with this tokenizer"):
        Prompts(uncased(), LABELLED, ["Good", "fine", "good"])


@pytest.mark.parametrize("labels", [["qqqq", "film"], ["film", "qqqq"], ["qqqq", "zzzz"]])
def test_a_label_that_the_vocabulary_lacks_is_refused(labels):
    with pytest.raises(LabelError, match="vocabulary lacks label word 'qqqq'"):
        Prompts(words(), LABELLED, labels)


def test_a_label_word_is_text():
    prompts = Prompts(byte_level(), LABELLED, ["<|endoftext|>", "good"])
    assert prompts.tokenizer.bos_token_id not in prompts.labels["<|endoftext|>"]
    assert prompts.tokenizer.decode(prompts.labels["<|endoftext|>"]) == " <|endoftext|>"
    with pytest.raises(TokenizerError, match="takes </s> for itself"):
        Prompts(words(), LABELLED, ["</s>", "good"])


def test_labels_that_no_other_begins_with_are_scored_as_they_are():
    prompts = Prompts(byte_level(), LABELLED, ["very good", "very fine", "negative"])
    assert prompts.ending == []
    assert prompts.labels == prompts.words
    assert [len(ids) for ids in prompts.labels.values()] == [2, 2, 1]


@pytest.mark.parametrize("make", [byte_level, llama, unigram, Characters])
def test_where_one_label_begins_with_another_all_end_as_the_template_ends_them(make):
    tokenizer = make()
    prompts = Prompts(tokenizer, LABELLED, ["positive", "negative", "positive mixed"])
    joined = tokenizer("Review: x\nLabel: positive\n\n", add_special_tokens=False)["input_ids"]
    query = prompts.query({"text": "x"})
    assert prompts.ending
    for word in ("positive", "negative", "positive mixed"):
        assert prompts.labels[word] == prompts.words[word] + prompts.ending
    assert query + prompts.labels["positive"] == joined[: len(query) + len(prompts.labels["positive"])]
    short, long = prompts.labels["positive"], prompts.labels["positive mixed"]
    assert long[: len(short)] != short


def test_a_demonstration_has_its_separator_once_and_its_completion_the_ending():
    tokenizer = byte_level()
    prompts = Prompts(tokenizer, LABELLED, ["positive", "positive mixed"])
    one = shown("film", "positive")
    text = "Review: film\nLabel: positive\n\n"
    assert prompts.prefix([one]) == tokenizer(text)["input_ids"]
    assert tokenizer.decode(prompts.completion(one).label) == " positive\n\n"


def test_the_ending_is_no_longer_than_it_needs_to_be():
    template = Template(query="Review: {text}\nLabel:", separator=" good film")
    plain = Prompts(byte_level(), template, ["very", "very fine"])
    assert plain.tokenizer.decode(plain.ending) == " good"
    longer = Prompts(byte_level(), template, ["very", "very good"])
    assert longer.tokenizer.decode(longer.ending) == " good film"


def test_a_separator_that_ends_no_label_is_refused():
    with pytest.raises(LabelError, match=r"'very fine' begins with 'very', and the template's separator does not tell"):
        Prompts(byte_level(), LABELLED.model_copy(update={"separator": ""}), ["very", "good", "very fine"])


def test_labels_that_merge_with_the_query_are_told():
    assert Prompts(byte_level(), LABELLED, ["good", "fine"]).merged == []
    spaced = Template(query="Review: {text}\nLabel: ", label="{label}")
    prompts = Prompts(byte_level(), spaced, ["good", "qqq"])
    assert prompts.merged == ["good"]
    assert prompts.tokenizer.decode(prompts.labels["good"]) == "good"


@pytest.mark.parametrize("kind", KINDS)
def test_a_prompt_starts_as_the_tokenizer_starts_a_text(kind):
    prompts = Prompts(KINDS[kind](), Template(query="good {text} x", label=" {label}"), ["film", "fine"])
    (before, after), query = prompts.tokens.around("good very x"), prompts.query({"text": "very"})
    assert prompts.prefix() + query + after == prompts.tokenizer("good very x")["input_ids"]
    inside = prompts.prefix([shown("very", "film")])
    assert inside[: len(before)] == before
    assert prompts.tokens.special_in(inside) == before


def test_a_template_that_begins_as_the_tokenizer_does_is_refused():
    for template in (Template(query="<s> {text}:"), Template(query="{text}:", instruction="<s>good")):
        with pytest.raises(TokenizerError, match="begins with '<s>', which this tokenizer itself puts before every"):
            Prompts(llama(), template, ["good", "fine"])


@pytest.mark.parametrize("field", ["order", "split", "level", "id", "set", "self", "review.text", "0", "a[b]", "a b"])
def test_a_field_may_be_called_anything(tmp_path, field):
    template = Template(query=f"Review: {{{field}}}\nLabel:")
    pool = [Example(f"p{i}", {field: f"film {i} {{x}}"}, "good") for i in range(3)]
    write_examples(Examples(pool, pool[:1], ["good", "fine"], template), tmp_path / "examples.parquet", origin())
    read = read_examples(tmp_path / "examples.parquet")
    sets = sample_sets(read, Choice(shots=2, labels="gold"), draws=1, settings=SampleDemonstrations(), seed=0)
    write_sets(sets, tmp_path / "sets.parquet", origin())
    (again,) = read_sets(tmp_path / "sets.parquet")
    prompts = Prompts(byte_level(), read.template, read.words)
    text = prompts.tokenizer.decode(prompts.prefix(again.set.demonstrations) + prompts.query(read.queries[0].fields))
    first, second = (one.fields[field] for one in again.set.demonstrations)
    shot = "Review: {}\nLabel: good\n\n".format
    assert text == shot(first) + shot(second) + "Review: film 0 {x}\nLabel:"


def test_labels_of_a_subword_tokenizer(outside):
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(outside("checkpoints/stories260K"))
    template = Template(query="Review: {text}\nSentiment:")
    prompts = Prompts(tokenizer, template, ["positive", "negative"])
    query = prompts.query({"text": "a fine film"})
    assert len(prompts.labels["positive"]) > 1
    assert (
        query + prompts.labels["positive"]
        == tokenizer("Review: a fine film\nSentiment: positive", add_special_tokens=False)["input_ids"]
    )
    icl = prompts.prefix([shown("dull", "negative")]) + query
    assert icl.count(tokenizer.bos_token_id) == 1
    assert icl[-len(query) :] == query
    assert tokenizer.decode([icl[-1]]) == ":"
