"""Tiny models as GGUF files, written as llama.cpp writes them: what is read of them is known."""

import numpy as np
import torch
from gguf import GGUFWriter
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, Qwen2Config

from workflow_scripts.lib.models.weights import random_model

TEXTS = ["text : the river was cold\nlabel : winter\n", "text : a warm day at the sea\nlabel : summer\n"]
CONFIGS = {"llama": LlamaConfig, "qwen2": Qwen2Config}
SIZES = {
    "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 3, "num_attention_heads": 4,
    "num_key_value_heads": 2, "max_position_embeddings": 256, "tie_word_embeddings": False,
}  # fmt: skip
IN_BLOCK = {
    "attn_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm", "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj", "attn_output": "self_attn.o_proj",
    "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj",
}  # fmt: skip
OUTSIDE = {"token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head"}


def vocabulary():
    """A byte-level BPE as a tokenizer of the tokenizers library."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer, tokenizer.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=300, initial_alphabet=alphabet, special_tokens=["<eos>"])
    tokenizer.train_from_iterator(TEXTS * 5, trainer)
    return tokenizer


def tiny(architecture):
    """A random model whose weights all differ, those that architectures begin with at 0 or 1 among them."""
    tokenizer = vocabulary()
    config = CONFIGS[architecture](vocab_size=tokenizer.get_vocab_size(), **SIZES, eos_token_id=0, bos_token_id=0)
    model = random_model(config, seed=3).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(5)))
    return model, tokenizer


def write(path, architecture, *, without=(), besides=(), settings=None):
    """A GGUF file of a tiny model; `without` and `besides` spoil its tensors. The model and its tokenizer."""
    model, tokenizer = tiny(architecture)
    writer = GGUFWriter(path, settings.pop("architecture", architecture) if settings else architecture)
    _settings(writer, model.config)
    for key, value in (settings or {}).items():
        writer.add_uint32(key, value)
    _tokenizer(writer, tokenizer)
    for name, weight in tensors(model, architecture).items():
        if name not in without:
            writer.add_tensor(name, weight)
    for name in besides:
        writer.add_tensor(name, np.ones(4, dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return model, tokenizer


def _settings(writer, config):
    writer.add_name(f"tiny {config.model_type}")
    writer.add_license("mit")
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_vocab_size(config.vocab_size)


def _tokenizer(writer, tokenizer):
    import json

    words = sorted(tokenizer.get_vocab(), key=tokenizer.get_vocab().__getitem__)
    merges = json.loads(tokenizer.to_str())["model"]["merges"]
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(words)
    writer.add_token_types([3 if word == "<eos>" else 1 for word in words])
    writer.add_token_merges([" ".join(merge) for merge in merges])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(0)


def tensors(model, architecture):
    """llama.cpp's name -> weight; it turns the rows of LLaMA's queries and keys."""
    state = {name: weight.numpy() for name, weight in model.state_dict().items()}
    found = {f"{ours}.weight": state[f"{name}.weight"] for ours, name in OUTSIDE.items()}
    for layer in range(model.config.num_hidden_layers):
        for ours, name in IN_BLOCK.items():
            for kind in ("weight", "bias"):
                weight = state.get(f"model.layers.{layer}.{name}.{kind}")
                if weight is not None:
                    found[f"blk.{layer}.{ours}.{kind}"] = _turned(weight, ours, architecture, model.config)
    return found


def _turned(weight, name, architecture, config):
    heads = {"attn_q": config.num_attention_heads, "attn_k": config.num_key_value_heads}.get(name)
    if architecture != "llama" or heads is None:
        return weight
    return weight.reshape(heads, 2, len(weight) // heads // 2, -1).swapaxes(1, 2).reshape(weight.shape)
