"""Where an artifact comes from: digests of data, and settings.

Nothing here differs between two equal runs (no time, host or path), so that equal work gives equal bytes.
"""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel


def digest(value: Any) -> str:
    """16 hex digits of the SHA-256 of a value, as JSON with sorted keys."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, default=_plain)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, Path):
        return value.as_posix()
    raise TypeError(f"{type(value).__name__} has no digest: {value!r}")


def ids_digest(ids: Sequence[int]) -> str:
    """16 hex digits of the SHA-256 of token ids."""
    return hashlib.sha256(",".join(map(str, ids)).encode()).hexdigest()[:16]


def file_digest(path: Path) -> str:
    """SHA-256 of a file's bytes, 64 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def origin(**settings: Any) -> dict[str, Any]:
    """What an artifact says of itself: the settings that it was made with, device and the like included.

    Code and libraries stand in the recipe beside it.
    """
    return {"settings": json.loads(json.dumps(settings, default=_plain))}
