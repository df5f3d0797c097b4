# The study as params.yaml says it, checked before anything else, and what rules need of it.
import json
import shlex
import sys
from pathlib import Path

# Jobs run in the environment that runs Snakemake, whether or not it is activated.
shell.prefix(f"export PATH={shlex.quote(str(Path(sys.executable).parent))}:$PATH; ")
sys.path.insert(0, workflow.basedir)

from rules import warm
from rules.recipes import sealed
from rules.start import be_alone, check_study, mend
from workflow_scripts.lib import datasets
from workflow_scripts.lib.settings import SettingsError, read_study

if config:
    raise WorkflowError(
        "The study is params.yaml and nothing else, so that DVC records what Snakemake ran: "
        "edit it or copy a file of studies/ over it, instead of --config or --configfile "
        f"(which set {', '.join(config)})."
    )
try:
    STUDY = read_study(Path("params.yaml"))
except SettingsError as error:
    raise WorkflowError(str(error)) from None


onstart:
    be_alone()
    mend()
    if workflow.local_exec:
        warm.start()
    check_study(
        [path for source in (*STUDY.datasets.values(), *STUDY.models.values()) for path in local_files(source)]
    )


REFERENCE = STUDY.reference.model_dump()


WILDCARDS = {"model": [*STUDY.models], "dataset": [*STUDY.datasets], "factor": [*STUDY.factors.levels()]}


wildcard_constraints:
    **{name: "|".join(map(re.escape, values)) for name, values in WILDCARDS.items()},


def as_json(value):
    """A setting as a flag takes it: JSON, or a string as it is."""
    plain = value.model_dump(mode="json") if hasattr(value, "model_dump") else value
    return plain if isinstance(plain, str) else json.dumps(plain, ensure_ascii=False)


def template(wildcards):
    """The template of a cell's data set."""
    return as_json(datasets.template_of(STUDY.datasets[wildcards.dataset]))


def gpus(wildcards):
    """GPUs that a cell's model takes: none where it is on the CPU by its settings."""
    return 0 if getattr(STUDY.models[wildcards.model], "device", "cpu") == "cpu" else 1


def every(pattern):
    """A path for every model, data set and factor that a pattern names."""
    return expand(pattern, **WILDCARDS)


def local_files(source):
    """Files that a data set or model is read from here; what is missing is said at the start, with all other errors."""
    if source.source != "local":
        return []
    paths = source.path.glob("*") if hasattr(source, "path") else (source.pool, source.queries)
    return [str(path) for path in sorted(paths) if path.is_file()]


def controls():
    """Untrained models of the study -> the model each is the control of: same settings but for `untrained`."""
    return {
        name: trained
        for name, model in STUDY.models.items()
        for trained, other in STUDY.models.items()
        if model.untrained and model == other.model_copy(update={"untrained": True}) and not other.untrained
    }
