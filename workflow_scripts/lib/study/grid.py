"""What a study makes, and where sets, adapters and states of a setting stand.

A setting is the reference, or the reference with one factor at another level. The reference is a cell of its own;
a factor's cell has its other levels only, and what a setting does not change is the reference's.
"""

from collections.abc import Container, Mapping, Sequence
from typing import Any, NamedTuple

from workflow_scripts.lib.arms import REPEATS, SETS_DEPEND_ON, Arm, Change, Weights, named, weights_named
from workflow_scripts.lib.data.choice import Choice
from workflow_scripts.lib.forward.settings import DumpHiddenStates
from workflow_scripts.lib.lora.settings import TuneLora
from workflow_scripts.lib.models.sources import lower
from workflow_scripts.lib.study.factors import AT_REFERENCE, FACTORS, Block, Varied, factor_named, level_name
from workflow_scripts.lib.study.settings import Levels


class Setting(NamedTuple):
    """A factor at one of its levels; the reference is a factor and a level of its own."""

    factor: str
    level: str

    @property
    def name(self) -> str:
        """What its files are called."""
        return self.factor if self == REFERENCE else f"{self.factor}-{self.level}"


REFERENCE = Setting(AT_REFERENCE, AT_REFERENCE)
BY_QUERY = "relevance"  # the factor at whose levels each query has a set of its own, and not all queries have


class Grid:
    """The settings of a study, and the arms at each of them.

    Args:
        factors: what is varied
        varied: the blocks of params.yaml that say where the reference stands
        arms: names of the study's arms
        models: name -> where it comes from, and in which precision
        imported: models that have an adapter from elsewhere
    """

    def __init__(
        self,
        factors: Levels,
        varied: Varied,
        arms: Sequence[str],
        models: Mapping[str, Any],
        imported: Container[str] = (),
    ) -> None:
        self.chosen, self.models, self.varied, self.imported = arms, models, varied, imported
        at = {factor.name: factor.level_of(varied) for factor in FACTORS}
        levels = factors.levels()
        self.levels = {factor: _with_reference(some, at[factor]) for factor, some in levels.items()}
        self.reference = {factor: level_name(at[factor]) for factor in levels}
        self.values = {REFERENCE.name: REFERENCE.level} | {
            Setting(factor, level_name(level)).name: level
            for factor, some in levels.items()
            for level in some
            if level != at[factor]
        }
        self.settings = {REFERENCE.name: REFERENCE} | {
            setting.name: setting
            for factor, some in self.levels.items()
            for level in some
            if (setting := Setting(factor, level)).name in self.values
        }

    @property
    def factors(self) -> list[str]:
        """The reference, and every factor that has levels beside it: the cells of each model and data set."""
        return list(dict.fromkeys(setting.factor for setting in self.settings.values()))

    def choice(self, setting: str) -> Choice:
        """How the demonstrations of a setting are chosen."""
        return self._put(self.varied.reference, setting).choice

    def template(self, setting: str) -> str:
        """The template of a setting: the data set's own, or one of the study's."""
        return self._put(self.varied.reference, setting).template

    def tuning(self, setting: str) -> TuneLora:
        """How the adapters of a setting are tuned."""
        return self._put(self.varied.tune_lora, setting)

    def dumping(self, setting: str) -> DumpHiddenStates:
        """Where and how the states of a setting are read."""
        return self._put(self.varied.dump_hidden_states, setting)

    def _put(self, block: Block, setting: str) -> Block:
        factor = factor_named(self.settings[setting].factor)
        return factor.put(block, self.values[setting]) if factor and factor.varies(block) else block

    def of_factor(self, factor: str) -> dict[str, str]:
        """The settings of a factor's cell -> their levels.

        The reference is among them where it is to be compared once more, on the queries that the other levels serve.
        """
        own = {name: setting.level for name, setting in self.settings.items() if setting.factor == factor}
        again = {REFERENCE.name: self.reference[factor]} if factor == BY_QUERY else {}
        return again | own

    def arms(self, model: str) -> list[Arm]:
        """The arms of a model: those of the study, and the repeats of the anchor that tell its noise."""
        exact = not lower(self.models[model])
        every = named([*self.chosen, *(arm.name for arm in REPEATS if not exact or arm.run != "float32")])
        return [arm for arm in every if not arm.imported or model in self.imported]

    def arms_at(self, model: str, setting: str) -> list[Arm]:
        """The arms that have states at a setting, wherever these stand."""
        moment = self.on_the_way(setting) is not None
        return [
            arm
            for arm in self.arms(model)
            if arm.everywhere or setting == REFERENCE.name or (arm.on_the_way and moment)
        ]

    def stands_at(self, depends_on: frozenset[Change], setting: str) -> str:
        """Among whose files stands what depends on this: the reference's, where the factor changes nothing of it."""
        factor = factor_named(self.settings[setting].factor)
        return setting if factor and factor.changes & depends_on else REFERENCE.name

    def on_the_way(self, setting: str) -> int | None:
        """The step of tuning whose adapters a setting has, where it has not the last one's."""
        factor = factor_named(self.settings[setting].factor)
        return int(self.values[setting]) if factor and "moment" in factor.changes else None

    def kept_steps(self, setting: str, weights: str) -> list[int]:
        """The steps at which adapters are kept on the way."""
        followed = [
            arm.weights.name for arm in named(self.chosen) if arm.weights and (arm.everywhere or arm.on_the_way)
        ]
        if setting != REFERENCE.name or weights not in followed:
            return []
        return [step for name in self.settings if (step := self.on_the_way(name)) is not None]

    def made(self, model: str, setting: str, arm: str) -> bool:
        """Whether an arm's states are made for a setting."""
        return any(
            one.name == arm and self.stands_at(one.depends_on, setting) == setting
            for one in self.arms_at(model, setting)
        )

    def tuned(self, model: str, setting: str, weights: Weights) -> bool:
        """Whether adapters are tuned for a setting: an arm runs through them, and they are not the reference's."""
        own = self.stands_at(weights.depends_on, setting) == setting
        return own and any(arm.weights == weights for arm in self.arms_at(model, setting))

    def exists(self, wildcards: dict[str, str]) -> bool:
        """Whether the study has a job: what a setting shares with the reference is not made twice, all else is."""
        model, setting = wildcards.get("model", ""), wildcards.get("setting", "")
        if "arm" in wildcards:
            return self.made(model, setting, wildcards["arm"])
        if "weights" in wildcards:
            return self.tuned(model, setting, weights_named(wildcards["weights"]))
        return not setting or self.stands_at(SETS_DEPEND_ON, setting) == setting


def another(dataset: str, datasets: Sequence[str]) -> str:
    """The data set that gives the demonstrations of another task: the next of the study, the first after the last."""
    return datasets[(datasets.index(dataset) + 1) % len(datasets)]


def _with_reference(levels: Sequence[Any], reference: Any) -> list[str]:
    """All levels by name, the reference's at its place among numbers, or before others, where the list lacks it."""
    if reference in levels:
        return [level_name(level) for level in levels]
    every = [reference, *levels]
    return [level_name(one) for one in (sorted(every) if all(isinstance(one, int | float) for one in every) else every)]
