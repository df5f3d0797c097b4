"""Accuracy of the pocket model on tasks of the text world, by number and labelling of demonstrations."""

import random
from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import Tensor
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from workflow_scripts.lib.world.texts import (
    LIMIT_TASKS,
    TASKS,
    TEMPLATE_LABEL,
    TEMPLATE_QUERY,
    TEMPLATE_SEPARATOR,
    Task,
    examples,
)

LABELLINGS = ("gold", "flipped", "random")
SHOTS = (0, 1, 2, 4, 8, 16)
POOL_SIZE = 400
BATCH_SIZE = 50

Example = tuple[str, str]


class Cell(NamedTuple):
    """A prompt condition: task, labelling of the demonstrations (of LABELLINGS), and how many there are."""

    task: str
    labels: str
    shots: int


class Accuracy(NamedTuple):
    """Shares of queries answered with the gold label: best of the label set, and best of all words."""

    label_set: float
    all_words: float


def all_cells() -> list[Cell]:
    """Return every task with every labelling and number of shots; without shots labels do not matter."""
    return [
        Cell(name, labels, shots)
        for name in (*TASKS, *LIMIT_TASKS)
        for labels in LABELLINGS
        for shots in SHOTS
        if shots or labels == "gold"
    ]


def accuracy(
    model: LlamaForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    cell: Cell,
    *,
    queries: int,
    seed: int,
    counterbalanced: bool = True,
) -> Accuracy:
    """Return the accuracy in one cell on `queries` queries, each with demonstrations of its own.

    Demonstrations are balanced over classes, and the same under every labelling. Arbitrary labels take turns:
    from query to query each class has the next label word. Otherwise a preference of the weights for one
    assignment, which can be strong within the label set, would pass for knowledge (or its opposite) without
    any demonstration. `counterbalanced=False` keeps the task's own assignment throughout.
    """
    task = {**TASKS, **LIMIT_TASKS}[cell.task]
    drawn = examples(task.name, queries + POOL_SIZE, seed)
    asked, pool = drawn[:queries], drawn[queries:]
    rng = random.Random(f"demonstrations of {task.name}, {cell.shots} shots, seed {seed}")
    shown = [draw_demonstrations(rng, task, pool, cell.shots) for _ in asked]
    turns = [index if task.arbitrary and counterbalanced else 0 for index in range(queries)]
    prompts = [
        prompt(_relabel(rng, task, demonstrations, cell.labels, turn), text)
        for demonstrations, (text, _), turn in zip(shown, asked, turns, strict=True)
    ]
    gold = [task.shifted(label, turn) for (_, label), turn in zip(asked, turns, strict=True)]
    return _score(last_token_logits(model, tokenizer, prompts), tokenizer, gold, task.labels)


def draw_demonstrations(rng: random.Random, task: Task, pool: list[Example], shots: int) -> list[Example]:
    """Return `shots` examples of the pool in random order; class sizes differ by one at most."""
    by_label = {label: [example for example in pool if example[1] == label] for label in task.labels}
    shuffled = [rng.sample(by_label[label], shots) for label in rng.sample(task.labels, len(task.labels))]
    drawn = [example for group in zip(*shuffled, strict=True) for example in group][:shots]
    rng.shuffle(drawn)
    return drawn


def prompt(demonstrations: Iterable[Example], query: str) -> str:
    """Return the demonstrations with their labels, then the query, up to where its label should stand."""
    shown = [TEMPLATE_QUERY.format(text=text) + TEMPLATE_LABEL.format(label=label) for text, label in demonstrations]
    return TEMPLATE_SEPARATOR.join([*shown, TEMPLATE_QUERY.format(text=query)])


@torch.inference_mode()
def last_token_logits(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, prompts: list[str]) -> Tensor:
    """Return the logits [prompts, words] of the token after each prompt."""
    logits = []
    for start in range(0, len(prompts), BATCH_SIZE):
        texts = prompts[start : start + BATCH_SIZE]
        batch = tokenizer(texts, padding=True, padding_side="right", return_tensors="pt")
        ids, mask = batch["input_ids"], batch["attention_mask"]
        states = model.get_decoder()(ids, attention_mask=mask, use_cache=False).last_hidden_state
        logits.append(model.lm_head(states[torch.arange(len(ids)), mask.sum(1) - 1]))
    return torch.cat(logits)


def _relabel(rng: random.Random, task: Task, demonstrations: list[Example], labels: str, turn: int) -> list[Example]:
    if labels == "random":
        return [(text, rng.choice(task.labels)) for text, _ in demonstrations]
    shift = turn + 1 if labels == "flipped" else turn
    return [(text, task.shifted(label, shift)) for text, label in demonstrations]


def _score(logits: Tensor, tokenizer: PreTrainedTokenizerFast, gold: list[str], labels: tuple[str, ...]) -> Accuracy:
    expected = torch.tensor(tokenizer.convert_tokens_to_ids(gold))
    allowed = torch.tensor(tokenizer.convert_tokens_to_ids(list(labels)))
    within = allowed[logits[:, allowed].argmax(1)] == expected
    return Accuracy(within.float().mean().item(), (logits.argmax(1) == expected).float().mean().item())
