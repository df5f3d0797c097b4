"""Windows that layers attend to, made small for a trial: real ones are longer than any prompt that is quick to run."""

from collections.abc import Iterator
from contextlib import contextmanager

from transformers import PreTrainedModel

NAMES = ("sliding_window", "attention_chunk_size")  # as configs call them; masks and caches go by these


@contextmanager
def window_of(model: PreTrainedModel, tokens: int) -> Iterator[None]:
    """Within the block the model attends to so many tokens where it has a window."""
    config = model.config.get_text_config(decoder=True)
    before = {name: getattr(config, name, None) for name in NAMES}
    try:
        for name, window in before.items():
            if window is not None:
                setattr(config, name, tokens)
        yield
    finally:
        for name, window in before.items():
            if window is not None:
                setattr(config, name, window)
