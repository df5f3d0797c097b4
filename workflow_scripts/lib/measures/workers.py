"""Threads that share out the work of a layer. Each piece is done whole by one of them, whatever their number."""

import ctypes
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

import numpy as np

Item = TypeVar("Item")
Result = TypeVar("Result")

# What numpy's wheels, conda's and a distribution's packages call the same two functions.
OPENBLAS = ("scipy_openblas_{}_num_threads64_", "scipy_openblas_{}_num_threads", "openblas_{}_num_threads")

SHARES = 32  # of the work, so that no thread waits long for the last


class Workers:
    """A pool of threads."""

    def __init__(self, pool: ThreadPoolExecutor) -> None:
        self._pool = pool

    def each(self, function: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
        """What a function gives of every item, in their order; a thread takes some at a time, as handing over costs."""
        waiting = list(items)
        step = max(1, len(waiting) // SHARES)
        shares = [waiting[start : start + step] for start in range(0, len(waiting), step)]
        done = self._pool.map(lambda share: [function(item) for item in share], shares)
        return [result for share in done for result in share]

    def ahead(self, function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """The same one by one, the next made while the caller is at one."""
        coming: Future[Result] | None = None
        for item in items:
            made, coming = coming, self._pool.submit(function, item)
            if made is not None:
                yield made.result()
        if coming is not None:
            yield coming.result()


@contextmanager
def workers(threads: int) -> Iterator[Workers]:
    """So many threads, and none of numpy's own beside them: these would fight, and round otherwise by their number."""
    with _blas_of_one_thread(), ThreadPoolExecutor(threads) as pool:
        yield Workers(pool)


@contextmanager
def _blas_of_one_thread() -> Iterator[None]:
    found = _openblas()
    if found is None:  # another BLAS: OMP_NUM_THREADS=1 does the same from outside
        yield
        return
    asked, told = found
    before = asked()
    told(1)
    try:
        yield
    finally:
        told(before)


def _openblas() -> tuple[Any, Any] | None:
    """How many threads numpy's OpenBLAS has, and how to set that; numpy has no call for it."""
    library = ctypes.CDLL(np.linalg._umath_linalg.__file__)
    for name in OPENBLAS:
        if hasattr(library, name.format("set")):
            return getattr(library, name.format("get")), getattr(library, name.format("set"))
    return None
