"""The jobs of a study that run a model or compare states, and what each of them costs."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from workflow_scripts.lib.arms import WEIGHTS, Arm, named
from workflow_scripts.lib.models.sources import GgufModel, PackageModel, takes_weights
from workflow_scripts.lib.plan import comparing
from workflow_scripts.lib.plan.arithmetic import Reading, Tuning
from workflow_scripts.lib.plan.cards import Arithmetic
from workflow_scripts.lib.plan.lengths import Lengths
from workflow_scripts.lib.plan.machine import Rates
from workflow_scripts.lib.plan.work import (
    THERE_AND_BACK,
    Asked,
    Work,
    answered,
    asked,
    patched,
    read,
    states_on_disk,
    tuned,
)
from workflow_scripts.lib.study.factors import level_name
from workflow_scripts.lib.study.grid import BY_QUERY, REFERENCE, Grid
from workflow_scripts.lib.study.settings import Study

OF_PATCHED = 2  # bytes on disk of a row: few values, each many times
PREPARE = "prepare_model"
TUNE, DUMP, COMPARE, PATCH = "tune_lora", "dump_hidden_states", "compare_hidden_states", "patch_hidden_states"


class Job(NamedTuple):
    """One job: where it belongs, what it runs, and seconds of one core that no model takes."""

    stage: str
    model: str
    dataset: str
    factor: str
    work: Work
    seconds: float = 0.0


@dataclass(frozen=True)
class Planned:
    """A model as the plan knows it: what a token costs it, by where its adapters are; how fast this machine runs it.

    sharing: prompts share a prefix. published: the hub was out of reach, and the sizes are its publisher's.
    """

    source: Any
    reading: Reading
    tuning: Mapping[str, Tuning]
    rates: Rates
    sharing: bool
    published: bool

    @property
    def arithmetic(self) -> Arithmetic:
        """What it computes in: its dtype, or by parts."""
        if getattr(self.source, "precision", "whole") == "split":
            return "split"
        return "float32" if getattr(self.source, "dtype", "float32") == "float32" else "half"

    @property
    def bytes(self) -> float:
        """Of its weights in memory."""
        return self.reading.weights * (4 if self.arithmetic == "float32" else 2)


def tuning_key(settings: Any) -> str:
    """Of what tuning costs a token: modules and rank."""
    return f"{level_name(settings.target_modules)}/{settings.r}"


def prepared(study: Study, name: str, model: Planned) -> Job:
    """The model itself: the embedded one is trained, weights of a GGUF file are written out, others are noted."""
    made = isinstance(model.source, GgufModel | PackageModel) and takes_weights(model.source)
    work = Work(disk=model.bytes if made else 0)
    if model.source.source == "pocket":
        how = study.prepare_model
        tokens = 0 if not takes_weights(model.source) else how.steps * how.tokens_per_step
        flops = THERE_AND_BACK * (model.reading.flops.of(tokens, 0) + model.reading.head * tokens)
        work = Work(tokens, flops, disk=4.0 * model.reading.weights)
    return Job(PREPARE, name, "", "", work)


class Jobs:
    """All jobs of a model and a data set."""

    def __init__(
        self, study: Study, grid: Grid, name: str, model: Planned, dataset: str, at: Mapping[str, Lengths]
    ) -> None:
        self.study, self.grid, self.name, self.model, self.dataset, self.at = study, grid, name, model, dataset, at
        self.layers = study.dump_hidden_states.kept(model.reading.layers)

    def every(self) -> Iterator[Job]:
        """In the order of the stages."""
        for setting in self.grid.settings:
            yield from self._tuned(setting)
        for setting in self.grid.settings:
            yield from self._dumped(setting)
        for factor in self.grid.factors:
            yield self._compared(factor)
        for factor in self.grid.factors:
            if factor in self.study.patch_hidden_states.factors:
                yield self._patched(factor)

    def _job(self, stage: str, factor: str, work: Work, seconds: float = 0.0) -> Job:
        return Job(stage, self.name, self.dataset, factor, work, seconds)

    def _tuned(self, setting: str) -> Iterator[Job]:
        settings, factor = self.grid.tuning(setting), self.grid.settings[setting].factor
        for weights in WEIGHTS:
            if self.grid.tuned(self.name, setting, weights):
                kept = len(self.grid.kept_steps(setting, weights.name))
                cost, taught = self.model.tuning[tuning_key(settings)], weights.teacher is not None
                of = (self.model.reading, cost, self.at[setting], settings)
                made = tuned(*of, trains=weights.trains, taught=taught, kept=kept)
                yield self._job(TUNE, factor, made)

    def _dumped(self, setting: str) -> Iterator[Job]:
        at, keep = self.at[setting], self.study.dump_hidden_states
        for arm in self.grid.arms_at(self.name, setting):
            if self.grid.made(self.name, setting, arm.name):
                every = asked(at, given=arm.given, shows=bool(arm.shows))
                storage = keep.storage if arm.run == "batched" else "float32"
                disk = states_on_disk(self.model.reading, every, self.layers, storage, len(at.labels))
                work = self._asked(every, at, keep.new_tokens if arm.run == "batched" else 0)
                yield self._job(DUMP, self.grid.settings[setting].factor, work._replace(disk=disk))

    def _asked(self, every: Sequence[Asked], at: Lengths, most: int) -> Work:
        """Prompts of an arm, with the answers of a generation task, of which `most` tokens are written."""
        model, sharing = self.model.reading, self.model.sharing
        if at.labels:
            return read(model, every, at.labels, sharing=sharing)
        return answered(model, every, at.answer, most, sharing=sharing)

    def _compared(self, factor: str) -> Job:
        settings = [*self.grid.of_factor(factor)]
        draws, width = self.study.draws, self.model.reading.width
        given = [arm.name for arm in self._given(settings[-1])]
        asked_of = self.study.sample_demonstrations.relevance.queries if factor == BY_QUERY else self.study.queries
        queries = min(self.study.queries, asked_of)
        one = comparing.comparison(given, draws, queries, width, self.study.compare_hidden_states)
        layers = len(settings) * len(self.layers)
        values = len(given) * draws * queries * width
        work = Work(disk=one.disk(layers) + 2 * comparing.OF_FILE, host=values * comparing.HELD)
        return self._job(COMPARE, factor, work, one.seconds * layers)

    def _patched(self, factor: str) -> Job:
        how, given = self.study.patch_hidden_states, [arm.name for arm in self._given(REFERENCE.name)]
        layers = len(how.of_layers(self.layers))
        arms = len([arm for arm in how.arms if arm in given])
        each = [
            patched(self.model.reading, self.at[setting], layers, arms, len(how.patches))
            for setting in self.grid.of_factor(factor)
        ]
        sums = {name: sum(getattr(one, name) for one in each) for name in ("tokens", "flops", "passes")}
        rows = self.study.draws * layers * arms * len(how.patches) * 4
        disk = comparing.OF_FILE + len(each) * rows * OF_PATCHED
        return self._job(PATCH, factor, Work(**sums, disk=disk, host=max(one.host for one in each)))

    def _given(self, setting: str) -> list[Arm]:
        return [arm for arm in named(self.study.arms) if arm.given and arm in self.grid.arms_at(self.name, setting)]
