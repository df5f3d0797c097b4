"""Prompts that a model cannot read as they are meant are refused with the row; what is odd but right is told."""

import re

import pytest
from tokenizers.models import BPE

from tests.conftest import tiny_config
from tests.hand_tokenizers import Characters, byte_level, chat, llama, words
from workflow_scripts.lib.arms import named
from workflow_scripts.lib.data.examples import Example, Examples
from workflow_scripts.lib.data.prompts import Prompts
from workflow_scripts.lib.data.sets import Demonstration, DemonstrationSet, ServingSet
from workflow_scripts.lib.data.template import Template
from workflow_scripts.lib.data.tokens import TokenizerError
from workflow_scripts.lib.study.preview import about_draws, as_drawn_too, preview, warnings
from workflow_scripts.lib.study.prompt_checks import EmbeddingError, asked, check_prompts, embedded

TEMPLATE = Template(query="Review: {text}\nLabel:")
TEXTS = [("query-0", {"text": "fine film"}), ("pool-7", {"text": "very good"})]


def prompts_of(tokenizer, labels=("positive", "negative"), **template):
    return Prompts(tokenizer, TEMPLATE.model_copy(update=template), labels)


def told(prompts, *texts):
    return list(warnings(prompts, [(f"query-{i}", {"text": text}) for i, text in enumerate(texts)]))


def test_what_stands_in_prompts_is_checked_once():
    query, shown = Example("query-0", {"text": "a"}, "good"), Demonstration("pool-7", {"text": "b"}, "fine", "good")
    sets = [ServingSet(DemonstrationSet((shown, shown))), ServingSet(DemonstrationSet((shown,)))]
    pool = [Example("pool-7", {"text": "b"}, "good"), Example("pool-8", {"text": "c"}, "good")]
    found = asked(Examples(pool, [query], ["good", "fine"], TEMPLATE), sets)
    assert found == [("query-0", {"text": "a"}), ("pool-7", {"text": "b"})]


def test_draws_that_allow_no_test_are_told():
    assert list(about_draws(1)) == ["one draw has no interval and allows no test"]
    assert list(about_draws(5)) == ["5 draws allow no test: p is at least 0.062, whatever is found; 6 do"]
    assert not list(about_draws(6))


def test_controls_that_show_what_they_are_to_differ_from_are_told():
    good, bad = (Demonstration(f"pool-{word}", {"text": word}, word, word) for word in ("good", "bad"))
    other = Demonstration("pool-other", {"text": "other"}, "good", "good")
    sets = [DemonstrationSet(some) for some in ((good,), (good, other), (good, bad))]
    arms = named(["icl", "icl-reordered", "distilled", "misled"])
    assert list(as_drawn_too(arms, sets)) == [
        "1 of 3 sets have no other arrangement: there icl-reordered is no control",
        "2 of 3 sets have no other arrangement: there misled is no control",
    ]
    assert not list(as_drawn_too(arms, sets[2:]))
    assert not list(as_drawn_too(named(["icl", "it"]), sets))


@pytest.mark.parametrize("make", [byte_level, llama, Characters])
def test_prompts_that_are_as_they_should_be_pass(make):
    prompts = prompts_of(make())
    highest = max(*prompts.prefix(), *prompts.query({"text": "fine film very good"}), *prompts.separator, 0)
    highest = max([highest, *(max(ids) for ids in prompts.labels.values())])
    check_prompts(prompts, TEXTS, highest + 1)  # a tokenizer that is larger than the model is no fault in itself
    check_prompts(prompts, TEXTS, None)


def test_a_token_without_an_embedding_is_refused_with_its_row():
    tokenizer = byte_level()
    tokenizer.add_tokens(["wonderful"])
    number = tokenizer.convert_tokens_to_ids("wonderful")
    check_prompts(prompts_of(tokenizer), TEXTS, number)
    odd = ("pool-9", {"text": "a wonderful film"})
    line = f"pool-9: the model has embeddings for {number} tokens and none for token {number} .'wonderful'"
    with pytest.raises(EmbeddingError, match=line):
        check_prompts(prompts_of(tokenizer), [*TEXTS, odd], number)
    with pytest.raises(EmbeddingError, match="label word 'wonderful': the model has embeddings"):
        check_prompts(prompts_of(tokenizer, ["good", "wonderful"]), TEXTS, number)
    with pytest.raises(EmbeddingError, match="what stands before every prompt: the model has embeddings"):
        check_prompts(prompts_of(tokenizer, instruction="wonderful"), TEXTS, number)
    with pytest.raises(EmbeddingError, match="the template's separator: the model has embeddings"):
        check_prompts(prompts_of(tokenizer, separator="wonderful"), TEXTS, number)


def test_embeddings_are_those_of_the_config():
    assert embedded(tiny_config("llama", 77)) == embedded(tiny_config("gpt2", 77)) == 77


def test_a_text_that_cannot_be_taken_as_text_is_refused_with_its_row():
    with pytest.raises(TokenizerError, match="pool-9: the tokenizer takes </s> for itself"):
        check_prompts(prompts_of(words()), [*TEXTS, ("pool-9", {"text": "good </s> film"})], None)


def test_a_tokenizer_that_draws_its_merges_is_refused():
    tokenizer = byte_level()
    model = tokenizer.backend_tokenizer.model
    assert isinstance(model, BPE)
    prompts = prompts_of(tokenizer)
    model.dropout = 0.5
    with pytest.raises(TokenizerError, match=r"other ids each time; switch off what makes it random .`dropout`"):
        check_prompts(prompts, TEXTS * 10, None)
    with pytest.raises(TokenizerError, match="other ids each time"):
        prompts_of(tokenizer)


def test_a_start_that_changes_with_the_text_is_refused():
    class Changing(Characters):
        def build_inputs_with_special_tokens(self, token_ids_0, token_ids_1=None):
            return [0] * (1 + (len(token_ids_0) > 40)) + token_ids_0

    long = ("query-1", {"text": "a" * 40})
    with pytest.raises(TokenizerError, match=r"query-1: the tokenizer puts \[0, 0\] before this text and \[0\] before"):
        check_prompts(prompts_of(Changing()), [*TEXTS, long], None)


def test_nothing_is_told_where_nothing_is_odd():
    assert told(prompts_of(byte_level()), "fine film", "very\ngood {x}") == []


SPACED = {"query": "Label: {text} ", "label": "{label}"}
ODD = {
    r"label begins with another: .* with '\\n\\n' after it": (
        byte_level,
        ["very", "good", "good film"],
        {},
        "x",
    ),
    "labels very good, very fine begin with the same token": (byte_level, ["very good", "very fine", "film"], {}, "x"),
    r"merges the end of `query` with the label \(good\)": (byte_level, ["good", "q"], SPACED, "x"),
    "`query` ends with a space": (byte_level, ["good", "fine"], {"query": "Label: {text}: "}, "x"),
    r"1 of 2 texts hold the separator '\\n\\n'": (byte_level, ["good", "fine"], {}, "a\n\nb"),
    "1 of 2 texts read like special tokens, and are": (byte_level, ["good", "fine"], {}, "b <|endoftext|>"),
    "1 of 2 texts hold what the tokenizer has an added": (chat, ["good", "fine"], {}, "<tool_call>"),
    "1 of 2 queries and demonstrations hold words": (words, ["good", "fine"], {"query": "{text} x"}, "zzzz"),
}


@pytest.mark.parametrize("line", ODD)
def test_what_is_odd_is_told_in_a_line(line):
    make, labels, template, text = ODD[line]
    found = told(prompts_of(make(), labels, **template), "film", text)
    assert any(re.search(line, one) for one in found), found


def test_each_arms_prompt_is_shown_with_its_tokens_counted():
    prompts = prompts_of(byte_level(), ["very good", "negative"])
    given = DemonstrationSet((Demonstration("pool-7", {"text": "good film"}, "very good", "negative"),))
    shown = list(preview(prompts, Example("q", {"text": "fine"}, "negative"), given, named(["anchor", "icl", "it"])))
    anchor, icl = (len(prompts.prefix(some) + prompts.query({"text": "fine"})) for some in ((), given.demonstrations))
    assert shown == [
        f"label very good  tokens Ġvery Ġgood  ids {' '.join(map(str, prompts.labels['very good']))}",
        f"label negative   tokens Ġnegative  ids {prompts.labels['negative'][0]}",
        f"prompt of anchor, it: {anchor} tokens, states at the last one, ':'",
        "  | Review: fine",
        "  | Label:",
        f"prompt of icl: {icl} tokens, states at the last one, ':'",
        "  | Review: good film",
        "  | Label: very good",
        "  | ",
        "  | Review: fine",
        "  | Label:",
        f"tuned on such: {len(prompts.query({'text': 'good film'}))} tokens, and the label's 2 are learnt",
        "  | Review: good film",
        "  | Label: very good",
    ]


def test_of_a_long_prompt_the_middle_is_left_out():
    given = DemonstrationSet((Demonstration("p", {"text": "good"}, "positive", "positive"),))
    query = Example("q", {"text": "a" * 5000}, "negative")
    lines = list(preview(prompts_of(byte_level()), query, given, named(["anchor"])))
    assert "prompt of anchor: 5006 tokens, states at the last one, ':'" in lines
    (line,) = [line for line in lines if "characters ...]" in line]
    assert "aaa [... 3,815 characters ...] aaa" in line
