"""Ways of tuning on sets: what is trained, and how that is saved. To add one is a row of WAYS."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from transformers import PreTrainedModel

from workflow_scripts.lib.lora.config import adapter_config, save_adapter
from workflow_scripts.lib.lora.settings import TuneLora
from workflow_scripts.lib.lora.train import tune
from workflow_scripts.lib.tuning.full import TunedModel, save_deltas, tune_all
from workflow_scripts.lib.tuning.prefix import TunedPrefix, tune_prefixes
from workflow_scripts.lib.tuning.prefix_file import save_prefix

# (base, cases, settings, progress, kept_steps) -> of each case what was tuned, with `summary()` for tuning.parquet and
# `on_the_way`: step -> the same after it, of the steps that were to be kept. As lora/train.tune.
Tune = Callable[..., Iterator[Any]]
Save = Callable[[Any, Path], None]


class Way(NamedTuple):
    """One way of tuning.

    saver: what writes a result into a folder of its own, for a base and its settings.
    in_the_prompt: what is tuned stands where the prompt shows the set, so that examples continue after it.
    """

    tune: Tune
    saver: Callable[[PreTrainedModel, TuneLora], Save]
    in_the_prompt: bool = False


def _adapters(base: PreTrainedModel, settings: TuneLora) -> Save:
    config = adapter_config(base, settings)
    return lambda adapter, folder: save_adapter(adapter, config, folder)


def _prefixes(base: PreTrainedModel, settings: TuneLora) -> Save:
    def save(prefix: TunedPrefix, folder: Path) -> None:
        save_prefix(prefix.parts, prefix.fixed, folder)

    return save


def _deltas(base: PreTrainedModel, settings: TuneLora) -> Save:
    def save(tuned: TunedModel, folder: Path) -> None:
        save_deltas(tuned.deltas, folder)

    return save


WAYS = {
    "lora": Way(tune, _adapters),
    "prefix": Way(tune_prefixes, _prefixes, in_the_prompt=True),
    "model": Way(tune_all, _deltas),
}
