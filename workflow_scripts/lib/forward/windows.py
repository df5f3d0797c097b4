"""Windows that layers attend to, made small for a trial: real ones are longer than any prompt that is quick to run."""

from collections.abc import Iterator
from contextlib import contextmanager

from transformers import PreTrainedModel

NAMES = ("sliding_window", "attention_chunk_size")  # as configs call them; masks and caches go by these


def has_window(model: PreTrainedModel) -> bool:
    """Does the model's config name a window that layers attend to."""
    return bool(_windows(model))


@contextmanager
def window_of(model: PreTrainedModel, tokens: int) -> Iterator[None]:
    """Within the block the model attends to so many tokens where it has a window."""
    config, before = model.config.get_text_config(decoder=True), _windows(model)
    try:
        for name in before:
            setattr(config, name, tokens)
        yield
    finally:
        for name, window in before.items():
            setattr(config, name, window)


def _windows(model: PreTrainedModel) -> dict[str, int]:
    config = model.config.get_text_config(decoder=True)
    there = {name: getattr(config, name, None) for name in NAMES}
    return {name: window for name, window in there.items() if window is not None}
