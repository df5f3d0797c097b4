"""The pocket model: a LLaMA of 0.2 million parameters and a word-level tokenizer for the text world."""

import torch
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from workflow_scripts.lib.pocket.initialisation import ROPE_BASE, favour_induction
from workflow_scripts.lib.world.texts import vocabulary


def tokenizer() -> PreTrainedTokenizerFast:
    r"""Return the tokenizer: a token is a word, a newline, or one of `.,?!:`; spaces only separate.

    It puts one `<s>` first unless `add_special_tokens=False`. Pieces of a prompt that are cut between words,
    tokenised one by one (only the first with special tokens) and joined, give the ids of the whole prompt.
    """
    words = vocabulary()
    words_only = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    words_only.normalizer = normalizers.Lowercase()
    words_only.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(" +"), "removed"),
            pre_tokenizers.Split(Regex(r"\n|[.,?!:]"), "isolated"),
        ]
    )
    words_only.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", words["<s>"])])
    return PreTrainedTokenizerFast(
        tokenizer_object=words_only,
        bos_token="<s>",
        eos_token="</s>",
        pad_token="<pad>",
        unk_token="<unk>",
        model_max_length=configuration().max_position_embeddings,
    )


def configuration() -> LlamaConfig:
    """Return the architecture: 4 layers, 4 heads, hidden size 64, tied embeddings, 2,048 positions."""
    words = vocabulary()
    return LlamaConfig(
        vocab_size=len(words),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=2048,
        rope_parameters={"rope_type": "default", "rope_theta": ROPE_BASE},
        tie_word_embeddings=True,
        bos_token_id=words["<s>"],
        eos_token_id=words["</s>"],
        pad_token_id=words["<pad>"],
    )


def initial_model(seed: int) -> LlamaForCausalLM:
    """Return the model before training, in float32; equal seeds give equal weights.

    The start is favourable, not plain noise (see lib.pocket.initialisation): the ability to learn in context
    is trained, but it does not emerge from random weights. The global random state is left as it was.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = LlamaForCausalLM(configuration())
        favour_induction(model)
    return model.eval()
