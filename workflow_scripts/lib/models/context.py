"""How many tokens a model's context holds."""

from typing import TYPE_CHECKING, Any

from workflow_scripts.lib.models.tiny import tiny_configs
from workflow_scripts.lib.models.weights import empty_model

if TYPE_CHECKING:
    from transformers import PreTrainedConfig

# By the names that configs have for it; the first that is there counts.
NAMES = (
    *("max_position_embeddings", "n_positions", "max_seq_len", "max_sequence_length", "max_seq_length"),
    *("seq_length", "n_ctx", "max_target_positions", "model_max_length", "context_length"),
)


def context_length(config: "PreTrainedConfig") -> int | None:
    """Tokens that a model's context holds; None where its config names no limit."""
    text: Any = config.get_text_config(decoder=True)
    found = (getattr(one, name, None) for one in (text, config) for name in NAMES)
    context = next((value for value in found if isinstance(value, int) and value > 0), None)
    return context - _lost(config, context) if context else None


def _lost(config: "PreTrainedConfig", context: int) -> int:
    """Positions that no token has: models like RoBERTa begin to count after the index of padding."""
    from torch import nn

    for one in tiny_configs(config):
        try:
            modules = list(empty_model(one).modules())
        except Exception:  # a copy whose sizes do not fit together
            continue
        tables = [part for part in modules if isinstance(part, nn.Embedding) and part.num_embeddings == context]
        return next((part.padding_idx + 1 for part in tables if part.padding_idx is not None), 0)
    return 0
