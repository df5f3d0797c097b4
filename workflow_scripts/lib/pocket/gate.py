"""The gate of the pocket model: does it learn in context? A study on one that does not would mean nothing."""

from collections.abc import Iterable

from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from workflow_scripts.lib.errors import StudyError
from workflow_scripts.lib.pocket.accuracy import Accuracy, Cell, accuracy
from workflow_scripts.lib.world.texts import TASKS

SHOTS = 8
MINIMUM_GAIN = 0.3
MAXIMUM_FLIPPED = 0.2
MINIMUM_NATURAL = 0.9


class GateError(StudyError):
    """The training of the pocket model did not take."""


def gate_cells() -> list[Cell]:
    """Return the cells that `check` needs."""
    arbitrary, natural = _binary_arbitrary_tasks(), _natural_tasks()
    return [
        *(Cell(name, "gold", shots) for name in arbitrary for shots in (0, SHOTS)),
        *(Cell(name, "flipped", SHOTS) for name in arbitrary),
        *(Cell(name, "gold", SHOTS) for name in natural),
    ]


def measure(
    model: LlamaForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    *,
    queries: int,
    seed: int,
    cells: Iterable[Cell] | None = None,
) -> dict[Cell, Accuracy]:
    """Return the accuracy in each cell, by default those the gate needs, on `queries` queries of its task.

    For the full table pass `cells=accuracy.all_cells()`.
    """
    chosen = gate_cells() if cells is None else cells
    return {cell: accuracy(model, tokenizer, cell, queries=queries, seed=seed) for cell in chosen}


def check(measured: dict[Cell, Accuracy]) -> None:
    """Raise GateError, naming every accuracy out of bounds, unless the model learns in context.

    Accuracies are within the label set. With two arbitrary labels, 8 demonstrations must add more than 0.3 to
    none, and with flipped labels stay below 0.2; with natural labels they must give at least 0.9.
    """
    failures = [
        *(failure for name in _binary_arbitrary_tasks() for failure in _arbitrary_failures(name, measured)),
        *(failure for name in _natural_tasks() for failure in _natural_failures(name, measured)),
    ]
    if failures:
        lines = "\n  ".join(failures)
        raise GateError(
            f"the pocket model does not learn in context well enough (accuracy, {SHOTS} demonstrations):\n  "
            f"{lines}\nTrain it for more steps, or from another seed."
        )


def _arbitrary_failures(name: str, measured: dict[Cell, Accuracy]) -> list[str]:
    without = measured[Cell(name, "gold", 0)].label_set
    gold = measured[Cell(name, "gold", SHOTS)].label_set
    flipped = measured[Cell(name, "flipped", SHOTS)].label_set
    gain = gold - without
    failures = []
    if not gain > MINIMUM_GAIN:
        failures.append(
            f"{name}: {gold:.2f}, less {without:.2f} without demonstrations, is {gain:.2f};"
            f" it must be above {MINIMUM_GAIN}"
        )
    if not flipped < MAXIMUM_FLIPPED:
        failures.append(f"{name} with flipped labels: {flipped:.2f}; it must be below {MAXIMUM_FLIPPED}")
    return failures


def _natural_failures(name: str, measured: dict[Cell, Accuracy]) -> list[str]:
    gold = measured[Cell(name, "gold", SHOTS)].label_set
    if gold >= MINIMUM_NATURAL:
        return []
    return [f"{name}: {gold:.2f}; it must be at least {MINIMUM_NATURAL}"]


def _binary_arbitrary_tasks() -> list[str]:
    return [name for name, task in TASKS.items() if task.arbitrary and len(task.labels) == 2]


def _natural_tasks() -> list[str]:
    return [name for name, task in TASKS.items() if not task.arbitrary]
