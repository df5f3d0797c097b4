"""Shapes of models as their publishers give them, for where the hub is out of reach: enough to plan, not to run."""

from typing import Any

from transformers import LlamaConfig, Qwen2Config, Qwen3Config

_LLAMA_2 = {"vocab_size": 32_000, "max_position_embeddings": 4096}
_7B = _LLAMA_2 | {"hidden_size": 4096, "intermediate_size": 11_008, "num_hidden_layers": 32, "num_attention_heads": 32}
_13B = _LLAMA_2 | {"hidden_size": 5120, "intermediate_size": 13_824, "num_hidden_layers": 40, "num_attention_heads": 40}
_QWEN_3_8B = {
    **{"hidden_size": 4096, "intermediate_size": 12_288, "num_hidden_layers": 36, "num_attention_heads": 32},
    **{"num_key_value_heads": 8, "head_dim": 128, "vocab_size": 151_936, "max_position_embeddings": 32_768},
}
_QWEN_25_HALF_B = {
    **{"hidden_size": 896, "intermediate_size": 4864, "num_hidden_layers": 24, "num_attention_heads": 14},
    **{"num_key_value_heads": 2, "vocab_size": 151_936, "max_position_embeddings": 32_768, "tie_word_embeddings": True},
}
SHAPES: dict[str, tuple[type[Any], dict[str, Any]]] = {
    "meta-llama/Llama-2-7b-hf": (LlamaConfig, _7B),
    "meta-llama/Llama-2-7b-chat-hf": (LlamaConfig, _7B),
    "meta-llama/Llama-2-13b-hf": (LlamaConfig, _13B),
    "meta-llama/Llama-2-13b-chat-hf": (LlamaConfig, _13B),
    "Qwen/Qwen3-8B-Base": (Qwen3Config, _QWEN_3_8B),
    "Qwen/Qwen2.5-0.5B": (Qwen2Config, _QWEN_25_HALF_B),
}


def shape(hub_id: str) -> Any:
    """The config of a model by its id; None where it is in no list."""
    if hub_id not in SHAPES:
        return None
    kind, values = SHAPES[hub_id]
    return kind(**values)
