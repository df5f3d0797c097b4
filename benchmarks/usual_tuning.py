"""Tuning in the usual way: a Trainer for each adapter, all of its examples in every step."""

import tempfile

import torch
from peft import PeftModel, get_peft_model
from transformers import PreTrainedModel, PrinterCallback, Trainer
from transformers import TrainingArguments as Arguments

from workflow_scripts.lib.data.prompts import Completion
from workflow_scripts.lib.lora.config import lora_config
from workflow_scripts.lib.lora.settings import TuneLora

IGNORED = -100


def tuned(base: PreTrainedModel, examples: list[Completion], tuning: TuneLora, seed: int) -> tuple[PeftModel, Trainer]:
    """A fresh adapter, tuned by the Trainer on all examples in every step, and the Trainer with its losses."""
    torch.manual_seed(seed)
    model = get_peft_model(base, lora_config(base, tuning))
    with tempfile.TemporaryDirectory() as folder:
        arguments = Arguments(
            output_dir=folder,
            per_device_train_batch_size=len(examples),
            max_steps=tuning.steps,
            learning_rate=tuning.learning_rate,
            weight_decay=0.0,
            lr_scheduler_type="constant",
            max_grad_norm=tuning.max_grad_norm,
            save_strategy="no",
            report_to="none",
            logging_steps=1,
            disable_tqdm=True,
            use_cpu=True,
        )
        trainer = Trainer(model, arguments, train_dataset=examples, data_collator=collated)
        trainer.remove_callback(PrinterCallback)
        trainer.train()
    return model.eval(), trainer


def collated(examples: list[Completion]) -> dict[str, torch.Tensor]:
    """A padded batch in which only labels are supervised."""
    longest = max(len(one.prompt) + len(one.label) for one in examples)
    pads = [longest - len(one.prompt) - len(one.label) for one in examples]
    rows = list(zip(examples, pads, strict=True))
    return {
        "input_ids": torch.tensor([one.prompt + one.label + [0] * pad for one, pad in rows]),
        "attention_mask": torch.tensor([[1] * (longest - pad) + [0] * pad for pad in pads]),
        "labels": torch.tensor([[IGNORED] * len(one.prompt) + one.label + [IGNORED] * pad for one, pad in rows]),
    }


def moved(trainer: Trainer) -> bool:
    """Did the loss fall."""
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    return losses[-1] < losses[0]
