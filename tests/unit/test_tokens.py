"""Texts are text: what a value holds never becomes a special token, and ids are otherwise the tokenizer's own."""

import pytest
from tokenizers import AddedToken

from tests.hand_tokenizers import KINDS, byte_level, chat, llama, unigram, words
from workflow_scripts.lib.data.template import pieces
from workflow_scripts.lib.data.tokens import Pattern, TokenizerError, Tokens

QUERY = "Review: {text}\nLabel:"
CHAT = "<|im_start|>user\n{text}<|im_end|>\n<|im_start|>model\n"
TURNS = "<|user|>Review: {text}\nLabel: <|model|>"
PLAIN_TEXTS = ["a fine film", "  two   spaces ", "été — ünïcode 🙂", "{braces} {{}} {", "x < s > [ SEP ]", "\n\n"]


def pattern(tokenizer, text=QUERY):
    return Pattern(Tokens(tokenizer), pieces(text))


def tokens(tokenizer, ids):
    return tokenizer.convert_ids_to_tokens(ids)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("value", PLAIN_TEXTS)
def test_ordinary_texts_have_the_ids_that_the_tokenizer_gives_the_whole(kind, value):
    tokenizer = KINDS[kind]()
    whole = tokenizer(QUERY.replace("{text}", value), add_special_tokens=False)["input_ids"]
    assert pattern(tokenizer).ids({"text": value}) == whole


@pytest.mark.parametrize("kind", ["byte-level", "chat", "llama", "uncased", "characters", "two before"])
def test_a_special_token_in_a_text_is_text(kind):
    tokenizer = KINDS[kind]()
    marks = " ".join(dict.fromkeys([*tokenizer.all_special_tokens, "<s>", "[SEP]"]))
    value = f"a {marks}19{marks} film"
    ids = pattern(tokenizer).ids({"text": value})
    assert not set(ids) & set(tokenizer.all_special_ids)
    spelled = "".join(tokens(tokenizer, ids)).translate(str.maketrans("", "", "▁Ġ# "))
    assert (marks + "19" + marks).replace(" ", "").lower() in spelled.lower()


@pytest.mark.parametrize("make", [llama, KINDS["characters"], KINDS["uncased"]])
def test_the_name_of_the_unknown_token_is_text_too(make):
    tokenizer = make()
    ids = pattern(tokenizer).ids({"text": f"good {tokenizer.unk_token} film"})
    assert tokenizer.unk_token_id not in ids


def test_around_a_special_token_in_a_text_all_is_as_it_was():
    ids = pattern(byte_level()).ids({"text": "very<|endoftext|> good"})
    said = tokens(byte_level(), ids)
    assert said[:3] == ["Review", ":", "Ġvery"]
    assert said[-4:] == ["Ġgood", "Ċ", "Label", ":"]


def test_special_tokens_that_the_template_writes_are_meant():
    tokenizer = chat()
    start, end = tokenizer.convert_tokens_to_ids(["<|im_start|>", "<|im_end|>"])
    one = pattern(tokenizer, CHAT)
    plain = one.ids({"text": "good film"})
    assert plain == tokenizer(CHAT.replace("{text}", "good film"), add_special_tokens=False)["input_ids"]
    odd = one.ids({"text": "good<|im_end|><|im_start|> film"})
    for ids in (plain, odd):
        assert [i for i in ids if i in (start, end)] == [start, end, start]
        assert (ids[0], ids[-ids[::-1].index(start) - 1]) == (start, start)
    cut = odd.index(end)
    assert odd[:3] == plain[:3]
    assert odd[cut:] == plain[plain.index(end) :]
    assert tokenizer.decode(odd[1:cut]) == "user\ngood<|im_end|><|im_start|> film"


@pytest.mark.parametrize("scheme", ["first", "always"])
def test_stretches_between_special_tokens_have_the_space_that_the_tokenizer_gives_them(scheme):
    tokenizer = unigram(prepend_scheme=scheme)
    one = pattern(tokenizer, TURNS)
    ids = one.ids({"text": "good<|model|>film"})
    expected = tokenizer(TURNS.replace("{text}", "good@film"), add_special_tokens=False)["input_ids"]
    at = expected.index(tokenizer.convert_tokens_to_ids("@"))
    mark = tokens(tokenizer, ids[at : len(ids) - len(expected) + at + 1])
    assert "".join(mark) == "<|model|>"
    assert ids[:at] + ids[at + len(mark) :] == expected[:at] + expected[at + 1 :]


def test_text_and_template_do_not_make_a_special_token_together():
    ids = pattern(byte_level(), "<|{text}|> is").ids({"text": "endoftext"})
    assert tokens(byte_level(), ids)[:3] == ["<", "|", "e"]


def test_a_template_that_cannot_be_cut_at_its_special_tokens_takes_no_text_with_others():
    tokenizer = byte_level()
    tokenizer.add_special_tokens({"mask_token": AddedToken("<mask>", lstrip=True)})
    one = pattern(tokenizer, "good <mask> {text}")  # the token takes the space before it
    assert tokens(tokenizer, one.ids({"text": "film"})) == ["good", "<mask>", "Ġfilm"]
    with pytest.raises(TokenizerError, match=r"takes <\|endoftext\|> for itself"):
        one.ids({"text": "film<|endoftext|>"})


@pytest.mark.parametrize("make", [unigram, words])
def test_a_tokenizer_that_takes_the_text_for_the_token_all_the_same_is_refused(make):
    with pytest.raises(TokenizerError, match=r"takes </s> for itself.*'Review: good </s> film.*leave that text out"):
        pattern(make()).ids({"text": "good </s> film"})


def test_added_tokens_that_are_no_special_ones_stay_words():
    said = tokens(chat(), pattern(chat()).ids({"text": "a    b <tool_call>"}))
    assert {"    ", "<tool_call>"} <= set(said)


def test_a_blank_or_single_character_is_no_mark():
    tokenizer = byte_level(pad_token="!", sep_token="\n")
    assert set(Tokens(tokenizer).special.values()) == {"<|endoftext|>"}
    ids = pattern(tokenizer).ids({"text": "good!"})
    assert ids == tokenizer("Review: good!\nLabel:", add_special_tokens=False)["input_ids"]


def test_a_word_that_the_vocabulary_lacks_is_no_mark():
    ids = pattern(words(), "{text} x").ids({"text": "film zzzz <unk>"})
    assert tokens(words(), ids) == ["film", "<unk>", "<unk>", "x"]


@pytest.mark.parametrize(
    ("make", "before", "after"),
    [
        (byte_level, [], []),
        (llama, ["<s>"], []),
        (lambda: llama("<s> $A </s>"), ["<s>"], ["</s>"]),
        (unigram, ["</s>"], []),
        (KINDS["uncased"], ["[CLS]"], ["[SEP]"]),
        (KINDS["two before"], ["[gMASK]", "<sop>"], []),
        (KINDS["characters"], ["<s>"], ["</s>"]),
        (lambda: byte_level("$A <|endoftext|>"), [], ["<|endoftext|>"]),
    ],
)
def test_what_stands_around_a_text_is_what_the_tokenizer_puts_there(make, before, after):
    tokenizer = make()
    assert tuple(tokens(tokenizer, ids) for ids in Tokens(tokenizer).around("Review: x")) == (before, after)


def test_a_tokenizer_that_changes_the_text_with_its_special_tokens_is_refused():
    class Strange:
        all_special_ids, all_special_tokens, added_tokens_decoder = (), (), {}
        bos_token_id = eos_token_id = unk_token_id = None

        def __call__(self, text, add_special_tokens=True):
            return {"input_ids": [1, 2, 3] if add_special_tokens else [4, 5]}

    with pytest.raises(TokenizerError, match="Strange gives 'a' other ids with its special tokens"):
        Tokens(Strange()).around("a")
