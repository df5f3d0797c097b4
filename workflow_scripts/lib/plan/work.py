"""What a job runs, in tokens and FLOPs, and what it leaves on disk and takes of memory."""

from collections.abc import Sequence
from math import ceil
from typing import NamedTuple

from workflow_scripts.lib.lora.settings import TuneLora
from workflow_scripts.lib.plan.arithmetic import Reading, Tuning
from workflow_scripts.lib.plan.lengths import Lengths

FLOAT = 4
THERE_AND_BACK = 3  # forwards that a step of training all weights takes
ON_GPU = 4096  # tokens of a batch that a dump begins with there (lib/forward/budget.py)
OF_VALUES, OF_COLUMN, OF_FILE, OF_ROW = 0.87, 165, 3500, 60  # bytes of a file of states, as files have them
OTHER_COLUMNS = 12
OF_ADAPTER, OF_TENSOR, OF_TABLE = 1200, 125, 4400  # adapter_config.json; a tensor's name and place; tuning.parquet
PUT_AT_ONCE = 2**28  # values of patched states (patch_hidden_states.py)


class Work(NamedTuple):
    """Of a job: tokens that run through the model, FLOPs, passes of a batch through it, bytes on disk, of memory.

    memory: beside the weights, on the model's device. host: the same in main memory, wherever that is.
    """

    tokens: float = 0
    flops: float = 0
    passes: float = 0
    disk: float = 0
    memory: float = 0
    host: float = 0


class Asked(NamedTuple):
    """A prefix and the tokens of each query that runs after it."""

    prefix: int
    queries: Sequence[int]


def asked(at: Lengths, *, given: bool, shows: bool) -> list[Asked]:
    """What an arm runs: every set's queries, or without sets all of them once."""
    if not given:
        return [Asked(at.start, at.queries)]
    return [Asked(one.shown if shows else at.start, one.queries) for one in at.sets]


def read(model: Reading, every: Sequence[Asked], labels: Sequence[int], *, sharing: bool) -> Work:
    """Prompts that are read at their last token; each prefix runs once, where it can be shared."""
    tokens = attended = positions = passes = 0.0
    runs = [0, *(length - 1 for length in labels if length > 1)]  # a label of several tokens runs after each query
    for prefix, queries in every:
        passes += 1
        if sharing:
            tokens, attended = tokens + prefix, attended + prefix**2
        for more in runs:
            whole = [length + more + (0 if sharing else prefix) for length in queries]
            tokens += sum(whole)
            attended += sum(length * (length + (prefix if sharing else 0)) for length in whole)
            positions += len(queries) * (1 + more)
            passes += ceil(sum(whole) / ON_GPU)
    longest = max(one.prefix + max(one.queries) for one in every)
    states = max(len(one.queries) for one in every) * model.layers * model.width * FLOAT
    return Work(
        tokens,
        model.flops.of(tokens, attended) + model.head * positions,
        passes,
        memory=longest * model.cache * FLOAT + 2 * states,
        host=2 * states,
    )


def answered(model: Reading, every: Sequence[Asked], answer: float, most: int, *, sharing: bool) -> Work:
    """Prompts of a generation task: read, run again to score each answer, and once more to write one.

    answer: tokens of the mean one. most: those that may be written, 0 for none; all of them, as nobody knows when a
    model will stop. Written where keys and values are kept, as a shared prefix needs them too.
    """
    scored = [Asked(one.prefix, [length + round(answer) - 1 for length in one.queries]) for one in every]
    runs = [read(model, every, (), sharing=sharing), read(model, scored, (), sharing=sharing)]
    prompts = sum(len(one.queries) for one in every)
    tokens, flops = 0.0, model.head * prompts * (round(answer) - 1)
    if most:
        runs.append(read(model, every, (), sharing=sharing))
        whole = [one.prefix + length for one in every for length in one.queries]
        steps = range(1, most)  # the first token comes of the prompt
        tokens += prompts * len(steps) if sharing else sum(length + i for length in whole for i in steps)
        attended = sum((length + i) * (1 if sharing else length + i) for length in whole for i in steps)
        flops += model.flops.of(tokens, attended) + model.head * prompts * len(steps)
    first = runs[0]
    return first._replace(
        tokens=tokens + sum(one.tokens for one in runs),
        flops=flops + sum(one.flops for one in runs),
        passes=sum(one.passes for one in runs) + max(most - 1, 0) * first.passes,
        memory=max(one.memory for one in runs),
    )


def states_on_disk(model: Reading, every: Sequence[Asked], kept: Sequence[int], storage: str, labels: int) -> float:
    """Bytes of a file of states; at the embeddings all queries have that of one token, which takes no place."""
    rows = sum(len(one.queries) for one in every)
    size = FLOAT if storage == "float32" else 2
    values = rows * sum(layer > 0 for layer in kept) * model.width * size * OF_VALUES
    return values + rows * (OF_ROW + labels * FLOAT) + OF_FILE + len(every) * (len(kept) + OTHER_COLUMNS) * OF_COLUMN


def tuned(
    model: Reading, tuning: Tuning, at: Lengths, settings: TuneLora, *, trains: str, taught: bool, kept: int
) -> Work:
    """What is tuned on every set; `taught` adapters imitate on texts of the pool. kept: moments of the tuning on disk.

    trains: as `Weights` has it. Keys and values of a prefix, and whole models, are tuned one set after the other.
    """
    rows = [one.learnt for one in at.sets]
    taught_by = Work()
    if taught:
        texts = [round(at.text)] * min(settings.distilled_on, at.others)
        taught_by = read(model, [Asked(one.shown, texts) for one in at.sets], (1,), sharing=True)
        rows = [tuple(at.start + length for length in texts) for _ in at.sets]
    before = [one.shown if trains == "prefix" else 0 for one in at.sets]  # tokens whose keys and values are tuned
    tokens = sum(map(sum, rows))
    attended = sum(length * (past + length) for row, past in zip(rows, before, strict=True) for length in row)
    positions = sum(map(len, rows)) * (1 if taught else at.answer)
    last = model.flops.of(tokens, attended) + model.head * positions
    step = (
        THERE_AND_BACK * last if trains == "model" else tuning.flops.of(tokens, attended) + 2 * model.head * positions
    )
    batch, longest = min(settings.most_tokens_per_batch, tokens), max(map(max, rows))
    side_by_side = min(settings.adapters_at_once, len(rows)) if trains == "lora" else 1
    numbers = [
        {"lora": tuning.weights, "prefix": model.cache * past, "model": model.weights}[trains] for past in before
    ]
    most, tensors = max(numbers), tuning.tensors if trains == "lora" else 2 * model.layers
    lesson = (model.layers * model.width + model.head / (2 * model.width)) * FLOAT if taught else 0
    return Work(
        tokens * (settings.steps + 1) + taught_by.tokens + sum(before),
        step * settings.steps + last + taught_by.flops,
        (3 * settings.steps + 1) * ceil(tokens / settings.most_tokens_per_batch) + taught_by.passes,
        disk=(1 + kept) * (sum(numbers) * FLOAT + len(rows) * (tensors * OF_TENSOR + OF_ADAPTER) + OF_TABLE),
        # What is tuned, gradients and AdamW's two moments.
        memory=tuning.kept.of(batch, batch * longest) * FLOAT + side_by_side * most * 4 * FLOAT,
        host=sum(map(len, rows)) * lesson + side_by_side * (1 + kept) * most * FLOAT,
    )


def patched(model: Reading, at: Lengths, layers: int, arms: int, patches: int) -> Work:
    """Runs of one token after each query's own, for every layer, arm, patch and set."""
    states = len(at.sets) * arms * patches * len(at.queries) * model.width
    blocks = ceil(layers / max(1, PUT_AT_ONCE // states))
    runs = layers * len(at.sets) * arms * patches
    before = [at.start + length - 1 for length in at.queries]
    tokens = runs * len(at.queries) + blocks * sum(before)
    attended = sum(runs * (length + 1) + blocks * length**2 for length in before)
    flops = model.flops.of(tokens, attended) + model.head * runs * len(at.queries)
    values = states * ceil(layers / blocks) * FLOAT
    return Work(tokens, flops, blocks * len(before) * (1 + ceil(runs / blocks / ON_GPU)), host=3 * values)
