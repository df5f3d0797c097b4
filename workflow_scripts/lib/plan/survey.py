"""What there is to plan with: models by their configs, data sets by their texts, or what is assumed of these.

Nothing of a model but its config and tokenizer is fetched, and nothing at all where the hub is out of reach.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from workflow_scripts.lib.errors import StudyError
from workflow_scripts.lib.forward.allowed import found_ways
from workflow_scripts.lib.forward.ways import Ways
from workflow_scripts.lib.models.hub import HubError
from workflow_scripts.lib.models.sources import HubModel, Model
from workflow_scripts.lib.plan.arithmetic import reading, tuning
from workflow_scripts.lib.plan.jobs import Job, Jobs, Planned, prepared, tuning_key
from workflow_scripts.lib.plan.lengths import Lengths, assumed, counted
from workflow_scripts.lib.plan.machine import rates
from workflow_scripts.lib.plan.published import shape
from workflow_scripts.lib.study.fit import prompts_by_setting
from workflow_scripts.lib.study.grid import REFERENCE, Grid
from workflow_scripts.lib.study.material import Material, material
from workflow_scripts.lib.study.model_checks import CheckedModel, model_of
from workflow_scripts.lib.study.preflight import prepared_of
from workflow_scripts.lib.study.settings import Study
from workflow_scripts.lib.study.trial import small_copy


class Survey(NamedTuple):
    """A study's models and jobs, and lines on what was not to be had."""

    models: dict[str, Planned]
    jobs: list[Job]
    notes: list[str]


def survey(study: Study) -> Survey:
    """Look at all that a study names; StudyError where a model's shape is known from nowhere."""
    grid = Grid(study.factors, study.varied, study.arms, study.models, study.imported)
    notes: list[str] = []

    def tried(key: str, look: Callable[..., Any], *given: Any) -> Any:
        try:
            return look(*given)
        except StudyError as error:
            notes.append(f"{key}: {str(error).splitlines()[0]}")
            return None

    read = {name: tried(f"datasets.{name}", prepared_of, study, one) for name, one in study.datasets.items()}
    texts = {name: tried(f"datasets.{name}", material, study, name, read) if read[name] else None for name in read}
    looked = {name: tried(f"models.{name}", model_of, source) for name, source in study.models.items()}
    models: dict[str, Planned] = {}
    jobs: list[Job] = []
    for name, source in study.models.items():
        config = looked[name].config if looked[name] else _published(name, source, notes)
        at = {
            one: tried(f"models.{name} with datasets.{one}", _counted, looked[name], some) or assumed(study, grid)
            for one, some in texts.items()
        }
        models[name] = _planned(study, grid, source, config, [*at.values()], published=not looked[name])
        jobs.append(prepared(study, name, models[name]))
        for dataset, lengths in at.items():
            jobs += Jobs(study, grid, name, models[name], dataset, lengths).every()
            if not lengths[REFERENCE.name].counted:
                notes.append(f"models.{name} with datasets.{dataset}: tokens are assumed, those of sentences")
    return Survey(models, jobs, notes)


def _published(name: str, source: Model, notes: list[str]) -> Any:
    """The shape of a hub's model that cannot be reached; StudyError where nobody knows it, or the model is no hub's."""
    if not isinstance(source, HubModel):
        raise StudyError(next(note for note in notes if note.startswith(f"models.{name}:")))
    config = shape(source.id)
    if config is None:
        raise HubError(
            f"models.{name}: its config is not to be had and its shape in no list here (lib/plan/published.py); plan "
            "where the hub can be reached, or name a folder with its config.json (source: local, untrained: true)"
        )
    return config


def _counted(model: CheckedModel | None, read: Material | None) -> dict[str, Lengths] | None:
    return counted(read, prompts_by_setting(model, read)) if model and read else None


def _planned(
    study: Study, grid: Grid, source: Model, config: Any, at: list[Mapping[str, Lengths]], *, published: bool
) -> Planned:
    costs = reading(config)
    by_key = {tuning_key(one): one for one in map(grid.tuning, grid.settings)}
    tunings = {key: tuning(config, one) for key, one in by_key.items()}
    reference = at[0][REFERENCE.name]
    measured = rates(config, costs, tunings[tuning_key(study.tune_lora)], reference, study.tune_lora)
    longest = max(
        one.shown + max(one.queries) for lengths in at for setting in lengths.values() for one in setting.sets
    )
    return Planned(source, costs, tunings, measured, _sharing(config, longest), published)


def _sharing(config: Any, longest: int) -> bool:
    """Whether prompts share a prefix: as a small copy of the architecture does, within the window and beyond it."""
    window = getattr(config.get_text_config(decoder=True), "sliding_window", None)
    copy = small_copy(config)
    ways = Ways(sharing=True) if copy is None else found_ways(copy)
    return ways.sharing and (ways.windows or window is None or longest <= window)
