"""What does not fit, and the setting that would make it."""

from collections.abc import Iterator

import torch

from workflow_scripts.lib.plan.cards import Card
from workflow_scripts.lib.plan.costs import costs, grouped
from workflow_scripts.lib.plan.jobs import COMPARE, DUMP, TUNE
from workflow_scripts.lib.plan.machine import Machine
from workflow_scripts.lib.plan.survey import Survey
from workflow_scripts.lib.study.settings import Study

GIB = 2**30
LEAST = 64  # tokens a batch, below which there is no use in fewer
EVERY = 4


def too_large(study: Study, found: Survey, card: Card, machine: Machine) -> Iterator[str]:
    """A line for each thing that does not fit: what, how much, and what to change."""
    yield from _on_cpu(found, card, machine)
    for name, model in found.models.items():
        if model.source.source == "pocket":
            continue
        if model.bytes > card.bytes:
            larger = "take a larger or a second card"
            smaller = f"set its precision to split ({_gib(model.bytes / 2)}, if stored in 16 bits), or {larger}"
            held = "float32" if model.arithmetic == "float32" else "16 bits"
            what = f"models.{name}: weights of {_gib(model.bytes)} in {held}, and {card.name} holds"
            yield f"{what} {_gib(card.bytes)}; {smaller if held == 'float32' else larger}"
            continue
        yield from _per_stage(study, found, name, card)
    yield from _on_disk(study, found, machine)


def _on_cpu(found: Survey, card: Card, machine: Machine) -> Iterator[str]:
    """Of each model what takes most, where this machine has no GPU."""
    taken = grouped(found.jobs, found.models, card, lambda job: (job.model, job.stage))
    for name in found.models if not torch.cuda.is_available() else ():
        stage = max((stage for one, stage in taken if one == name), key=lambda one: taken[name, one].alone)
        most = taken[name, stage].alone
        if most > machine.memory:
            lower = {TUNE: "lower tune_lora.tokens_per_batch", COMPARE: "use fewer draws"}.get(stage, "a smaller model")
            yield (
                f"models.{name}: {stage} takes {_gib(most)} of main memory without a GPU, and {_gib(machine.memory)} "
                f"are free here; run it where there is one, or {lower}"
            )


def _per_stage(study: Study, found: Survey, name: str, card: Card) -> Iterator[str]:
    model = found.models[name]
    for stage in (TUNE, DUMP):
        some = [job for job in found.jobs if (job.stage, job.model) == (stage, name)]
        most = costs(some, found.models, card).gpu if some else 0
        if most <= card.bytes:
            continue
        what = f"models.{name}: {stage} takes {_gib(most)}, and {card.name} holds {_gib(card.bytes)}; "
        tokens = study.tune_lora.most_tokens_per_batch
        free, taken = card.bytes - model.bytes, most - model.bytes
        fitting = int(tokens * free / taken / LEAST) * LEAST
        if stage == DUMP:
            yield f"{what}set dump_hidden_states.tokens_per_batch to {LEAST}, or use fewer or shorter demonstrations"
        elif fitting:
            yield f"{what}set tune_lora.tokens_per_batch to {fitting} (is {tokens})"
        else:
            yield f"{what}set the model's precision to split, or lower tune_lora.adapters_at_once"


def _on_disk(study: Study, found: Survey, machine: Machine) -> Iterator[str]:
    by_stage = {stage: sum(job.work.disk for job in found.jobs if job.stage == stage) for stage in (DUMP, TUNE)}
    every = sum(job.work.disk for job in found.jobs)
    if every <= machine.disk:
        return
    states, keep, ways = by_stage[DUMP], study.dump_hidden_states, []
    if keep.layers == "all":
        ways.append(f"dump_hidden_states.layers to {{every: {EVERY}}} (states of {_gb(states / EVERY)})")
    if keep.storage == "float32":
        ways.append(f"dump_hidden_states.storage to float16 (states of {_gb(states / 2)})")
    ways.append(f"draws lower (is {study.draws})")
    what = f"artifacts of {_gb(every)}, {_gb(states)} of them states and {_gb(by_stage[TUNE])} adapters"
    yield f"{what}, and {_gb(machine.disk)} are free here; set {', or '.join(ways)}"


def _gib(count: float) -> str:
    return f"{count / GIB:.1f} GiB"


def _gb(count: float) -> str:
    return f"{count / 1e9:.1f} GB"
