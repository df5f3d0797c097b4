"""Tune one LoRA adapter on every set of demonstrations of a level."""

import random
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from transformers import PreTrainedModel

from workflow_scripts.lib.artifacts.adapters import write_tuning
from workflow_scripts.lib.artifacts.provenance import digest, origin
from workflow_scripts.lib.artifacts.tables import whole
from workflow_scripts.lib.command import command
from workflow_scripts.lib.data.examples import Examples, read_examples
from workflow_scripts.lib.data.prompts import Prompts
from workflow_scripts.lib.data.sets import ServingSet, read_sets, read_told
from workflow_scripts.lib.data.shown import SHOWN
from workflow_scripts.lib.data.template import Rewording
from workflow_scripts.lib.lora.batches import Example
from workflow_scripts.lib.lora.config import TuningError, adapter_config, save_adapter
from workflow_scripts.lib.lora.lessons import Teacher
from workflow_scripts.lib.lora.memory import taught_at_once
from workflow_scripts.lib.lora.settings import TuneLora
from workflow_scripts.lib.lora.train import Case, tune
from workflow_scripts.lib.models.load import load_model
from workflow_scripts.lib.progress import Progress


def tune_lora(
    demonstrations: Path,
    examples: Path,
    model: Path,
    *,
    weights: str,
    reseeded: bool,
    teacher: str | None,
    kept_steps: list[int],
    rewording: Rewording | None,
    seed: int,
    settings: TuneLora,
    adapters: Path,
) -> None:
    """Write the folder `adapters`: a standard peft adapter in {set}/ for every set, and tuning.parquet.

    Of every kept step there is the same in step-{step}/.

    Args:
        demonstrations: Sets of the level.
        examples: Prepared data set; gives label words and template.
        model: Prepared model.
        weights: What this way of tuning is called.
        reseeded: Start from other weights than the adapters that are compared with ICL.
        teacher: How the prompt of the model that adapters imitate shows a set, one of lib/data/shown.py; null for
            adapters that learn the set's labels.
        kept_steps: Steps after which the adapters are kept as they are then.
        rewording: What is put otherwise in the data set's template; null for nothing.
        seed: Seed of the study.
        settings: The block of params.yaml that is called as this stage.
        adapters: Folder to write.
    """
    sets, data, loaded = read_sets(demonstrations), read_examples(examples).reworded(rewording), load_model(model)
    prompts = Prompts(loaded.tokenizer, data.template, data.words, read_told(demonstrations))
    learnt = _lessons(loaded.model, teacher, prompts, data, settings, seed) if teacher else _completions(prompts)
    cases = [_case(each, learnt(each), seed, reseeded) for each in sets]
    config, rows = adapter_config(loaded.model, settings), defaultdict[str, list[dict[str, Any]]](list)
    with whole(adapters) as folder, Progress("steps", len(sets) * settings.steps) as progress:
        tuned = tune(loaded.model, cases, settings, progress.advance, kept_steps)
        for each, case, last in zip(sets, cases, tuned, strict=True):
            of_case = {"weights": weights, **_of_set(each, prompts), **_of_case(case)}
            for moment, adapter in (("", last), *((f"step-{step}", then) for step, then in last.on_the_way.items())):
                save_adapter(adapter, config, folder / moment / each.set.id)
                rows[moment].append({**of_case, **adapter.summary()})
        made = {"tuning": settings, "reseeded": reseeded, "teacher": teacher, "template": data.template, "seed": seed}
        for moment, some in rows.items():
            write_tuning(some, folder / moment, origin(**made, device=loaded.model.device.type))


def _completions(prompts: Prompts) -> Callable[[ServingSet], list[Example]]:
    """What an adapter learns that is tuned on a set's labels."""
    return lambda each: [prompts.completion(one) for one in each.set.demonstrations]


def _lessons(
    model: PreTrainedModel, teacher: str, prompts: Prompts, data: Examples, settings: TuneLora, seed: int
) -> Callable[[ServingSet], list[Example]]:
    """What an adapter learns that imitates a model which is shown a set: that one's states after texts of the pool."""
    shown, taught_by = SHOWN[teacher], Teacher(model, taught_at_once(settings.tokens_per_batch))

    def of(each: ServingSet) -> list[Example]:
        used = {one.id for one in each.set.demonstrations}
        others = [prompts.query(one.fields) for one in data.pool if one.id not in used]
        if not others:
            raise TuningError("the pool has no text but the set's own, and imitating needs others; raise its size")
        dice = random.Random(f"{seed}/{each.serves[0].draw}/lessons")
        texts = dice.sample(others, min(settings.distilled_on, len(others)))
        return [*taught_by.lessons(prompts.prefix(shown(each.set)), prompts.prefix(), texts)]

    return of


def _case(each: ServingSet, examples: Sequence[Example], seed: int, reseeded: bool) -> Case:
    """The seed leaves out factor, level and query, so that a draw's adapters start equal at all of them."""
    place = each.serves[0]
    name = f"draw {place.draw}" + (f", query {place.query}" if place.query else "")
    adapter_seed = int(digest([seed, place.draw, *(["again"] if reseeded else [])]), 16) % 2**32
    return Case(name, examples, adapter_seed)


def _of_set(each: ServingSet, prompts: Prompts) -> dict[str, Any]:
    shots = len(each.set.demonstrations)
    return {"set": each.set.id, "demonstration_tokens": prompts.digest(each.set.demonstrations), "shots_used": shots}


def _of_case(case: Case) -> dict[str, Any]:
    return {"supervised_tokens": case.supervised_tokens, "seed": case.seed}


if __name__ == "__main__":
    command(tune_lora)
