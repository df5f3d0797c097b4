"""The machine at hand: cores, memory, disk; and how fast it reads and tunes, measured in seconds on a small sample."""

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch

from workflow_scripts.lib.data.prompts import Completion
from workflow_scripts.lib.forward.reader import Reader
from workflow_scripts.lib.lora.settings import TuneLora
from workflow_scripts.lib.lora.train import Case, tune
from workflow_scripts.lib.models.weights import random_model
from workflow_scripts.lib.plan.arithmetic import Reading, Tuning
from workflow_scripts.lib.plan.lengths import Lengths
from workflow_scripts.lib.plan.work import Asked, read, tuned

SAMPLE = 1e11  # FLOPs: some seconds of one core
LARGEST = 3e8  # weights of a model that is run for that; of larger ones a plain product tells
REACHED = 0.6  # of the rate of a plain product (docs/performance.md)
SIDE = 1024
LATER = 3  # steps of tuning in the longer of two samples


class Machine(NamedTuple):
    """Cores, bytes of memory that are free, bytes of disk that are."""

    cores: int
    memory: float
    disk: float


class Rates(NamedTuple):
    """Seconds that a FLOP takes one core, read and tuned; whether they are of the model itself."""

    read: float
    tune: float
    measured: bool


def here(folder: Path = Path()) -> Machine:
    """The machine at hand; the disk is that of a folder."""
    meminfo = Path("/proc/meminfo")
    lines = meminfo.read_text(encoding="utf-8").splitlines() if meminfo.exists() else []
    known = {name: float(rest.split()[0]) * 1024 for name, _, rest in (line.partition(":") for line in lines)}
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return Machine(len(os.sched_getaffinity(0)), known.get("MemAvailable", pages), shutil.disk_usage(folder).free)


def rates(config: Any, model: Reading, tuning: Tuning, at: Lengths, settings: TuneLora) -> Rates:
    """Measured on one core: a set's queries read, some adapters tuned for two steps, as the study has them."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        if model.weights > LARGEST:
            of_product = _product() / REACHED
            return Rates(of_product, of_product, measured=False)
        return _rates(config, model, tuning, at, settings)
    finally:
        torch.set_num_threads(threads)


def _rates(config: Any, model: Reading, tuning: Tuning, at: Lengths, settings: TuneLora) -> Rates:
    made = random_model(config, seed=0).eval()
    first = at.sets[0]
    count = _within(lambda n: read(model, [Asked(first.shown, first.queries[:n])], (1,), sharing=True).flops)
    some = [_ids(length) for length in first.queries[:count]]
    reader = Reader(made, [[1], [2]], tokens_per_batch="auto")
    reading = _seconds(lambda: reader.read(_ids(first.shown), some))

    def of_sets(number: int, steps: int = LATER) -> float:
        some = at._replace(sets=at.sets[:number])
        quick = settings.model_copy(update={"steps": steps})
        return tuned(model, tuning, some, quick, trains="lora", taught=False, kept=0).flops

    sets = _within(of_sets, len(at.sets))
    cases = [Case(str(i), [Completion(_ids(n), [1]) for n in one.learnt], i) for i, one in enumerate(at.sets[:sets])]

    def of_steps(steps: int) -> float:
        quick = settings.model_copy(update={"steps": steps})
        return _seconds(lambda: list(tune(made, cases, quick)))

    # Adapters are also made and put in, which later steps share.
    step = (of_steps(LATER) - of_steps(1)) / (of_sets(sets, LATER) - of_sets(sets, 1))
    of_queries = read(model, [Asked(first.shown, first.queries[:count])], (1,), sharing=True).flops
    return Rates(reading / of_queries, max(step, 0.0), measured=True)


def _within(flops: Callable[[int], float], most: int = 10_000) -> int:
    """The largest number, at least one, whose FLOPs a sample may take; they grow with it about in proportion."""
    return max(1, min(most, int(SAMPLE / max(flops(2) - flops(1), 1.0))))


def _ids(length: int) -> list[int]:
    return [1 + i % 100 for i in range(length)]


def _seconds(run: Callable[[], object]) -> float:
    """CPU time of the shorter of two runs: the first also finds memory. Whatever else the machine does is not in it."""
    took = []
    for _ in range(2):
        started = time.process_time()
        run()
        took.append(time.process_time() - started)
    return min(took)


def _product() -> float:
    """Seconds of a FLOP in a product of two float32 matrices."""
    one = torch.ones(SIDE, SIDE)
    return _seconds(lambda: one @ one) / (2 * SIDE**3)
