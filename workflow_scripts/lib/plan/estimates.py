"""What a job takes, for a scheduler that must be told beforehand: memory and time, with a GPU and without.

By kind, which is a stage, a model and a data set: the largest of its jobs stands for all.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

from workflow_scripts.lib.plan.cards import Card
from workflow_scripts.lib.plan.costs import costs
from workflow_scripts.lib.plan.jobs import COMPARE, PREPARE, Job, Planned
from workflow_scripts.lib.plan.survey import Survey

CUDA = 4e9  # bytes of main memory that a process takes with CUDA's context and kernels loaded, beside ours
Kind = dict[str, dict[str, float]]  # gpu, cpu -> bytes, seconds


def kind(stage: str, model: str, dataset: str) -> str:
    """The name of a kind of job; a stage that has no data set, or no model, has none in its name."""
    return "/".join(part for part in (stage, model, dataset) if part)


def estimates(found: Survey, card: Card) -> dict[str, Kind]:
    """Kind -> bytes of main memory and seconds of its largest job, on a machine with a card and on one core."""
    largest: dict[str, Kind] = {}
    for job in found.jobs:
        of_kind = largest.setdefault(kind(job.stage, job.model, job.dataset), {})
        for place, taken in _of(job, found.models, card):
            before = of_kind.setdefault(place, dict.fromkeys(taken, 0.0))
            before.update({name: max(value, before[name]) for name, value in taken.items()})
    return largest


def _of(job: Job, models: Mapping[str, Planned], card: Card) -> Iterator[tuple[str, dict[str, float]]]:
    one = costs([job], models, card)
    yield "cpu", {"bytes": one.alone, "seconds": one.on_core}
    # Weights pass through main memory on their way to a GPU.
    beside = 0 if job.stage in (COMPARE, PREPARE) else models[job.model].bytes + CUDA
    yield "gpu", {"bytes": one.cpu + beside, "seconds": one.on_card}


def write(path: Path, found: Survey, card: Card) -> None:
    """Write the estimates of a study; whole, or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_suffix(".half")
    half.write_text(json.dumps({"card": card.name, "kinds": estimates(found, card)}, indent=1) + "\n", encoding="utf-8")
    half.replace(path)
