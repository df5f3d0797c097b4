"""Keys and values of a prefix in peft's format of a Cartridge: prompt_embeddings [token, layer, (key, value), head]."""

import json
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from workflow_scripts.lib.forward.shared_prefix import Parts
from workflow_scripts.lib.lora.files import CONFIG, WEIGHTS, AdapterError, read_config, read_tensors

KIND, TENSOR = "CARTRIDGE", "prompt_embeddings"


def packed(parts: Parts) -> Tensor:
    """[token, 2 x layer x head x d_head], as peft flattens it; AdapterError where shapes differ between layers."""
    tensors = [one for layer in parts for one in layer]
    shapes = sorted({tuple(one.shape) for one in tensors})
    if len(shapes) > 1:
        raise AdapterError(
            f"keys and values have several shapes ({shapes[0]}, {shapes[-1]}), which peft's format of a tuned prefix "
            "does not hold; leave `prefix` out of `arms`"
        )
    return torch.stack([one[0].transpose(0, 1) for one in tensors], dim=1).flatten(1)


def save_prefix(parts: Parts, fixed: int, folder: Path) -> None:
    """Write adapter_config.json and adapter_model.safetensors, which peft reads too."""
    _, heads, tokens, width = parts[0][0].shape
    config = {
        "peft_type": KIND,
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": None,
        "inference_mode": True,
        "num_virtual_tokens": tokens,
        "num_frozen_tokens": fixed,
        "num_layers": len(parts),
        "num_attention_heads": heads,
        "num_transformer_submodules": 1,
        "token_dim": heads * width,
    }
    tensor = packed(parts)
    folder.mkdir(parents=True)
    (folder / CONFIG).write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    save_file({TENSOR: tensor.contiguous()}, folder / WEIGHTS, metadata={"format": "pt"})


def read_prefix(folder: Path) -> Parts:
    """What `save_prefix` was given; AdapterError where the folder holds something else."""
    config, tensors = read_config(folder), read_tensors(folder)
    try:
        layers, heads = config["num_layers"], config["num_attention_heads"]
        by_layer = tensors[TENSOR].unflatten(1, (layers, 2, heads, -1)).permute(1, 2, 3, 0, 4).unsqueeze(2)
    except (KeyError, RuntimeError) as error:
        raise AdapterError(f"{folder}: no tuned prefix in peft's format: {error}") from None
    return [(keys, values) for keys, values in by_layer]
