"""Hours, memory and disk of jobs on a card and on this machine, put together over jobs."""

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from workflow_scripts.lib.plan.cards import LOADED, PASS, START, Card
from workflow_scripts.lib.plan.jobs import COMPARE, PREPARE, TUNE, Job, Planned
from workflow_scripts.lib.plan.work import ON_GPU

WRITTEN = 285e6  # bytes of states a second (docs/performance.md, Files)
ON_CPU = 512  # tokens of a batch there
JOB, READ_IN = 0.1, 1e9  # seconds of a job beside its stage; bytes of weights a second
ALLOCATED = 1.1  # of what is in use, with what the allocator cannot use in one piece (docs/performance.md, plan)
PROCESS = 0.5e9  # bytes of a process that has imported torch


class Costs(NamedTuple):
    """Of some jobs: tokens, FLOPs and bytes of disk in sum, bytes of memory of the largest, seconds one after another.

    on_card: with the model on a GPU, whose memory `gpu` is and `cpu` that of the machine around it; on_core: on one
    core of this machine, where `alone` is the memory.
    """

    jobs: int
    tokens: float
    flops: float
    disk: float
    gpu: float
    cpu: float
    alone: float
    on_card: float
    on_core: float


def costs(jobs: Iterable[Job], models: Mapping[str, Planned], card: Card) -> Costs:
    """Of some jobs together."""
    every = [_costs(job, models[job.model], card) for job in jobs]
    columns = dict(zip(Costs._fields, zip(*every, strict=True), strict=True))
    largest = {name: max(columns.pop(name)) for name in ("gpu", "cpu", "alone")}
    return Costs(**{name: sum(values) for name, values in columns.items()}, **largest)


def _costs(job: Job, model: Planned, card: Card) -> Costs:
    work, on_gpu = job.work, model.source.source != "pocket"
    if job.stage == COMPARE:
        return Costs(1, 0, 0, work.disk, 0, work.host + PROCESS, work.host + PROCESS, job.seconds, job.seconds + JOB)
    if job.stage == PREPARE:
        trained = JOB + work.flops * min(model.rates.tune, model.rates.read)
        return Costs(1, work.tokens, work.flops, work.disk, 0, PROCESS, PROCESS, trained, trained)
    tuned, small = job.stage == TUNE, 2 if model.arithmetic == "half" else 4
    rate = model.rates.tune if tuned else model.rates.read
    core = JOB + model.bytes / READ_IN + work.flops * rate + work.disk / WRITTEN
    passes = work.passes * (model.reading.layers - 1) * PASS
    at_work = max(work.flops / card.rate(model.arithmetic, "tune" if tuned else "read"), passes)
    gpu = START + model.bytes / LOADED + at_work
    # A batch that is read needs of a token about what one block keeps of it for the way back, twice.
    a_token = 2 * next(iter(model.tuning.values())).kept.token / (model.reading.layers - 1) * small
    used = work.memory * small / 4
    memory = [model.bytes + ALLOCATED * (used + (0 if tuned else a_token * tokens)) for tokens in (ON_GPU, ON_CPU)]
    on_card = gpu + work.disk / WRITTEN if on_gpu else core
    host = PROCESS + work.host
    return Costs(
        1, work.tokens, work.flops, work.disk, memory[0] if on_gpu else 0, host, host + memory[1], on_card, core
    )


def grouped(
    jobs: Iterable[Job], models: Mapping[str, Planned], card: Card, key: Callable[[Job], tuple[str, ...]]
) -> dict[tuple[str, ...], Costs]:
    """The same by a key of the jobs, in their order."""
    by_key: dict[tuple[str, ...], list[Job]] = {}
    for job in jobs:
        by_key.setdefault(key(job), []).append(job)
    return {one: costs(some, models, card) for one, some in by_key.items()}
