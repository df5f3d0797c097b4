"""Python's compiled modules, which it takes for current where size and whole second of the source are the same."""

import importlib.util
from pathlib import Path


def drop_stale(folders: tuple[str, ...]) -> None:
    """Remove compiled modules of ours that are older than their source, however it is dated.

    An edit of equal length within a second of an import would go unseen, and the old code run under the new name.
    """
    for module in (path for folder in folders for path in Path(folder).rglob("*.py")):
        compiled = Path(importlib.util.cache_from_source(str(module)))
        if compiled.exists() and compiled.stat().st_mtime_ns <= module.stat().st_ctime_ns:
            compiled.unlink(missing_ok=True)
