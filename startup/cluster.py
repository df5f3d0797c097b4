"""What jobs on other machines ask of a scheduler, and whether the scheduler can say how they fare.

A job asks for the memory and the minutes that the plan of the study (`make plan`) has for its kind, twice over, and for
more at every further attempt. Where there is no plan yet, a run makes one; where none can be made, it asks for `LEAST`.
"""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from snakemake_interface_executor_plugins.settings import SharedFSUsage

from freshness.contents import md5
from startup.stop import unmoved

PLANS = Path(".snakemake/estimates")
LEAST = {"bytes": 4e9, "seconds": 1200.0}  # of a job that no plan has: libraries, and tables or a small model
SPARE = 2  # an estimate is out by half, at the worst that was measured (docs/performance.md, plan)
AROUND = 10  # minutes: two processes of Snakemake, imports and files through a network
SEEN_LATE = 240  # seconds after which a run has looked at a job that ended: its longest pause, and some

Gpus = Callable[[Any], int]  # of a job's wildcards


def _none(wildcards: Any) -> int:
    return 0


class Asks:
    """What jobs ask for; `workflow` is Snakemake's, `params` the study."""

    def __init__(self, workflow: Any, params: Path) -> None:
        self.workflow, self.params = workflow, params

    def memory(self, stage: str, gpus: Gpus = _none) -> Callable[[Any, int], int]:
        """MB of a stage's job, as a resource of its rule; `gpus` says how many a job takes."""
        return lambda wildcards, attempt: attempt * _up(self._wants(stage, wildcards, gpus)["bytes"] / 1e6)

    def minutes(self, stage: str, gpus: Gpus = _none) -> Callable[[Any, int], int]:
        """The same of its minutes."""
        return lambda wildcards, attempt: attempt * (AROUND + _up(self._wants(stage, wildcards, gpus)["seconds"] / 60))

    @property
    def elsewhere(self) -> bool:
        """Whether this process is to have jobs run on other machines."""
        return bool(self.workflow.is_main_process and not self.workflow.local_exec)

    @property
    def spread(self) -> bool:
        """Whether jobs run on other machines: this process hands them out, or is one that was handed out."""
        return self.elsewhere or bool(self.workflow.remote_exec)

    @property
    def gpus_elsewhere(self) -> int:
        """GPUs that jobs may take at once there, by the profile's `resources`; none where it does not say."""
        said = self.workflow.global_resources.get("gpu")
        return int(getattr(said, "value", said) or 0)

    def _wants(self, stage: str, wildcards: Any, gpus: Gpus) -> dict[str, float]:
        names = [stage, *(getattr(wildcards, name, "") for name in ("model", "dataset"))]
        planned = self._planned.get("/".join(filter(None, names)))
        if planned is None:
            return LEAST
        taken = planned["gpu" if gpus(wildcards) else "cpu"]
        return {"bytes": max(LEAST["bytes"], SPARE * taken["bytes"]), "seconds": SPARE * taken["seconds"]}

    @cached_property
    def _planned(self) -> dict[str, dict[str, dict[str, float]]]:
        path = PLANS / f"{md5(self.params)}.json"
        if self.elsewhere and not self.workflow.dryrun and not path.exists():
            _plan(self.params)
        return json.loads(path.read_text(encoding="utf-8"))["kinds"] if path.exists() else {}


def _plan(params: Path) -> None:
    """Make the plan of a study; a line where that cannot be, in the plan's own words."""
    command = [sys.executable, "-m", "workflow_scripts.lib.plan", str(params), "--estimates", str(PLANS)]
    sys.stderr.write("planning what jobs take (`make plan GPU=...` first, to name the cluster's card)\n")
    done = subprocess.run(unmoved(command), capture_output=True, text=True, check=False)
    if done.returncode:
        words = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        sys.stderr.write(
            f"no plan, so every job asks for {LEAST['bytes'] / 1e9:.0f} GB and more if it fails: {words}\n"
        )


def _up(number: float) -> int:
    return -int(-number // 1)


def check(workflow: Any) -> None:
    """Refuse other machines that do not see this folder, and a Slurm that could not say that jobs have ended."""
    plugin = workflow.executor_plugin
    if unshared := SharedFSUsage.all() - set(workflow.storage_settings.shared_fs_usage):
        names = ", ".join(sorted(one.item_to_choice() for one in unshared))
        sys.exit(f"{plugin.name}: jobs must share this folder with this machine ({names}): see docs/cluster.md.")
    if plugin.name != "slurm" or not (told := _settings_of_slurm()):
        return
    if refused := refusal(told, workflow.executor_settings.status_command):
        sys.exit(f"{refused}; nothing was started.")


@cache
def _settings_of_slurm() -> str:
    try:
        return subprocess.run(["scontrol", "show", "config"], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return ""  # sbatch says what is wrong


def refusal(config: str, asked: str) -> str | None:
    """Why a command cannot tell how jobs fare, and which can; `config` is what `scontrol show config` says."""
    said = dict(re.findall(r"^(\w+)\s*= (.*?)\s*$", config, re.MULTILINE))
    accounting = said.get("AccountingStorageType", "accounting_storage/none") != "accounting_storage/none"
    kept = int((re.match(r"\d+", said.get("MinJobAge", "")) or ["300"])[0])
    if asked == "sacct" and not accounting:
        return "sacct cannot tell how jobs fare, because this Slurm keeps no accounts: set slurm-status-command: squeue"
    if asked == "squeue" and kept < SEEN_LATE:
        other = "set slurm-status-command: sacct" if accounting else f"ask for MinJobAge={SEEN_LATE} or more"
        return f"squeue forgets jobs {kept} s after they end (MinJobAge), before a run has looked at them: {other}"
    return None
