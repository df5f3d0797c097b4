"""States on disk: a Parquet file for each arm of a setting, a row group for each set, a row for each query.

Arms that no set changes (the anchor) have one row group, whose set is null. All that is known of the format is here, in
states_writing.py and, with what is checked before anything is measured, in states.py.
"""

from typing import NamedTuple

import numpy as np
import pyarrow as pa

COLUMNS = {
    "arm": pa.string(),
    "set": pa.string(),
    "demonstration_tokens": pa.string(),
    "query": pa.string(),
    "label": pa.int32(),
    "label_token_id": pa.int32(),
    "prompt_tokens": pa.string(),
    "token_id": pa.int32(),
    "token": pa.string(),
    "top_token_id": pa.int32(),
}
VECTORS, LAYER = "label_log_probs", "layer_"
OF_LABELS = {"open_label": pa.int32()}
OF_TEXTS = {
    "answer": pa.string(),
    "answer_tokens": pa.int32(),
    "answer_log_prob": pa.float32(),
    "written": pa.string(),
}
UNEMBEDDING = b"label_unembedding"
BEFORE_NORM = b"label_unembedding_before_norm"


class Unembedding(NamedTuple):
    """By what the LM head tells the labels' first tokens, (labels, d) float32 each: in the last state, and before it.

    `last`: rows of the head. `before_norm`: the directions that these are in states that the final norm has yet to
    scale, up to one positive factor; None where that is not known (forward/final_norm.py).
    """

    last: np.ndarray
    before_norm: np.ndarray | None


class Given(NamedTuple):
    """What the rows of a row group share: the arm, the set that it was given, a digest of the set's token ids."""

    arm: str
    set: str | None = None
    demonstration_tokens: str | None = None

    def __str__(self) -> str:
        """The row group as errors name it."""
        return self.arm if self.set is None else f"{self.arm}, set {self.set}"
