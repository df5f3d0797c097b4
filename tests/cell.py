"""All stages up to the comparison, for one model and data set, as the rules call them."""

from pathlib import Path
from typing import NamedTuple

import torch
from peft import LoraConfig, get_peft_model

from tests.stage.test_lora import TUNING
from tests.stage.test_models import TRAINING
from tests.synthetic import SETTINGS
from workflow_scripts.compare_hidden_states import compare_hidden_states
from workflow_scripts.dump_hidden_states import dump_hidden_states
from workflow_scripts.lib.arms import ANCHOR, CHOOSABLE, ICL, IT, Arm, Weights, named
from workflow_scripts.lib.artifacts.levels import LevelFiles
from workflow_scripts.lib.data.choice import Choice, Relevance, SampleDemonstrations
from workflow_scripts.lib.data.sources import PrepareDataset, WorldDataset
from workflow_scripts.lib.forward.settings import DumpHiddenStates
from workflow_scripts.lib.models.load import load_model
from workflow_scripts.lib.patching.level import PatchedLevel
from workflow_scripts.lib.patching.patches import PATCHES
from workflow_scripts.lib.patching.settings import Patching
from workflow_scripts.patch_hidden_states import patch_hidden_states
from workflow_scripts.prepare_dataset import prepare_dataset
from workflow_scripts.prepare_model import prepare_model
from workflow_scripts.sample_demonstrations import sample_demonstrations
from workflow_scripts.tune_lora import tune_lora

WORLD, OTHER = WorldDataset(source="world", task="topic"), WorldDataset(source="world", task="sentiment")
ARMS = tuple(arm.name for arm in CHOOSABLE)
REPEATS = ("anchor-alone",)
QUERIES, DRAWS = 12, 2
KEPT = DumpHiddenStates(tokens_per_batch="auto", layers="all", storage="float32")


class Made(NamedTuple):
    """Where the artifacts of a model and a data set stand."""

    folder: Path
    model: str = "model"
    dataset: str = "data"

    @property
    def examples(self) -> Path:
        return self.folder / "prepare_dataset" / f"{self.dataset}.parquet"

    @property
    def weights(self) -> Path:
        return self.folder / "prepare_model" / self.model

    def sets(self, level: str) -> Path:
        return self.folder / "sample_demonstrations" / self.dataset / f"{level}.parquet"

    def adapters(self, level: str, weights: Weights) -> Path:
        return self.folder / "tune_lora" / self.model / self.dataset / level / weights.name

    def states(self, level: str, arm: Arm | str) -> Path:
        name = arm if isinstance(arm, str) else arm.name
        return self.folder / "dump_hidden_states" / self.model / self.dataset / level / f"{name}.parquet"

    def compared(self, name: str = "similarity") -> Path:
        return self.folder / "compare_hidden_states" / self.model / self.dataset / "reference" / f"{name}.parquet"

    @property
    def patched(self) -> Path:
        return self.folder / "patch_hidden_states" / self.model / self.dataset / "reference" / "similarity.parquet"


def make(at, source, levels=None, arms=ARMS, data=WORLD, repeats=REPEATS, draws=DRAWS, relevance=None, new_tokens=0):
    """Everything up to the states: `levels` is name -> choice."""
    levels = levels or {"reference": Choice(shots=4)}
    prepare_dataset(source=data, queries=QUERIES, seed=0, settings=PrepareDataset(pool=20), examples=at.examples)
    prepare_model(source=source, settings=TRAINING, model=at.weights)
    for level, choice in levels.items():
        sample(at.examples, at.sets(level), choice, draws, relevance)
        made = [arm for arm in named([*arms, *repeats]) if arm.given or level == next(iter(levels))]
        for weights in dict.fromkeys(arm.weights for arm in made if arm.weights):
            told = {
                "weights": weights.name,
                "trains": weights.trains,
                "reseeded": weights.reseeded,
                "teacher": weights.teacher,
                "kept_steps": [],
                "rewording": None,
            }
            made_of = (at.sets(level), at.examples, at.weights)
            tune_lora(*made_of, **told, seed=0, settings=TUNING, adapters=at.adapters(level, weights))
        for arm in made:
            dump(at, level, arm, new_tokens=new_tokens)
    return at


def compare(at):
    """The reference's cell, of the arms that have states there."""
    states = sorted(at.states("reference", "anchor").parent.glob("*.parquet"))
    adapters = sorted(path.parent for path in at.folder.rglob("tuning.parquet"))
    made = {"similarity": at.compared(), "products": at.compared("products")}
    reference = LevelFiles(sets=at.sets("reference"), states=states, adapters=adapters)
    compare_hidden_states({"reference": reference}, settings=SETTINGS, threads=1, **made)
    return at


def patch(at, arms=(ICL, IT), target=None, anchor=None, **settings):
    """The reference's cell, with states of some arms put into the anchor's run."""
    states = [at.states("reference", arm) for arm in arms]
    level = PatchedLevel(sets=at.sets("reference"), anchor=anchor or at.states("reference", ANCHOR), arms=states)
    how = {"patches": [one.name for one in PATCHES], "layers": "all", "tokens_per_batch": "auto"}
    how = Patching(**how | settings)
    patch_hidden_states(
        at.examples,
        at.weights,
        levels={"reference": level},
        rewording=None,
        settings=how,
        similarity=target or at.patched,
    )
    return at


def sample(examples, target, choice, draws=DRAWS, relevance=None, other=None):
    settings = SampleDemonstrations(relevance=relevance or Relevance())
    how = {"draws": draws, "seed": 0, "settings": settings}
    sample_demonstrations(examples, other=other, encoder=None, choice=choice, **how, demonstrations=target)


def dump(at, level, arm, keep=KEPT, new_tokens=0):
    """One arm's states at a level; `keep` says of which layers, and how exactly."""
    given = {
        "demonstrations": at.sets(level) if arm.given else None,
        "adapters": at.adapters(level, arm.weights) if arm.weights else None,
        "rewording": None,
    }
    settings = keep.model_copy(update={"new_tokens": new_tokens})
    told = {"arm": arm.name, "shows": arm.shows, "run": arm.run, "settings": settings}
    from_elsewhere = {
        "other": other_task(at) if arm.of_another else None,
        "imported": imported(at) if arm.imported else None,
    }
    dump_hidden_states(at.examples, at.weights, **told, **given, **from_elsewhere, states=at.states(level, arm))


def other_task(at):
    """Another data set, made once."""
    path = at.folder / "prepare_dataset" / "other.parquet"
    if not path.exists():
        how = {"queries": QUERIES, "seed": 0, "settings": PrepareDataset(pool=20), "examples": path}
        prepare_dataset(source=OTHER, **how)
    return path


def imported(at):
    """An adapter that peft itself makes and saves, with random weights; made once."""
    folder = at.folder.parent / f"{at.folder.name}-imported"
    if not folder.exists():
        torch.manual_seed(5)
        config = LoraConfig(r=2, lora_alpha=2, task_type="CAUSAL_LM", init_lora_weights=False)
        get_peft_model(load_model(at.weights).model, config).save_pretrained(folder)
    return folder
