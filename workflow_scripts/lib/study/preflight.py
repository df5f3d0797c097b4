"""Check a study against its data and models before anything expensive runs; every error is reported at once.

`python -m workflow_scripts.lib.study.preflight params.yaml`, and the start of every run that has something to do.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from workflow_scripts.lib.arms import FULL
from workflow_scripts.lib.data import datasets
from workflow_scripts.lib.data.datasets import Prepared
from workflow_scripts.lib.data.sources import Dataset
from workflow_scripts.lib.errors import StudyError
from workflow_scripts.lib.lora.apply import check_adapter
from workflow_scripts.lib.models.encoders import check_encoder
from workflow_scripts.lib.models.weights import empty_model
from workflow_scripts.lib.progress import log
from workflow_scripts.lib.study.fit import fits
from workflow_scripts.lib.study.grid import BY_QUERY
from workflow_scripts.lib.study.material import Material, material
from workflow_scripts.lib.study.model_checks import check_layers, check_tunable, model_of, trains
from workflow_scripts.lib.study.preview import Look, show
from workflow_scripts.lib.study.settings import SettingsError, Study, read_study
from workflow_scripts.lib.tuning.full import check_size


@dataclass(frozen=True)
class Checked:
    """All that would stop the study, each line naming the key, what is wrong and what is allowed; and what is read.

    data: data set -> what there is to read of it. looks: key -> the reference's prompts, of a model and a data set, and
    those of every other template.
    """

    errors: list[str]
    data: dict[str, Material]
    looks: dict[str, Look]


def check(study: Study) -> Checked:
    """Look at all that a study's settings name."""
    found: list[str] = []

    def checked(key: str, check: Callable[..., Any], *arguments: Any) -> Any:
        try:
            return check(*arguments)
        except StudyError as error:
            found.append(f"{key}: {error}")
            return None

    prepared = {
        name: checked(f"datasets.{name}", prepared_of, study, source) for name, source in study.datasets.items()
    }
    data = {name: checked(f"datasets.{name}", material, study, name, prepared) for name in prepared if prepared[name]}
    models = {name: checked(f"models.{name}", model_of, source) for name, source in study.models.items()}
    if BY_QUERY in study.factors.levels():
        checked("sample_demonstrations.relevance", check_encoder, study.sample_demonstrations.relevance)
    looks: dict[str, Look] = {}
    for name, model in models.items():
        if model:
            checked(f"models.{name}", check_tunable, study, model)
            checked(f"models.{name}", check_layers, study, model)
        if model and trains(study, FULL):
            checked(f"models.{name}", check_size, empty_model(model.config), study.tune_lora)
        if model and name in study.imported:
            checked(f"imported.{name}", check_adapter, empty_model(model.config), study.imported[name])
    for (model_name, model), (data_name, read) in product(models.items(), data.items()):
        key = f"models.{model_name} with datasets.{data_name}"
        made = checked(key, fits, study, model, read) if model and read else None
        looks |= {f"{key}{at}": one for at, one in (made or {}).items()}
    return Checked(found, {name: read for name, read in data.items() if read}, looks)


def prepared_of(study: Study, source: Dataset) -> Prepared:
    """A data set as the study would prepare it; DataError where it cannot be read."""
    return datasets.prepare(source, pool=study.prepare_dataset.pool, queries=study.queries, seed=study.seed)


def main(params: str = "params.yaml", how: str = "") -> None:
    """Check a params file; exits with 1 and one line per error. With `--brief` data and prompts are not shown."""
    try:
        study = read_study(Path(params))
    except SettingsError as error:
        raise SystemExit(str(error)) from None
    checked = check(study)
    new_tokens = study.dump_hidden_states.new_tokens
    show(checked.data, checked.looks, draws=study.draws, new_tokens=new_tokens, brief=how == "--brief")
    if checked.errors:
        raise SystemExit("\n".join([f"{params}:", *(f"  {line}" for line in checked.errors)]))
    log(f"{params}: checked against its data and models")


if __name__ == "__main__":
    main(*sys.argv[1:])
