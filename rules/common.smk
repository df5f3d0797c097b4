# The study as params.yaml says it, checked before anything else, and what rules need of it.
import gc
import json
import re
import shlex
import sys
from itertools import product
from pathlib import Path
from types import SimpleNamespace

sys.path.insert(0, workflow.basedir)
# What Snakemake makes for a job stays to the end; going through all of it for garbage took a fifth of a dry run.
gc.freeze()
gc.set_threshold(100_000, 50, 1000)

from startup.bytecode import drop_stale

drop_stale(("startup", "freshness", "runs", "workflow_scripts"))

from startup.stop import UNMOVED, Stop

STOP = Stop(workflow)
STOP.listen()
# Jobs run in the environment that runs Snakemake, whether or not it is activated.
shell.prefix(f"{UNMOVED}export PATH={shlex.quote(str(Path(sys.executable).parent))}:$PATH; ")

from freshness import libraries
from freshness.contents import files_in
from freshness.recipes import sealed
from runs.watch import FAILED, FINISHED, Watch
from startup import cluster, warm
from startup.checks import check_study
from workflow_scripts.lib import machine
from workflow_scripts.lib.arms import ANCHOR, ARMS, SETS_DEPEND_ON, WEIGHTS, arm_named, weights_named
from workflow_scripts.lib.data.paths import files_of, listed, watched
from workflow_scripts.lib.gpus import cards
from workflow_scripts.lib.models.about import read_about
from workflow_scripts.lib.models.sources import controls
from workflow_scripts.lib.study.factors import Varied
from workflow_scripts.lib.study.grid import Grid, another
from workflow_scripts.lib.study.settings import SettingsError, read_study

PARAMS = Path("params.yaml")
WATCH = Watch(stopped=lambda: bool(STOP.status))
MEMORY, CARDS = machine.memory(), len(cards())
if workflow.local_exec and "gpu" not in workflow.global_resources:
    workflow.register_resource("gpu", max(1, CARDS))  # a job a card, unless `--resources gpu=` says otherwise

if config:
    raise WorkflowError(
        "The study is params.yaml and nothing else, so that DVC records what Snakemake ran: "
        "edit it or copy a file of studies/ over it, instead of --config or --configfile "
        f"(which set {', '.join(config)})."
    )
if {"--lc", "--li", "--lp"} & {*sys.argv} or any(re.match("--list-.*changes", flag) for flag in sys.argv):
    raise WorkflowError("What changed is told by recipes, not by Snakemake's notes: `snakemake -n` names it.")
if Path.cwd() != Path(workflow.basedir).resolve():
    raise WorkflowError("Run from the project's root, without --directory: artifacts/ and DVC's files stand there.")
try:
    STUDY = read_study(PARAMS)
    libraries.check(STUDY.counts_as)
except (SettingsError, libraries.LibraryError) as error:
    raise WorkflowError(str(error)) from None


def once(*lists):
    """Paths of several lists, each once."""
    return list(dict.fromkeys(path for some in lists for path in some))


def local_paths(source):
    """Files and folders that hold what a data set or model is read from here; of a pattern, the folder it looks in."""
    if hasattr(source, "path"):
        return [str(source.path)]
    return [str(path) for path in watched(source)]


def local_paths_of(relevance):
    """The folder of a sentence-transformers model that demonstrations are chosen by."""
    return [str(relevance.path)] if relevance.path and "relevance" in STUDY.factors.levels() else []


SOURCES = {
    "datasets": [path for source in STUDY.datasets.values() for path in local_paths(source)],
    "models": [
        *(path for source in STUDY.models.values() for path in local_paths(source)),
        *dict.fromkeys(str(folder) for folder in STUDY.imported.values()),
        *local_paths_of(STUDY.sample_demonstrations.relevance),
    ],
}
for path in once(*SOURCES.values()):
    here, artifacts = Path(path).resolve(), Path("artifacts").resolve()
    if "${" in path or here.is_relative_to(artifacts):
        raise WorkflowError(f"params.yaml: {path}: data and models lie outside artifacts/, and at a path without ${{")
    if artifacts.is_relative_to(here):
        raise WorkflowError(f"params.yaml: {path}: holds artifacts/; files of a pattern need a folder of their own")


onstart:
    STOP.listen()
    if workflow.local_exec:
        warm.start()
    else:
        cluster.check(workflow)
    check_study([str(file) for paths in SOURCES.values() for path in paths for file in files_in(path)])
    WATCH.begin(workflow.dag)


onerror:
    WATCH.end(FAILED)
    STOP.leave()


GRID = Grid(
    STUDY.factors,
    Varied(STUDY.reference, STUDY.tune_lora, STUDY.dump_hidden_states),
    STUDY.arms,
    STUDY.models,
    STUDY.imported,
)
WILDCARDS = {
    "model": [*STUDY.models],
    "dataset": [*STUDY.datasets],
    "factor": GRID.factors,
    "setting": [*GRID.settings],
    "patched": [factor for factor in GRID.factors if factor in STUDY.patch_hidden_states.factors],
    "arm": [arm.name for arm in ARMS],
    "weights": [weights.name for weights in WEIGHTS],
}


wildcard_constraints:
    **{name: "|".join(map(re.escape, values)) for name, values in WILDCARDS.items()},


def as_json(value):
    """A setting as a flag takes it: JSON, or a string as it is."""
    plain = value.model_dump(mode="json") if hasattr(value, "model_dump") else value
    return plain if isinstance(plain, str) else json.dumps(plain, ensure_ascii=False)


def arm_of(wildcards):
    """The arm that a path names."""
    return arm_named(wildcards.arm)


def sets_at(wildcards, setting):
    """The sets of a setting."""
    return f"artifacts/sample_demonstrations/{wildcards.dataset}/{GRID.stands_at(SETS_DEPEND_ON, setting)}.parquet"


def adapters_at(wildcards, setting, arms=None):
    """The adapters that arms run through at a setting; of all its arms, where none are named."""
    folder = f"artifacts/tune_lora/{wildcards.model}/{wildcards.dataset}"
    every = (arm.weights for arm in arms or GRID.arms_at(wildcards.model, setting) if arm.weights)
    return once(f"{folder}/{GRID.stands_at(weights.depends_on, setting)}/{weights.name}" for weights in every)


def adapters_of(wildcards):
    """The adapters that an arm runs through at a setting, if it runs through any."""
    return adapters_at(wildcards, wildcards.setting, [arm_of(wildcards)])


def other_task(wildcards):
    """The data set whose demonstrations a setting has, where it has not its own."""
    return [] if GRID.choice(wildcards.setting).task == "own" else [next_dataset(wildcards)]


def next_dataset(wildcards):
    """The data set that gives demonstrations of another task."""
    return f"artifacts/prepare_dataset/{another(wildcards.dataset, [*STUDY.datasets])}.parquet"


def rewording(wildcards):
    """What a setting puts otherwise in the data set's template."""
    return as_json(STUDY.templates.get(GRID.template(wildcards.setting)))


def in_time(setting, adapters):
    """Folders of adapters as a setting takes them: those of the step of tuning that it has."""
    step = GRID.on_the_way(setting)
    return [path if step is None else f"{path}/step-{step}" for path in adapters]


def states_at(wildcards, setting):
    """Every arm's states at a setting, wherever they stand."""
    return [state_at(wildcards, setting, arm) for arm in GRID.arms_at(wildcards.model, setting)]


def state_at(wildcards, setting, arm):
    """An arm's states at a setting."""
    folder = f"artifacts/dump_hidden_states/{wildcards.model}/{wildcards.dataset}"
    return f"{folder}/{GRID.stands_at(arm.depends_on, setting)}/{arm.name}.parquet"


def parts(wildcards, setting):
    """The files that a level is compared from."""
    adapters = in_time(setting, adapters_at(wildcards, setting))
    return {"sets": sets_at(wildcards, setting), "states": states_at(wildcards, setting), "adapters": adapters}


def patched_from(wildcards, setting):
    """The files that a level is patched from."""
    arms = [one for one in GRID.arms_at(wildcards.model, setting) if one.name in STUDY.patch_hidden_states.arms]
    return {
        "sets": sets_at(wildcards, setting),
        "anchor": state_at(wildcards, setting, ANCHOR),
        "arms": [state_at(wildcards, setting, arm) for arm in arms],
    }


def patched_levels(wildcards):
    """Level -> the files that it is patched from, of a factor's cell."""
    return {GRID.settings[one].level: patched_from(wildcards, one) for one in GRID.of_factor(wildcards.patched)}


def settings_of(wildcards):
    """The settings of a factor's cell, with their levels."""
    return GRID.of_factor(wildcards.factor)


def only(paths):
    """The one path of an input that may have none, as a flag takes it."""
    return paths[0] if paths else "null"


ASKS = cluster.Asks(workflow, PARAMS)


def gpus(wildcards):
    """GPUs that a cell's model takes: none where it is on the CPU, by its settings or because there are none.

    Whether other machines have GPUs, this one cannot tell: they have, where the profile says how many jobs may take.
    """
    model = STUDY.models[wildcards.model]
    device = getattr(model, "device", "cpu")
    there = ASKS.gpus_elsewhere if ASKS.elsewhere else CARDS
    if device == "cpu" or (device == "auto" and not there):
        return 0
    return model.cards if ASKS.elsewhere else min(model.cards, max(1, CARDS))


def cores(wildcards):
    """Threads of a job that runs a model: as few as let memory hold the jobs that run at once; one, of a GPU's job.

    How large a model is, is known once it is prepared; Snakemake asks again before it starts the job. Where jobs run on
    other machines each has one: a scheduler gives what was asked for, and refuses a step that takes a node's every core.
    """
    if ASKS.spread:
        return 1
    try:
        about = read_about(Path(f"artifacts/prepare_model/{wildcards.model}"))
    except (OSError, ValueError):  # not made yet, or to be made again
        return 1
    return 1 if gpus(wildcards) else machine.threads(about.parameters, workflow.resource_settings.cores or 1, MEMORY)


def every(pattern, **given):
    """A path for everything that the study has of what a pattern names."""
    names = [name for name in WILDCARDS if f"{{{name}}}" in pattern]
    combinations = product(*(given.get(name, WILDCARDS[name]) for name in names))
    every = (dict(zip(names, one)) for one in combinations)
    return [pattern.format(**one) for one in every if GRID.exists(one)]


def files_of_model(source):
    """Every file of a local model's folder; what is missing is said at the start, with all other errors."""
    return [str(file) for path in local_paths(source) for file in files_in(path)]


def encoder(wildcards):
    """The model by whose states a setting's demonstrations are chosen, if they are."""
    relevance = STUDY.sample_demonstrations.used_by(GRID.choice(wildcards.setting)).relevance
    return [] if relevance.model is None else [relevance.model]


def files_of_encoder(wildcards):
    """Every local file that a setting's demonstrations are chosen by."""
    relevance = STUDY.sample_demonstrations.used_by(GRID.choice(wildcards.setting)).relevance
    folders = [] if relevance.path is None else files_in(str(relevance.path))
    return [*folders, *(file for name in encoder(wildcards) for file in files_of_model(STUDY.models[name]))]


def files_of_imported(wildcards):
    """Every file of the folder of the adapter that an arm runs through, where it was tuned elsewhere."""
    return files_in(STUDY.imported[wildcards.model]) if arm_of(wildcards).imported else []


def files_of_data(source):
    """Every file that a local data set is read from, those that a pattern matches now among them."""
    return [str(path) for path in files_of(source)]
