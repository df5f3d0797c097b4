"""What is kept of the states that were read: some layers, in the precision that they have on disk."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from workflow_scripts.lib.errors import StudyError
from workflow_scripts.lib.forward.settings import DumpHiddenStates


class StorageError(StudyError):
    """A state that the precision on disk does not hold."""


class Kept(NamedTuple):
    """Numbers of layers, and their states."""

    layers: list[int]
    states: Float[np.ndarray, "prompt layer d_model"]


def kept(states: Float[np.ndarray, "prompt layer d_model"], settings: DumpHiddenStates, *, exact: bool) -> Kept:
    """The layers that settings keep; in float32, where they are to be `exact`.

    StorageError where a value is beyond what float16 holds.
    """
    layers, dtype = settings.kept(states.shape[1]), np.dtype("float32" if exact else settings.storage)
    some = states[:, layers]
    largest = np.abs(some).max(axis=(0, 2), initial=0)
    if largest.max() > np.finfo(dtype).max:
        raise StorageError(
            f"the states of layer {layers[int(largest.argmax())]} reach {largest.max():.3g} and {dtype} holds "
            f"{np.finfo(dtype).max:.0f}; set dump_hidden_states.storage to float32"
        )
    return Kept(layers, some.astype(dtype, copy=False))
