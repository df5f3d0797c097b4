"""`python -m workflow_scripts.lib.plan params.yaml`: what a study will take, before any of it is made."""

import argparse
import sys
from collections.abc import Iterable, Iterator
from hashlib import md5
from pathlib import Path

from workflow_scripts.lib.errors import StudyError
from workflow_scripts.lib.models.sources import takes_weights
from workflow_scripts.lib.plan.cards import CARDS, Card, card_here, card_named
from workflow_scripts.lib.plan.costs import Costs, costs, grouped
from workflow_scripts.lib.plan.estimates import write
from workflow_scripts.lib.plan.fits import GIB, too_large
from workflow_scripts.lib.plan.jobs import Job, Planned
from workflow_scripts.lib.plan.machine import Machine, here
from workflow_scripts.lib.plan.survey import Survey, survey
from workflow_scripts.lib.study.settings import Study, read_study

HEADS = ("jobs", "tokens", "TFLOP", "disk, MB", "GPU, GiB", "CPU, GiB", "{card}, h", "one core, h")


def lines(study: Study, found: Survey, card: Card, machine: Machine, *, cells: bool) -> Iterator[str]:
    """The plan as text: a row for each stage, model and data set (and factor), what it all takes, what does not fit."""
    names = ["stage", "model", "data set", *(["factor"] if cells else [])]

    def key(job: Job) -> tuple[str, ...]:
        return (job.stage, job.model, job.dataset, *([job.factor] if cells else []))

    rows = {one: _cells(some) for one, some in grouped(found.jobs, found.models, card, key).items()}
    whole = costs(found.jobs, found.models, card)
    rows["all", *[""] * (len(names) - 1)] = _cells(whole)
    yield from _table([*names, *(head.format(card=card.name) for head in HEADS)], rows.items())
    yield ""
    yield (
        f"Disk: {whole.disk / 1e9:.2f} GB of artifacts of these stages. DVC's cache takes as much again where it has "
        "copies, and next to nothing where it links."
    )
    if fetched := [model.reading.weights for model in found.models.values() if _is_fetched(model)]:
        yield f"Weights from the hub, beside that: {2 * sum(fetched) / 1e9:.1f} GB in 16 bits, twice that in float32."
    rough = [name for name, model in found.models.items() if not model.rates.measured]
    speed = f"of {', '.join(rough)} by a plain product" if rough else "of every model by itself"
    yield f"This machine: {machine.cores} cores, {machine.memory / GIB:.1f} GiB of memory free; speed {speed}."
    told = "by its data sheet" if card in CARDS else "measured here"
    yield f"{card.name}: {card.gigabytes} GB, {told}, and what the engine reaches at 7B (docs/performance.md)."
    yield from (f"note: {note}" for note in found.notes)
    published = [name for name, model in found.models.items() if model.published]
    yield from (f"note: models.{name}: its shape is its publisher's, not read from its config" for name in published)
    yield from (f"does not fit: {line}" for line in too_large(study, found, card, machine))


def _is_fetched(model: Planned) -> bool:
    return model.source.source == "hub" and takes_weights(model.source)


def _cells(one: Costs) -> list[str]:
    memory = (one.gpu / GIB, one.alone / GIB)
    hours = (one.on_card / 3600, one.on_core / 3600)
    amounts = (one.flops / 1e12, one.disk / 1e6, *memory, *hours)
    return [f"{one.jobs}", f"{one.tokens:,.0f}", *map(_amount, amounts)]


def _amount(number: float) -> str:
    """Whole where it is large, two digits where it is small."""
    return f"{number:,.0f}" if number >= 10 else f"{number:.2g}"


def _table(heads: list[str], rows: Iterable[tuple[tuple[str, ...], list[str]]]) -> Iterator[str]:
    every = [heads, *([*key, *cells] for key, cells in rows)]
    widths = [max(map(len, column)) for column in zip(*every, strict=True)]
    named = len(heads) - len(HEADS)
    for row in every:
        padded = (
            cell.ljust(width) if i < named else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        yield "  ".join(padded).rstrip()


def main() -> None:
    """Run from the command line; one line where a study cannot be planned."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("params", type=Path, nargs="?", default=Path("params.yaml"))
    known = ", ".join(card.name for card in CARDS)
    parser.add_argument("--gpu", help=f"one of {known}; the one that is here, or {CARDS[1].name}")
    parser.add_argument("--cells", action="store_true", help="a row for each factor, too")
    parser.add_argument("--estimates", type=Path, metavar="FOLDER", help="write there what each kind of job takes")
    asked = parser.parse_args()
    try:
        study = read_study(asked.params)
        card = card_named(asked.gpu) if asked.gpu else card_here() or CARDS[1]
        found = survey(study)
        if asked.estimates:
            write(asked.estimates / f"{md5(asked.params.read_bytes()).hexdigest()}.json", found, card)
        told = [*lines(study, found, card, here(), cells=asked.cells)]
    except StudyError as error:
        raise SystemExit(str(error)) from None
    sys.stdout.write("\n".join(told) + "\n")


if __name__ == "__main__":
    main()
