"""How alike texts are by vectors of them."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from workflow_scripts.lib.data.examples import Example

# Queries and pool -> for every query how alike it and every example of the pool are.
Similarity = Callable[[Sequence[Example], Sequence[Example]], list[list[float]]]


def by_vectors(encode: Callable[[Sequence[str]], NDArray[np.float32]], *, centred: bool) -> Similarity:
    """The cosine of vectors that `encode` makes of texts.

    `centred`: of what is left of them without the pool's mean. States of a language model share a large part
    (Ethayarajh 2019), which makes all cosines nearly 1 and says nothing of which are more alike.
    """

    def similarity(queries: Sequence[Example], pool: Sequence[Example]) -> list[list[float]]:
        candidates, asked = (encode([text_of(one) for one in some]).astype(np.float64) for some in (pool, queries))
        mean = candidates.mean(axis=0) if centred else np.zeros(candidates.shape[1])
        return (_units(asked - mean) @ _units(candidates - mean).T).tolist()

    return similarity


def text_of(example: Example) -> str:
    """An example's text as it is encoded: its fields, one a line."""
    return "\n".join(example.fields.values())


def longest_first(rule: str) -> Similarity:
    """Stands in for a similarity that is not known yet: a rule then chooses the longest texts, as a check wants."""
    sign = 1 if rule == "nearest" else -1

    def similarity(queries: Sequence[Example], pool: Sequence[Example]) -> list[list[float]]:
        return [[float(sign * len(text_of(one))) for one in pool]] * len(queries)

    return similarity


def _units(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 0)
