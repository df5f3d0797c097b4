import pytest

from workflow_scripts.lib.prompts import Demonstration, LabelError, Prompts, Template

TEMPLATE = Template(query="text : {text}\nlabel :", label=" {label}", separator="\n\n")
SHOWN = [Demonstration({"text": "it was a great story"}, "positive"), Demonstration({"text": "so dull"}, "negative")]
QUERY = {"text": "the river was lovely"}


@pytest.fixture
def prompts(tokenizer):
    return Prompts(tokenizer, TEMPLATE, ["positive", "negative"])


def test_one_bos_in_every_prompt(prompts, tokenizer):
    bos = tokenizer.bos_token_id
    every = [
        prompts.prefix() + prompts.query(QUERY),
        prompts.prefix(SHOWN) + prompts.query(QUERY),
        *(one.prompt + one.label for one in prompts.tuning_examples(SHOWN)),
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
    for one in prompts.tuning_examples(SHOWN):
        piece = one.prompt[1:] + one.label
        found = next(i for i in range(at, len(inside)) if inside[i : i + len(piece)] == piece)
        at = found + len(piece)
    assert prompts.digest(SHOWN) != prompts.digest(SHOWN[::-1])


def test_digest_tells_labels_and_templates_apart(prompts, tokenizer):
    flipped = [Demonstration(one.fields, "negative" if one.label == "positive" else "positive") for one in SHOWN]
    other = Prompts(tokenizer, TEMPLATE.model_copy(update={"separator": "\n"}), ["positive", "negative"])
    assert len({prompts.digest(SHOWN), prompts.digest(flipped), other.digest(SHOWN)}) == 3


def test_instruction_stands_in_every_condition(tokenizer):
    prompts = Prompts(
        tokenizer, TEMPLATE.model_copy(update={"instruction": "these are words ."}), ["positive", "negative"]
    )
    said = tokenizer("these are words .", add_special_tokens=False)["input_ids"]
    assert prompts.prefix()[1:] == said
    assert prompts.prefix(SHOWN)[1 : len(said) + 1] == said
    assert all(one.prompt[1 : len(said) + 1] == said for one in prompts.tuning_examples(SHOWN))


def test_labels_that_share_ids_are_refused(tokenizer):
    with pytest.raises(LabelError, match="share their token ids"):
        Prompts(tokenizer, TEMPLATE, ["qqqq", "zzzz"])  # both unknown to a word-level vocabulary


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
    icl = prompts.prefix([Demonstration({"text": "dull"}, "negative")]) + query
    assert icl.count(tokenizer.bos_token_id) == 1
    assert icl[-len(query) :] == query
    assert tokenizer.decode([icl[-1]]) == ":"
