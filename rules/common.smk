# The study as params.yaml says it, checked before anything else, and what rules need of it.
import json
import shlex
import subprocess
import sys
from pathlib import Path

# Jobs run in the environment that runs Snakemake, whether or not it is activated.
shell.prefix(f"export PATH={shlex.quote(str(Path(sys.executable).parent))}:$PATH; ")
sys.path.insert(0, workflow.basedir)

from workflow_scripts.lib import datasets, provenance
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
    # Data and models are checked in a process of their own: Snakemake itself stays free of torch.
    if subprocess.run([sys.executable, "-m", "workflow_scripts.lib.preflight", "params.yaml"]).returncode:
        raise WorkflowError("The study cannot run as params.yaml says it; nothing was started.")


REFERENCE = STUDY.reference.model_dump()


wildcard_constraints:
    model="|".join(map(re.escape, STUDY.models)),
    dataset="|".join(map(re.escape, STUDY.datasets)),
    factor="|".join(STUDY.factors.levels()),


def as_json(value):
    """A setting as a flag takes it: JSON, or a string as it is."""
    plain = value.model_dump(mode="json") if hasattr(value, "model_dump") else value
    return plain if isinstance(plain, str) else json.dumps(plain, ensure_ascii=False)


def code(stage):
    """Digest of a stage's code: as a param of its rule, it makes an edit of a module stale what the module made."""
    return provenance.code_digest(stage)


def template(wildcards):
    """The template of a cell's data set."""
    return as_json(datasets.template_of(STUDY.datasets[wildcards.dataset]))


def gpus(wildcards):
    """GPUs that a cell's model takes: none where it is on the CPU by its settings."""
    return 0 if getattr(STUDY.models[wildcards.model], "device", "cpu") == "cpu" else 1


def cells(pattern):
    """A path for every (model, dataset, factor)."""
    return expand(
        pattern,
        model=STUDY.models,
        dataset=STUDY.datasets,
        factor=STUDY.factors.levels(),
    )


def data_files(wildcards):
    """Local files of a data set."""
    source = STUDY.datasets[wildcards.dataset]
    files = [source.pool, source.queries] if source.source == "local" else []
    return [path for path in files if path.exists()]  # what is missing is said at the start, with all other errors


def model_files(wildcards):
    """Files of a local model's folder."""
    source = STUDY.models[wildcards.model]
    return [path for path in source.path.glob("*") if path.is_file()] if source.source == "local" else []


def controls():
    """Untrained models of the study -> the model each is the control of: same settings but for `untrained`."""
    return {
        name: trained
        for name, model in STUDY.models.items()
        for trained, other in STUDY.models.items()
        if model.untrained and model == other.model_copy(update={"untrained": True}) and not other.untrained
    }
