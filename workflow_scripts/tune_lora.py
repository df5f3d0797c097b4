"""Tune on every set of demonstrations of a level: a LoRA adapter each, or what else lib/tuning/ways.py lists."""

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
from workflow_scripts.lib.lora.config import TuningError
from workflow_scripts.lib.lora.lessons import Teacher
from workflow_scripts.lib.lora.memory import taught_at_once
from workflow_scripts.lib.lora.settings import TuneLora
from workflow_scripts.lib.lora.train import Case
from workflow_scripts.lib.models.load import load_model
from workflow_scripts.lib.progress import Progress
from workflow_scripts.lib.tuning.ways import WAYS, Way


def tune_lora(
    demonstrations: Path,
    examples: Path,
    model: Path,
    *,
    weights: str,
    trains: str,
    reseeded: bool,
    teacher: str | None,
    kept_steps: list[int],
    rewording: Rewording | None,
    seed: int,
    settings: TuneLora,
    adapters: Path,
) -> None:
    """Write the folder `adapters`: for every set what was tuned on it, in {set}/, as peft saves it, and tuning.parquet.

    Of every kept step there is the same in step-{step}/.

    Args:
        demonstrations: Sets of the level.
        examples: Prepared data set; gives label words and template.
        model: Prepared model.
        weights: What the arms that run with it call it.
        trains: What is tuned, one of lib/tuning/ways.py.
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
    way = WAYS[trains]
    learnt = _lessons(loaded.model, teacher, prompts, data, settings, seed) if teacher else _completions(prompts, way)
    cases = [_case(each, learnt(each), seed, reseeded, prompts if way.in_the_prompt else None) for each in sets]
    save, rows = way.saver(loaded.model, settings), defaultdict[str, list[dict[str, Any]]](list)
    with whole(adapters) as folder, Progress("steps", len(sets) * settings.steps) as progress:
        tuned = way.tune(loaded.model, cases, settings, progress.advance, kept_steps)
        for each, case, last in zip(sets, cases, tuned, strict=True):
            of_case = {"weights": weights, **_of_set(each, prompts), **_of_case(case)}
            for moment, made in (("", last), *((f"step-{step}", then) for step, then in last.on_the_way.items())):
                save(made, folder / moment / each.set.id)
                rows[moment].append({**of_case, **made.summary()})
        how = {
            "trains": trains,
            "tuning": settings,
            "reseeded": reseeded,
            "teacher": teacher,
            "template": data.template,
            "seed": seed,
        }
        for moment, some in rows.items():
            made_on = {"precision": loaded.precision, "device": loaded.model.device.type}
            write_tuning(some, folder / moment, origin(**how, **made_on))


def _completions(prompts: Prompts, way: Way) -> Callable[[ServingSet], list[Example]]:
    """What is learnt of a set's labels: each demonstration alone, or after all that the prompt shows."""
    asked = prompts.continuation if way.in_the_prompt else prompts.completion
    return lambda each: [asked(one) for one in each.set.demonstrations]


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


def _case(each: ServingSet, examples: Sequence[Example], seed: int, reseeded: bool, shown_by: Prompts | None) -> Case:
    """The seed leaves out factor, level and query, so that a draw's adapters start equal at all of them.

    With `shown_by` the set is shown, and what stands before its demonstrations stays as it is.
    """
    place = each.serves[0]
    name = f"draw {place.draw}" + (f", query {place.query}" if place.query else "")
    adapter_seed = int(digest([seed, place.draw, *(["again"] if reseeded else [])]), 16) % 2**32
    if shown_by is None:
        return Case(name, examples, adapter_seed)
    return Case(name, examples, adapter_seed, shown_by.prefix(each.set.demonstrations), len(shown_by.prefix()))


def _of_set(each: ServingSet, prompts: Prompts) -> dict[str, Any]:
    shots = len(each.set.demonstrations)
    return {"set": each.set.id, "demonstration_tokens": prompts.digest(each.set.demonstrations), "shots_used": shots}


def _of_case(case: Case) -> dict[str, Any]:
    return {"supervised_tokens": case.supervised_tokens, "seed": case.seed}


if __name__ == "__main__":
    command(tune_lora)
