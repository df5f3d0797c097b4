"""What there is to read of a data set: its examples and, at every setting of a study, what is shown and how."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from pydantic import ValidationError

from workflow_scripts.lib.arms import named
from workflow_scripts.lib.data.alike import longest_first
from workflow_scripts.lib.data.datasets import Prepared
from workflow_scripts.lib.data.examples import Examples, Wording
from workflow_scripts.lib.data.sampling import sample_sets
from workflow_scripts.lib.data.sets import OtherTask, ServingSet
from workflow_scripts.lib.data.summary import Summary
from workflow_scripts.lib.data.template import Template, placeholders
from workflow_scripts.lib.data.tf_idf import tf_idf
from workflow_scripts.lib.errors import StudyError
from workflow_scripts.lib.study.grid import REFERENCE, Grid, another
from workflow_scripts.lib.study.settings import Study


class TemplateError(StudyError):
    """A template of the study that does not fit a data set."""


class Shown(NamedTuple):
    """What a setting shows: its sets, in which template, and how demonstrations of another task are told."""

    sets: list[ServingSet]
    template: Template
    told: dict[str, Wording]


@dataclass(frozen=True)
class Material:
    """A data set's examples, what became of its rows, and what is shown, by setting.

    `other`: the task that an arm shows in the place of the reference's sets, where one does.
    """

    examples: Examples
    summary: Summary
    shown: dict[str, Shown]
    other: OtherTask | None = None

    @property
    def reference(self) -> Shown:
        """What the reference shows."""
        return self.shown[REFERENCE.name]


def material(study: Study, name: str, prepared: Mapping[str, Prepared | None]) -> Material:
    """All of it; `prepared`: the study's data sets, of which another task is the next that can be read.

    PoolError where a pool is too small, TemplateError where a template does not fit.
    """
    own, readable = prepared[name], {one: made for one, made in prepared.items() if made}
    assert own is not None
    other = another(name, [*readable])
    grid = Grid(study.factors, study.varied, study.arms, study.models, study.imported)
    tasks = {"own": None, "another": OtherTask(other, readable[other].examples)}
    templates = {one: _reworded(study, own.examples.template, one) for one in map(grid.template, grid.settings)}
    how: dict[str, Any] = {"draws": study.draws, "settings": study.sample_demonstrations, "seed": study.seed}
    in_its_place = tasks["another"] if any(arm.of_another for arm in named(study.arms)) else None
    shown = {}
    for setting in grid.settings:
        choice = grid.choice(setting)
        task = tasks[choice.task]
        told = task or (in_its_place if setting == REFERENCE.name else None)
        # What is not known before a model has run is stood in for by the longest texts that may be chosen.
        by = tf_idf if study.sample_demonstrations.relevance.by == "tf-idf" else longest_first(choice.relevance)
        sets = sample_sets(own.examples, choice, **how, other=task, similarity=by)
        wording = {told.name: told.examples.wording} if told else {}
        shown[setting] = Shown(sets, templates[grid.template(setting)], wording)
    return Material(own.examples, own.summary, shown, in_its_place)


def _reworded(study: Study, own: Template, name: str) -> Template:
    try:
        template = own.reworded(study.templates.get(name))
    except ValidationError as error:
        raise TemplateError(f"templates.{name}: {error.errors()[0]['msg'].removeprefix('Value error, ')}") from None
    unknown = [field for field in placeholders(template.query) if field not in placeholders(own.query)]
    if unknown:
        raise TemplateError(
            f"templates.{name}: query has field {unknown[0]}, and the data set's own template has "
            f"{', '.join(placeholders(own.query))}"
        )
    return template
