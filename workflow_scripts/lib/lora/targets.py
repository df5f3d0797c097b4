"""Which modules are tuned: those that the settings name, or all linear ones in which every row keeps its place."""

from collections import defaultdict
from contextlib import ExitStack
from typing import Any

import torch
from peft import LoraConfig
from peft.tuners.tuners_utils import _check_lora_target_modules_mamba as check_lora_target_modules
from peft.utils.transformers_weight_conversion import convert_peft_config_for_transformers
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

PROBES = ((2, 5), (3, 7))  # rows and tokens; an expert that is given all tokens of one is not given all of the other


def is_linear(module: nn.Module) -> bool:
    """What peft takes for a linear module; some routers are, and put out more than a product."""
    return isinstance(module, nn.Linear | Conv1D)


def linear_modules(base: PreTrainedModel) -> list[str]:
    """Names of all linear modules but the LM head, in the model's order."""
    head = base.get_output_embeddings()
    return [name for name, module in base.named_modules() if is_linear(module) and module is not head]


@torch.inference_mode()
def all_linear(base: PreTrainedModel) -> list[str]:
    """The linear modules that every row of every batch runs through, and that peft adapts.

    Experts are left out where each is given tokens of any row: rows of several adapters could not run together.
    """
    names = linear_modules(base)
    seen: dict[str, list[bool]] = defaultdict(list)

    def look(name: str, rows: int, columns: int) -> Any:
        def hook(_: nn.Module, args: tuple[Tensor, ...], output: Any) -> None:
            whole = args[0].shape[:-1] in ((rows, columns), (rows * columns,))
            seen[name].append(whole and isinstance(output, Tensor))

        return base.get_submodule(name).register_forward_hook(hook)

    for rows, columns in PROBES:
        ids = torch.arange(1, 1 + rows * columns, device=base.device).view(rows, columns)
        with ExitStack() as hooks:
            for name in names:
                hooks.callback(look(name, rows, columns).remove)
            base(input_ids=ids)
    leaves = {name.rpartition(".")[2] for name in names}
    adapted = {leaf for leaf in leaves if _peft_adapts(base, leaf)}
    return [n for n in names if len(seen[n]) >= len(PROBES) and all(seen[n]) and n.rpartition(".")[2] in adapted]


def feed_forward(base: PreTrainedModel) -> list[str]:
    """Those of all_linear that stand in no attention, by the name of its class."""
    attention = [f"{name}." for name, module in base.named_modules() if "Attention" in type(module).__name__]
    return [name for name in all_linear(base) if not name.startswith(tuple(attention))]


def _peft_adapts(base: PreTrainedModel, leaf: str) -> bool:
    """Does peft adapt modules of a name.

    It refuses some of state spaces, and takes other names for the experts' parameters that had them in earlier releases
    of transformers.
    """
    config = LoraConfig(target_modules=[leaf], task_type="CAUSAL_LM")
    try:
        check_lora_target_modules(config, base, leaf)
        convert_peft_config_for_transformers(config, base, None)
    except ValueError:
        return False
    return not config.target_parameters
