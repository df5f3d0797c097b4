"""Small copies of architectures: the same classes and kinds of layers, few and narrow, with random weights.

They show in seconds what a model of these classes allows, before its own weights are loaded.
"""

import math
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transformers import PreTrainedConfig

VOCABULARY, MOST_LAYERS = 512, 8
STEP = 16  # of widths: grouped products take rows of 16 bytes
# Layers and heads of copies, small ones first; deeper and wider ones are for sizes that have to fit together.
SIZES: tuple[tuple[int, int | None], ...] = ((2, 2), (MOST_LAYERS, 2), (2, 8), (2, None))

# What configs call things. Where a new name is missing here a copy stays wide or deep, or is not made.
LAYERS = re.compile(r"^(n_layers?|num_layers|num_blocks|(num_)?((en|de)coder|hidden)_layers|depth)$")
LAYER_NUMBERS = re.compile(r"(layers|idxs|layer_ids|layer_indices)$")
HEADS = re.compile(r"(^|_)(n_heads?|(num|attention|key_value|kv|key|value)_heads?|num_query_groups)$|_heads$")
WIDTHS = re.compile(
    r"(hidden|intermediate|ffn|embedding|embd|inner|feed_forward)_?(size|dim)|ffn_dim$|"
    r"^(d_model|n_embd|n_inner|d_inner|dff|dim_ff|emb_dim|word_embed_proj_dim|lru_width|mamba_d_ssm)$"
)
KEPT_WIDTHS = re.compile(r"head_(dim|size)|per_layer_input|router")
# Layers at the start or the end that are of another kind, experts, experts of a token, groups of experts and heads.
AT_MOST = (
    (re.compile(r"(dense_replace|dense_layers|kv_shared_layers|dense_layer_num)$"), 1),
    (re.compile(r"^(moe_)?num_(local_)?experts$|^n_routed_experts$|^zero_expert_num$"), 4),
    (re.compile(r"experts_per_tok(en)?$|^moe_topk$|^moe_k$|^top_k_experts$"), 2),
    (re.compile(r"^(n_group|topk_group|(mamba_)?n_groups)$"), 1),
)


def tiny_configs(config: "PreTrainedConfig") -> Iterator["PreTrainedConfig"]:
    """Configs of copies, small ones first; a config that its class refuses is left out."""
    for layers, heads in SIZES:
        try:
            yield type(config).from_dict(_Small(layers, heads).config(config.to_dict()))
        except Exception:
            continue


class _Small:
    """What becomes of a config's values, with about as many layers and heads; None leaves heads as they are.

    What a head has (its width, its rotary frequencies) stays, because sizes elsewhere have to fit it.
    """

    def __init__(self, layers: int, heads: int | None) -> None:
        self.layers, self.heads = layers, heads

    def config(self, values: dict[str, Any]) -> dict[str, Any]:
        """The values of a config or of one that it has inside."""
        depth = next((n for name, n in values.items() if LAYERS.match(name) and isinstance(n, int)), 0)
        kept = self._kept(values, depth)
        heads = max((n for name, n in values.items() if HEADS.search(name) and isinstance(n, int)), default=1)
        factor = heads // math.gcd(heads, self.heads) if self.heads else 1
        small = {name: self._value(name, value, depth, kept, factor) for name, value in values.items()}
        return small | _apart({name: (values[name], small[name]) for name in values if _is_width(name, values[name])})

    def _kept(self, values: dict[str, Any], depth: int) -> int:
        """As many layers as it takes to have every kind that the config lists layer by layer."""
        lists = [list(map(str, one)) for one in values.values() if isinstance(one, list) and len(one) == depth > 0]
        kinds = [next(n for n in range(1, depth + 1) if set(one[:n]) == set(one)) for one in lists]
        return min(max([self.layers, *kinds]), MOST_LAYERS, depth)

    def _value(self, name: str, value: Any, depth: int, kept: int, factor: int) -> Any:
        if isinstance(value, dict):
            if name.endswith("_config") and not all(map(_is_number, value)):
                return self.config(value)
            return {key: one for key, one in value.items() if not _is_number(key) or int(key) < kept}
        if isinstance(value, list) and depth and len(value) == depth:
            return value[:kept]
        if isinstance(value, list) and LAYER_NUMBERS.search(name):
            return [one for one in value if not isinstance(one, int) or one < kept]
        if name.endswith("token_id"):
            return _in_vocabulary(value)
        if not isinstance(value, int) or isinstance(value, bool):
            return value
        return self._size(name, value, kept, factor)

    def _size(self, name: str, value: int, kept: int, factor: int) -> int:
        if "vocab_size" in name:
            return min(value, VOCABULARY)
        if LAYERS.match(name):
            return min(value, kept)
        for pattern, most in AT_MOST:
            if pattern.search(name):
                return min(value, most)
        if HEADS.search(name):
            return max(1, value // factor)
        if _is_width(name, value):
            return max(STEP, value // factor // STEP * STEP)
        return value


def _is_width(name: str, value: Any) -> bool:
    plain = isinstance(value, int) and not isinstance(value, bool)
    return plain and bool(WIDTHS.search(name)) and not KEPT_WIDTHS.search(name)


def _apart(widths: dict[str, tuple[int, int]]) -> dict[str, int]:
    """Names -> small widths that are unequal where those that they come from, (width, small), are."""
    made: dict[int, int] = {}
    for width, small in sorted(widths.values()):
        made.setdefault(width, max(small, *(other + STEP for other in made.values()), 0))
    return {name: made[width] for name, (width, _) in widths.items()}


def _is_number(key: Any) -> bool:
    return str(key).isdigit()


def _in_vocabulary(ids: Any) -> Any:
    if isinstance(ids, list):
        return [one % VOCABULARY for one in ids]
    return ids % VOCABULARY if isinstance(ids, int) else ids
