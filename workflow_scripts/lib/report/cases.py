"""A case: a model on a data set, and what the study found of the two arms that it asks about."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from workflow_scripts.lib.arms import ANCHOR, QUESTION, Arm
from workflow_scripts.lib.measures import ACCURACY, AGREEMENT, HOW_ALIKE, HOW_WELL
from workflow_scripts.lib.measures.contrasts import OWN
from workflow_scripts.lib.measures.kinds import Measure
from workflow_scripts.lib.results.estimates import Estimate, Part
from workflow_scripts.lib.results.results import Results


def together(*arms: Arm) -> str:
    """Two arms as sentences and tables call what is of both."""
    return "-".join(arm.heading for arm in arms)


ICL_IT = together(*QUESTION)


class Case(NamedTuple):
    """A (model, data set) of the results; `control_of`: the trained model, if any, whose untrained control this is."""

    results: Results
    model: str
    dataset: str
    untrained: bool = False
    control_of: str | None = None

    @property
    def kind(self) -> str:
        """What a reader must know of the model."""
        return f"untrained control of {self.control_of}" if self.control_of else "untrained" * self.untrained

    @property
    def scored_by(self) -> Measure:
        """What tells how well this case's arms answer; accuracy where nothing was measured."""
        return next((one for one in HOW_WELL if self.of(one, ANCHOR).mean is not None), ACCURACY)

    @property
    def matched_by(self) -> Measure:
        """What tells whether two arms answer alike, in the same way."""
        return next((one for one in HOW_ALIKE if self.alike(one).mean is not None), AGREEMENT)

    def of(
        self,
        measure: Measure,
        *arms: Arm,
        match: str = OWN.name,
        answers: str = "all",
        at: tuple[str, str] | None = None,
    ) -> Estimate:
        """A measure of one arm or two at the last layer, and at the reference or a (factor, level)."""
        names = [arm.name for arm in arms]
        where: dict[str, Any] = dict(zip(("factor", "level"), at, strict=True)) if at else {}
        return self.results.at(self.model, self.dataset, measure.name, *names, match=match, answers=answers, **where)

    def levels(self, factor: str) -> list[str]:
        """Levels of a factor, the reference's too; none where it was not varied."""
        return self.results.levels(self.model, self.dataset, factor)

    def alike(self, measure: Measure, match: str = OWN.name, answers: str = "all") -> Estimate:
        """A measure of the two arms of the question."""
        return self.of(measure, *QUESTION, match=match, answers=answers)

    def parts(self) -> dict[str, Part]:
        """Parts of the two arms' pooled update cosine; empty where they were not measured."""
        return self.results.parts(self.model, self.dataset, *(arm.name for arm in QUESTION))

    def at_levels(self, measure: Measure, match: str) -> dict[str, Estimate]:
        """`factor level` -> a measure of the question's arms there, for every level but the reference's."""
        results, cell = self.results, (self.model, self.dataset)
        return {
            f"{factor} {level}": results.at(
                *cell, measure.name, *(arm.name for arm in QUESTION), match=match, factor=factor, level=level
            )
            for factor in results.factors
            for level in results.levels(*cell, factor)
            if level != results.reference.get(factor)
        }

    def effect(self, factor: str, level: str, measure: Measure, arms: Sequence[Arm], match: str) -> Estimate:
        """What a level changes in a measure against the reference, at the last layer."""
        names = [arm.name for arm in arms]
        return self.results.effect(self.model, self.dataset, factor, level, measure.name, *names, match=match)

    def within_noise(self, measure: Measure, *arms: Arm) -> bool:
        """Is it what noise alone would give."""
        return self.results.within_noise(self.model, self.dataset, measure.name, *(arm.name for arm in arms))

    def adapters_not_moved(self) -> int:
        """How many adapters of the reference setting did not move, or their loss did not fall."""
        return self.results.adapters_not_moved(self.model, self.dataset)


def cases(results: Results, controls: Mapping[str, str | None]) -> list[Case]:
    """Every case that was measured; `controls` maps an untrained model to the model that it is the control of."""
    return [Case(results, model, dataset, model in controls, controls.get(model)) for model, dataset in results.cells()]
