"""What LoRA tuning of the pocket model on a few demonstrations does to its accuracy without them."""

import random
from dataclasses import dataclass
from statistics import mean
from typing import NamedTuple

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from torch.nn import functional as F
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from workflow_scripts.lib.pocket.accuracy import (
    POOL_SIZE,
    Example,
    draw_demonstrations,
    last_token_logits,
    prompt,
)
from workflow_scripts.lib.world.texts import TASKS, Task, examples

QUERIES = 50
DRAWS = 3


@dataclass(frozen=True)
class LoraSetting:
    """How to tune: AdamW without weight decay, all demonstrations in every step, loss on the label only."""

    name: str
    targets: tuple[str, ...]
    rank: int
    alpha: int
    learning_rate: float
    steps: int


ATTENTION = ("q_proj", "v_proj")
EVERY_LINEAR = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
SETTINGS = (
    LoraSetting("q, v", ATTENTION, rank=8, alpha=16, learning_rate=5e-3, steps=40),
    LoraSetting("every linear layer", EVERY_LINEAR, rank=8, alpha=16, learning_rate=2e-3, steps=40),
)


class Lift(NamedTuple):
    """Accuracy over all words without demonstrations before tuning and after, and the last loss in nats.

    Means over draws; `lowest` is the accuracy after tuning on the worst draw.
    """

    before: float
    after: float
    lowest: float
    loss: float


def lift(
    model: LlamaForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    task: Task,
    shots: int,
    setting: LoraSetting,
) -> Lift:
    """Return what tuning on `shots` demonstrations does to held-out queries, over DRAWS draws of them.

    Leaves the model as it was.
    """
    drawn = examples(task.name, QUERIES + POOL_SIZE, seed=1)
    queries, pool = drawn[:QUERIES], drawn[QUERIES:]
    before = _accuracy(model, tokenizer, queries)
    after, losses = [], []
    for draw in range(DRAWS):
        rng = random.Random(f"{task.name}, {shots} shots, draw {draw}")
        demonstrations = draw_demonstrations(rng, task, pool, shots)
        tuned, loss = tune(model, tokenizer, demonstrations, setting, seed=draw)
        # The adapter sits in the layers of `model` itself until it is unloaded.
        after.append(_accuracy(model, tokenizer, queries))
        losses.append(loss)
        tuned.unload()
    return Lift(before, mean(after), min(after), mean(losses))


def tune(
    model: LlamaForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    demonstrations: list[Example],
    setting: LoraSetting,
    seed: int,
) -> tuple[PeftModel, float]:
    """Return the model with an adapter tuned on demonstrations one by one, and its last loss in nats."""
    torch.manual_seed(seed)
    configuration = LoraConfig(
        r=setting.rank, lora_alpha=setting.alpha, target_modules=list(setting.targets), task_type="CAUSAL_LM"
    )
    tuned = get_peft_model(model, configuration)
    weights = [weight for weight in tuned.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=setting.learning_rate, weight_decay=0)
    texts = [prompt([], text) for text, _ in demonstrations]
    batch = tokenizer(texts, padding=True, padding_side="right", return_tensors="pt")
    labels = torch.tensor(tokenizer.convert_tokens_to_ids([label for _, label in demonstrations]))
    last = batch["attention_mask"].sum(1) - 1
    loss = torch.zeros(())
    for _ in range(setting.steps):
        logits = tuned(batch["input_ids"], attention_mask=batch["attention_mask"], use_cache=False).logits
        loss = F.cross_entropy(logits[torch.arange(len(last)), last], labels)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    return tuned.eval(), loss.item()


def arbitrary_tasks() -> list[Task]:
    """Return the study tasks whose labels only demonstrations or tuning can tell."""
    return [task for task in TASKS.values() if task.arbitrary]


def _accuracy(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, queries: list[Example]) -> float:
    logits = last_token_logits(model, tokenizer, [prompt([], text) for text, _ in queries])
    gold = torch.tensor(tokenizer.convert_tokens_to_ids([label for _, label in queries]))
    return (logits.argmax(1) == gold).float().mean().item()
