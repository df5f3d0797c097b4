"""What the report shows beside estimates: tuning at the reference setting, and prompts; read from the stages' files."""

from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import NamedTuple

from workflow_scripts.lib.arms import Arm
from workflow_scripts.lib.artifacts.adapters import read_tuning
from workflow_scripts.lib.artifacts.tables import readable
from workflow_scripts.lib.data.examples import read_examples
from workflow_scripts.lib.data.sets import ServingSet, read_sets
from workflow_scripts.lib.models.about import read_about
from workflow_scripts.lib.report.prompt import Prompt, prompts
from workflow_scripts.lib.report.tuning import Adapters

PROMPTS_OF = 4  # data sets whose prompts the page shows


class Files(NamedTuple):
    """Paths with {model} and {dataset} for what these are called: of prepared models, adapters, examples and sets."""

    about: str
    adapters: str
    examples: str
    sets: str


def read_about_models(files: Files, models: Sequence[str]) -> dict[str, str]:
    """Model -> where it and its weights come from, in words."""
    told = {}
    for model in models:
        path = Path(files.about.format(model=model))
        with readable(path):
            told[model] = read_about(path).text
    return told


def read_adapters(files: Files, models: Sequence[str], datasets: Sequence[str]) -> Adapters:
    """(model, data set) -> rows of tuning.parquet, each with the draws that its set serves as `draw`."""
    draws = {dataset: _draws(read_sets(Path(files.sets.format(dataset=dataset)))) for dataset in datasets}
    return {
        (model, dataset): [
            {**row, "draw": draws[dataset][row["set"]]}
            for row in read_tuning(Path(files.adapters.format(model=model, dataset=dataset)))
        ]
        for model, dataset in product(models, datasets)
    }


def _draws(sets: Sequence[ServingSet]) -> dict[str, str]:
    return {one.set.id: " and ".join(str(place.draw) for place in one.serves) for one in sets}


def read_prompts(files: Files, datasets: Sequence[str], arms: Sequence[Arm]) -> list[tuple[str, list[Prompt]]]:
    """Data set -> the first query's prompts with the first set, for the first few data sets."""
    return [
        (
            dataset,
            prompts(
                read_examples(Path(files.examples.format(dataset=dataset))),
                read_sets(Path(files.sets.format(dataset=dataset)))[0].set,
                arms,
            ),
        )
        for dataset in datasets[:PROMPTS_OF]
    ]
