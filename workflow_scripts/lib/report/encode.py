"""Tidy tables as a page holds them: once, in a few bytes a number, and read back by script.py.

Keys are codes into a list of words; numbers are thousandths as differences from the row before (of the ends of an
interval: from the mean), 16 bits each with low and high bytes apart. Neighbouring rows are much alike, so that little
is left of it after deflate: some two bytes a number in the page.
"""

import base64
import json
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workflow_scripts.lib.report.tidy import Tidy

MISSING = -32768
LARGEST = 16000  # of a code, so that differences of two fit into 16 bits
FINEST = 1e-3


def encoded(tables: Mapping[str, Tidy]) -> dict[str, Any]:
    """`tables`: name -> rows, keys with their words, numbers with their scale; `bytes`: base64 of all columns."""
    told, columns = {}, []
    for name, table in tables.items():
        by_column = list(zip(*table.rows, strict=True)) or [()] * (len(table.keys) + len(table.numbers))
        keys, numbers = by_column[: len(table.keys)], by_column[len(table.keys) :]
        words = [list(dict.fromkeys(column)) for column in keys]
        for column, some in zip(keys, words, strict=True):
            places = {word: i for i, word in enumerate(some)}
            columns.append(np.array([places[word] for word in column], dtype=np.int64))
        scale = _scale(numbers)
        columns += _differences([_codes(column, scale) for column in numbers], table.numbers)
        told[name] = {
            "rows": len(table.rows),
            "keys": dict(zip(table.keys, words, strict=True)),
            "numbers": table.numbers,
            "scale": scale,
        }
    packed = zlib.compress(b"".join(map(_split, columns)), 9)
    return {"tables": told, "bytes": base64.b64encode(packed).decode("ascii")}


def _scale(numbers: Sequence[Sequence[float | None]]) -> float:
    """What a code of 1 is worth: a thousandth, or more where numbers are too large for that."""
    largest = max((abs(value) for column in numbers for value in column if value is not None), default=0.0)
    return float(max(FINEST, largest / LARGEST))


def _codes(column: Sequence[float | None], scale: float) -> NDArray[np.int64]:
    return np.array([MISSING if value is None else round(value / scale) for value in column], dtype=np.int64)


def _differences(codes: list[NDArray[np.int64]], names: Sequence[str]) -> list[NDArray[np.int64]]:
    """The ends of an interval less its mean, all else less the row before; what is missing counts as a number there."""
    mean = codes[names.index("mean")]
    return [
        np.where((one == MISSING) | (mean == MISSING), MISSING, one - mean)
        if _is_end(name)
        else np.diff(one, prepend=0)
        for name, one in zip(names, codes, strict=True)
    ]


def _is_end(name: str) -> bool:
    return name.endswith(("low", "high"))


def _split(column: NDArray[np.int64]) -> bytes:
    """Low bytes and then high bytes of 16-bit integers; they wrap around, and back as they are summed."""
    both = column.astype("<i8").astype("<i2").view(np.uint8).reshape(-1, 2)
    return both[:, 0].tobytes() + both[:, 1].tobytes()


def as_script(content: Any) -> str:
    """JSON that may stand in a <script>: no `<` in it, so that no name ends it."""
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
