"""Tables of what the pocket model can do, in Markdown."""

from statistics import mean
from typing import NamedTuple

from benchmarks.pocket_lora import SETTINGS, Lift, LoraSetting
from workflow_scripts.lib.pocket.accuracy import LABELLINGS, SHOTS, Accuracy, Cell
from workflow_scripts.lib.world.texts import LIMIT_TASKS, TASKS


class Result(NamedTuple):
    """What one training seed gave; times in seconds."""

    seed: int
    parameters: int
    wall: float
    cpu: float
    gate_wall: float
    gate: str
    measured: dict[Cell, Accuracy]
    as_assigned: dict[str, float]
    lifts: dict[tuple[str, str, int], Lift]


def spread(values: list[float]) -> str:
    """Return the mean and the range over seeds."""
    return f"{mean(values):.2f} ({min(values):.2f}-{max(values):.2f})"


def table(header: list[str], rows: list[list[str]]) -> str:
    """Return a Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def training_table(results: list[Result]) -> str:
    """Return time, size and verdict by seed."""
    rows = [
        [
            str(result.seed),
            f"{result.parameters:,}",
            f"{result.wall:.0f}",
            f"{result.cpu:.0f}",
            f"{result.gate_wall:.1f}",
            result.gate,
        ]
        for result in results
    ]
    header = ["seed", "parameters", "training, wall s", "training, CPU s", "gate, wall s", "gate"]
    return table(header, rows)


def accuracy_table(results: list[Result], field: str, labellings: tuple[str, ...]) -> str:
    """Return accuracy by task, labelling and number of demonstrations: mean and range over seeds."""
    rows = []
    for name in (*TASKS, *LIMIT_TASKS):
        for labels in labellings:
            cells = [Cell(name, labels, shots) for shots in SHOTS]
            known = [
                [getattr(result.measured[cell], field) for result in results if cell in result.measured]
                for cell in cells
            ]
            rows.append([name, labels, *(spread(values) if values else "" for values in known)])
    return table(["task", "labels", *(f"k = {shots}" for shots in SHOTS)], rows)


def as_assigned_table(results: list[Result]) -> str:
    """Return by seed the accuracy at k = 0 with each task's own assignment of arbitrary labels."""
    names = list(results[0].as_assigned)
    rows = [[str(result.seed), *(f"{result.as_assigned[name]:.2f}" for name in names)] for result in results]
    return table(["seed", *names], rows)


def lift_table(results: list[Result]) -> str:
    """Return what LoRA tuning does, by setting, task and number of demonstrations."""
    rows = []
    for setting, task, shots in results[0].lifts:
        lifts = [result.lifts[setting, task, shots] for result in results]
        cells = [spread([one.before for one in lifts]), spread([one.after for one in lifts])]
        worst, loss = min(one.lowest for one in lifts), mean(one.loss for one in lifts)
        rows.append([setting, task, str(shots), *cells, f"{worst:.2f}", f"{loss:.3f}"])
    return table(["LoRA on", "task", "k", "before", "after", "worst draw", "last loss"], rows)


def describe(setting: LoraSetting) -> str:
    """Return a LoRA setting in words."""
    return (
        f"{setting.name} ({', '.join(setting.targets)}): r {setting.rank}, alpha {setting.alpha},"
        f" learning rate {setting.learning_rate}, {setting.steps} steps"
    )


def report(results: list[Result], training: str, queries: int) -> str:
    """Return all tables, each under its heading."""
    seeds = ", ".join(str(result.seed) for result in results)
    parts = [
        f"Training: {training}; seeds {seeds}; {queries} queries a cell; mean (lowest-highest) over seeds.",
        training_table(results),
        "Accuracy within the label set, scored against the gold label:",
        accuracy_table(results, "label_set", LABELLINGS),
        "Accuracy over all words:",
        accuracy_table(results, "all_words", ("gold",)),
        "Accuracy within the label set at k = 0, arbitrary labels as the tasks assign them:",
        as_assigned_table(results),
        "LoRA: " + "; ".join(describe(setting) for setting in SETTINGS) + ".",
        lift_table(results),
    ]
    return "\n\n".join(parts) + "\n"
