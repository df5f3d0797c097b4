"""Putting into a model what was tuned for it, whichever way: the one thing that a dump knows of tuning."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from transformers import PreTrainedModel

from workflow_scripts.lib.forward.shared_prefix import Parts
from workflow_scripts.lib.lora.apply import with_adapter
from workflow_scripts.lib.lora.files import read_config
from workflow_scripts.lib.tuning.deltas import DELTAS, with_deltas
from workflow_scripts.lib.tuning.prefix_file import KIND, read_prefix


@contextmanager
def put_in(base: PreTrainedModel, folder: Path | None) -> Iterator[Parts | None]:
    """Within the block `base` runs as it was tuned, after it as it was; without a folder as it is.

    Gives keys and values that stand in the place of those of the prompt's prefix, where it was these that were tuned.
    AdapterError where the folder cannot be read or does not fit.
    """
    if folder is None:
        yield None
    elif (folder / DELTAS).is_file():
        with with_deltas(base, folder):
            yield None
    elif read_config(folder).get("peft_type") == KIND:
        yield read_prefix(folder)
    else:
        with with_adapter(base, folder):
            yield None
