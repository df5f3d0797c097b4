"""Small tokenizers of every kind that models have, made by hand."""

from string import ascii_letters, digits, punctuation

from tokenizers import AddedToken, Tokenizer, decoders, normalizers, pre_tokenizers, processors
from tokenizers.models import BPE, Unigram, WordLevel, WordPiece
from transformers import PreTrainedTokenizer, PreTrainedTokenizerFast

CHARACTERS = [*ascii_letters, *digits, *punctuation]
WORDS = ["positive", "negative", "mixed", "very", "good", "Review", "Label", "fine", "film", "x", "text"]


def _merged(words, vocabulary):
    """Merges that make each word of its characters, left to right; what they make is added to the vocabulary."""
    merges = []
    for word in words:
        for i in range(1, len(word)):
            merge = (word[:i], word[i])
            if merge not in merges:
                merges.append(merge)
                vocabulary.setdefault(word[: i + 1], len(vocabulary))
    return merges


def _fast(tokenizer, template=None, **named):
    """As transformers loads it; `template` says what stands around a text, `$A`."""
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, **named)
    if template:
        around = [one for one in template.split() if one != "$A"]
        fast.backend_tokenizer.post_processor = processors.TemplateProcessing(
            single=template, special_tokens=[(one, fast.convert_tokens_to_ids(one)) for one in around]
        )
    return fast


def byte_level(template=None, **named):
    """GPT-2's kind: bytes, space before a word is part of it, one special token for everything."""
    vocabulary = {one: i for i, one in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    merges = _merged(["Ġ" + word for word in WORDS] + WORDS + ["ĊĊ"], vocabulary)
    tokenizer = Tokenizer(BPE(vocabulary, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    end = "<|endoftext|>"
    return _fast(tokenizer, template, **({"bos_token": end, "eos_token": end, "unk_token": end} | named))


def chat():
    """ChatML's kind: marks that the template writes, one that is no special token, spaces that are a token."""
    tokenizer = byte_level()
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|im_start|>", "<|im_end|>"]})
    tokenizer.add_tokens([AddedToken("<tool_call>", special=False), AddedToken("    ", special=False)])
    return tokenizer


def llama(template="<s> $A"):
    """Llama 2's kind: a space before every stretch between special tokens, bytes for what the vocabulary lacks."""
    known = ["<unk>", "<s>", "</s>", *(f"<0x{i:02X}>" for i in range(256)), "▁", *CHARACTERS]
    vocabulary = {one: i for i, one in enumerate(known)}
    merges = _merged(["▁" + word for word in WORDS] + WORDS, vocabulary)
    tokenizer = Tokenizer(BPE(vocabulary, merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    spaces, first = decoders.Replace("▁", " "), decoders.Strip(" ", 1, 0)
    tokenizer.decoder = decoders.Sequence([spaces, decoders.ByteFallback(), decoders.Fuse(), first])
    return _fast(tokenizer, template, bos_token="<s>", eos_token="</s>", unk_token="<unk>")


def unigram(template="</s> $A", prepend_scheme="first"):
    """XGLM's kind: a text starts with what is called EOS; only the first stretch has a space before it."""
    known = ["<s>", "</s>", "<unk>", "▁", "\n", *CHARACTERS, *("▁" + word for word in WORDS)]
    pieces = [(one, -1.0 if len(one) > 1 else -3.0) for one in known]
    tokenizer = Tokenizer(Unigram(pieces, unk_id=2))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme=prepend_scheme)
    named = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
    fast = _fast(tokenizer, template, **named)
    fast.add_special_tokens({"additional_special_tokens": ["<|user|>", "<|model|>"]})
    return fast


def uncased(template="[CLS] $A [SEP]"):
    """BERT's kind: no case, no accents, words of pieces."""
    known = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *CHARACTERS, *(f"##{one}" for one in CHARACTERS)]
    known += [word.lower() for word in WORDS if word.lower() not in known]
    tokenizer = Tokenizer(WordPiece({one: i for i, one in enumerate(known)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    names = {"unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]", "pad_token": "[PAD]"}
    return _fast(tokenizer, template, **names, mask_token="[MASK]")


def words(template="<s> $A"):
    """A vocabulary of words: what it lacks is unknown, and the text of a special token is one of its words."""
    known = ["<unk>", "<s>", "</s>", *WORDS, *punctuation]
    tokenizer = Tokenizer(WordLevel({one: i for i, one in enumerate(known)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return _fast(tokenizer, template, bos_token="<s>", eos_token="</s>", unk_token="<unk>")


class Characters(PreTrainedTokenizer):
    """A tokenizer in Python, of characters."""

    def __init__(self, **named):
        self.known = ["<s>", "</s>", "<unk>", " ", "\n", *CHARACTERS]
        super().__init__(bos_token="<s>", eos_token="</s>", unk_token="<unk>", **named)

    @property
    def vocab_size(self):
        return len(self.known)

    def get_vocab(self):
        return {one: i for i, one in enumerate(self.known)}

    def _tokenize(self, text, **_):
        return list(text)

    def _convert_token_to_id(self, token):
        return self.get_vocab().get(token, 2)

    def _convert_id_to_token(self, index):
        return self.known[index]

    def build_inputs_with_special_tokens(self, token_ids_0, token_ids_1=None):
        return [0, *token_ids_0, 1]


def two_before():
    """GLM's kind: two tokens stand before a text."""
    tokenizer = byte_level(eos_token="<|endoftext|>")
    tokenizer.add_special_tokens({"additional_special_tokens": ["[gMASK]", "<sop>"]})
    ids = [(one, tokenizer.convert_tokens_to_ids(one)) for one in ("[gMASK]", "<sop>")]
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="[gMASK] <sop> $A", special_tokens=ids
    )
    return tokenizer


KINDS = {
    "byte-level": byte_level,
    "chat": chat,
    "llama": llama,
    "unigram": unigram,
    "uncased": uncased,
    "words": words,
    "characters": Characters,
    "two before": two_before,
}
