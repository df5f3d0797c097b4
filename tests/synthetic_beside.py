"""The files that the report reads beside estimates, made by hand: tuning of every case, examples and sets."""

from workflow_scripts.lib.arms import CHOOSABLE
from workflow_scripts.lib.artifacts.adapters import write_tuning
from workflow_scripts.lib.data.examples import Example, Examples, write_examples
from workflow_scripts.lib.data.sets import Demonstration, DemonstrationSet, Place, ServingSet, write_sets
from workflow_scripts.lib.data.template import Template
from workflow_scripts.lib.models.about import About

TEMPLATE = Template(query="text : {text}\nlabel :")
QUERY = "what is asked"
ABOUT = "tiny.gguf: weights stored as Q4_1 & more"
FELL, ROSE, HARDLY, STILL = (0.8, 0.2), (0.3, 0.4), (0.8, 0.7), (0.8, 0.8)  # losses before and after tuning


def sets_of(draws, shots=4):
    """A set for each draw, of texts of its own."""
    return [
        ServingSet(
            DemonstrationSet(
                tuple(
                    Demonstration(f"{draw}-{n}", {"text": f"text {draw} {n}"}, "positive", "positive")
                    for n in range(shots)
                )
            ),
            [Place(draw)],
        )
        for draw in range(draws)
    ]


def write_beside(folder, cases, losses=None):
    """Write the files of cases, and give the flags of the stage; `losses`: draw -> its losses, if not `FELL`."""
    models = list(dict.fromkeys(case.names["model"] for case in cases))
    datasets = list(dict.fromkeys(case.names["dataset"] for case in cases))
    sets = sets_of(max((case.draws for case in cases), default=1))
    rows = [_adapter(one.set.id, (losses or {}).get(draw, FELL)) for draw, one in enumerate(sets)]
    patterns = {
        "about": f"{folder}/models/{{model}}",
        "adapters": f"{folder}/adapters/{{model}}/{{dataset}}",
        "examples": f"{folder}/examples/{{dataset}}.parquet",
        "sets": f"{folder}/sets/{{dataset}}.parquet",
    }
    for kind in ("examples", "sets"):
        (folder / kind).mkdir(parents=True)
    for model in models:
        (folder / "models" / model).mkdir(parents=True)
        About(text=ABOUT, parameters=1).write(folder / "models" / model)
    for dataset in datasets:
        query = Example("query-0", {"text": QUERY}, "positive")
        examples = Examples([], [query], ["positive", "negative"], TEMPLATE)
        write_examples(examples, folder / "examples" / f"{dataset}.parquet", {})
        write_sets(sets, folder / "sets" / f"{dataset}.parquet", {})
        for model in models:
            at = folder / "adapters" / model / dataset
            at.mkdir(parents=True)
            write_tuning(rows, at, {})
    return {"models": models, "datasets": datasets, "arms": [arm.name for arm in CHOOSABLE], **patterns}


def _adapter(name, losses):
    row = {"weights": "tuned", "set": name, "demonstration_tokens": "", "shots_used": 4, "supervised_tokens": 4}
    norm_b = float(losses != STILL)
    return {**row, "seed": 0, "losses": [*losses], "norm_a": 1.0, "norm_b": norm_b, "moved": losses[-1] < losses[0]}
