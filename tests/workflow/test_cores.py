"""What a job of a model takes of the machine, as the rules say it to Snakemake."""

import os
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from snakemake.api import ResourceSettings, SnakemakeApi

from tests.workflow.conftest import ROOT
from workflow_scripts.lib import gpus, machine
from workflow_scripts.lib.models.about import About

STAGES = ("tune_lora", "dump_hidden_states", "patch_hidden_states")
INCLUDED = "\n".join(f'include: "{ROOT}/rules/{name}.smk"' for name in ("common", *STAGES))
SMOLLM2, GB = 134_515_008, 2**30


@pytest.fixture
def taken(tmp_path, monkeypatch):
    """Threads and GPUs of every stage's jobs of a model, on 2 cores with so much memory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    params["models"] = {"m": {"source": "local", "path": "no/folder"}}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    (tmp_path / "Snakefile").write_text(INCLUDED)

    def take(memory, *, gpu=0, parameters=SMOLLM2, **model):
        params["models"]["m"] |= model
        (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
        monkeypatch.setattr(machine, "memory", lambda: memory)
        monkeypatch.setattr(gpus, "cards", lambda: ["0"] * gpu)
        if parameters:
            (tmp_path / "artifacts/prepare_model/m").mkdir(parents=True, exist_ok=True)
            About(text="a model", parameters=parameters).write(tmp_path / "artifacts/prepare_model/m")
        with SnakemakeApi() as api:
            read = api.workflow(ResourceSettings(cores=2), snakefile=tmp_path / "Snakefile", workdir=tmp_path)
            rules = [read._workflow.get_rule(stage) for stage in STAGES]
            assert read._workflow.global_resources["gpu"].value == max(1, gpu)
            return {tuple(_evaluated(rule, name) for name in ("_cores", "gpu")) for rule in rules}

    return take


def _evaluated(rule, name):
    return rule.resources[name].evaluate(SimpleNamespace(model="m")).value


@pytest.mark.usefixtures("signals")
@pytest.mark.parametrize(
    ("given", "threads", "cards"),
    [
        ({"memory": 8 * GB}, 1, 0),  # a job for each core
        ({"memory": 3 * GB}, 2, 0),  # memory holds one, which has both
        ({"memory": 3 * GB, "gpu": 1}, 1, 1),
        ({"memory": 3 * GB, "gpu": 2}, 1, 1),
        ({"memory": 3 * GB, "gpu": 2, "cards": 4}, 1, 2),
        ({"memory": 3 * GB, "gpu": 2, "device": "cpu"}, 2, 0),
        ({"memory": 3 * GB, "parameters": None}, 1, 0),  # not prepared yet: Snakemake asks again
    ],
    ids=["enough", "short", "gpu", "two gpus", "larger than one", "cpu", "unknown"],
)
def test_a_job_takes(taken, given, threads, cards):
    assert taken(**given) == {(threads, cards)}


TWO_CARDS = f"""
import os, sys
from types import SimpleNamespace
sys.path.insert(0, {str(ROOT)!r})
from workflow_scripts.lib import gpus as found
os.environ["CUDA_VISIBLE_DEVICES"], found.GPUS = "3,5", ["null"]
include: "{ROOT}/rules/common.smk"
onstart: STOP.listen()
rule all:
    input: expand("made/{{number}}", number=range(4))
rule one:
    output: "made/{{number}}"
    resources: gpu=lambda wildcards: gpus(SimpleNamespace(model="m"))
    shell: "{sys.executable} job.py > {{output}}"
"""
JOB = f"""
import sys, time
sys.path.insert(0, {str(ROOT)!r})
from workflow_scripts.lib import gpus
gpus.GPUS = ["null"]
print(*gpus.take_cards(1), time.time(), end=" ")
time.sleep(3)  # longer than a busy machine takes to start another one
print(time.time())
"""


def test_as_many_jobs_run_side_by_side_as_there_are_cards_each_on_its_own(tmp_path):
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    params["models"] = {"m": {"source": "local", "path": "no/folder"}}
    files = {"params.yaml": yaml.safe_dump(params), "job.py": JOB, "Snakefile": TWO_CARDS}
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    command = [Path(sys.executable).parent / "snakemake", "--cores", "4"]
    done = subprocess.run(
        command, cwd=tmp_path, env=os.environ | {"TMPDIR": str(tmp_path)}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    by_card = defaultdict(list)
    for path in (tmp_path / "made").iterdir():
        card, *times = path.read_text().split()
        by_card[card].append(sorted(map(float, times)))
    assert {card: len(jobs) for card, jobs in by_card.items()} == {"3": 2, "5": 2}
    for first, second in map(sorted, by_card.values()):
        assert first[1] <= second[0]
    one, other = (min(jobs) for jobs in by_card.values())
    assert max(one[0], other[0]) < min(one[1], other[1])  # side by side
