"""A Slurm of one node for a test: its own folder, keys and ports, loopback alone, no accounts, two GPUs that are none.

Needs root and Debian's packages of Slurm (tests/debian.py).
"""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

from tests.debian import PATH, missing
from tests.processes import gone

CONFIG = """\
ClusterName=throwaway
SlurmctldHost={host}(127.0.0.1)
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket
CredType=cred/munge
SlurmUser=root
SlurmdUser=root
SlurmctldPort={controller}
SlurmdPort={node}
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/log/slurmctld.log
SlurmdLogFile={folder}/log/slurmd.log
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
TaskEpilog={folder}/after-a-job
CommunicationParameters=NoInAddrAny
{limits}
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/none
SchedulerParameters=sched_interval=1,batch_sched_delay=0
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
GresTypes=gpu
SlurmdParameters=config_overrides
ReturnToService=2
MinJobAge=3600
KillWait=2
OverTimeLimit=0
MpiDefault=none
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory=64000 Gres=gpu:fake:2 State=UNKNOWN
PartitionName=cpu Nodes={host} Default=YES MaxTime=6000 State=UP
PartitionName=gpu Nodes={host} MaxTime=6000 State=UP
"""
CGROUPS = Path("/sys/fs/cgroup")
# Who ends a job that takes more memory than it asked for: the kernel at once, or slurmd, which looks every second.
LIMITS = {
    "cgroup": "ProctrackType=proctrack/cgroup\nTaskPlugin=task/cgroup",
    "polled": "ProctrackType=proctrack/linuxproc\nTaskPlugin=task/none\nJobAcctGatherParams=OverMemoryKill",
}
CGROUP = "CgroupPlugin=cgroup/v1\nCgroupMountpoint={mounted}\nConstrainRAMSpace=yes\nConstrainSwapSpace=yes\n"
# On device files that always exist, so that jobs are given a CUDA_VISIBLE_DEVICES.
GPUS = "AutoDetect=off\nName=gpu Type=fake File=/dev/null\nName=gpu Type=fake File=/dev/zero\n"


def lacking() -> str | None:
    """Why there can be no such Slurm here, or None."""
    if os.getuid() != 0:
        return "needs root, for slurmd"
    packages = missing("slurm")
    return f"needs Debian's {', '.join(packages)}: make test-slurm" if packages else None


def limits() -> list[str]:
    """The ways of `LIMITS` that this machine has, the better first; version 2 of cgroups takes systemd, and is left."""
    mounted = all(os.access(CGROUPS / name / "tasks", os.W_OK) for name in ("memory", "freezer"))
    return [*(["cgroup"] if mounted else []), "polled"]


class Slurm:
    """A controller and a node, from `start` to `stop`.

    `limits` is of `LIMITS`; `after` is a shell script that runs as each step ends.
    """

    def __init__(self, folder: Path, *, limits: str, cpus: int = 4, after: str = "true") -> None:
        self.folder = folder
        for name in ("state", "spool", "log", "munge", "bin"):
            (folder / name).mkdir(parents=True)
        (folder / "munge").chmod(0o755)
        (folder / "munge/key").write_bytes(os.urandom(128))
        (folder / "munge/key").chmod(0o400)
        (folder / "gres.conf").write_text(GPUS)
        (folder / "after-a-job").write_text(f"#!/bin/sh\n{after}\n")
        (folder / "after-a-job").chmod(0o755)
        ports = dict(zip(("controller", "node"), _free_ports(2), strict=True))
        self.host = socket.gethostname().split(".")[0]
        self.config = folder / "slurm.conf"
        said = {"folder": folder, "host": self.host, "cpus": cpus, "limits": LIMITS[limits]}
        self.config.write_text(CONFIG.format(**said, **ports))
        (folder / "cgroup.conf").write_text(CGROUP.format(mounted=CGROUPS))
        # Snakemake's executor drops SLURM_CONF before it calls srun, and /etc/slurm is not a test's to write.
        (folder / "bin/srun").write_text(f'#!/bin/sh\nSLURM_CONF={self.config} exec {shutil.which("srun")} "$@"\n')
        (folder / "bin/srun").chmod(0o755)
        self.environment = {"SLURM_CONF": str(self.config), "PATH": f"{folder}/bin:{PATH}"}

    def start(self) -> None:
        """Start all of it; returns once the node waits for jobs."""
        named = {"key-file": "key", "socket": "socket", "pid-file": "pid", "seed-file": "seed", "log-file": "log"}
        files = [f"--{flag}={self.folder}/munge/{name}" for flag, name in named.items()]
        self._run("munged", "--force", "--num-threads=2", *files)
        self.start_controller()
        self._run("slurmd", "-f", str(self.config))
        _until(lambda: self.command("sinfo", "-h", "-o", "%T").strip() == "idle", "the node is not idle")

    def start_controller(self) -> None:
        """Start the controller, with what it had saved."""
        self._run("slurmctld", "-f", str(self.config))
        _until(lambda: "UP" in self.command("scontrol", "ping"), "the controller does not answer")

    def kill_controller(self) -> None:
        """As a crash would, once it has saved what it knows now, which it does within five seconds.

        One that has lost that a job runs starts it again, finds it there twice and takes the node out of service.
        """
        known, saved = time.time(), self.folder / "state/job_state"
        _until(lambda: saved.exists() and saved.stat().st_mtime > known, "the controller does not save its state")
        pid = self._pid("slurmctld.pid")
        os.kill(pid, signal.SIGKILL)
        _until(lambda: gone(pid), "the controller is still there")

    def stop(self) -> None:
        """End jobs and daemons, each by its own id."""
        self.command("scancel", "--user=root")
        _until(lambda: not self.jobs(), "jobs do not end", fatal=False)
        for name in ("slurmctld.pid", "slurmd.pid", "munge/pid"):
            if (self.folder / name).exists():
                pid = self._pid(name)
                os.kill(pid, signal.SIGTERM)
                _until(lambda pid=pid: gone(pid), f"{name} does not end", fatal=False)
        for left in sorted(CGROUPS.glob(f"*/slurm_{self.host}/**/"), reverse=True):
            with contextlib.suppress(OSError):  # of another Slurm that runs here
                left.rmdir()

    def jobs(self, states: str = "PENDING,RUNNING,COMPLETING") -> list[str]:
        """`id state comment` of jobs in some states; all of them where `states` is "all"."""
        return self.command("squeue", "--noheader", f"--states={states}", "--format=%i %T %k").splitlines()

    def step(self, job: str) -> int | None:
        """The process that a job's first step runs; None before there is one."""
        rows = [row.split() for row in self.command("scontrol", "listpids", job).splitlines()[1:]]
        found = [int(pid) for pid, _, step, *_ in rows if step == "0"]
        return found[0] if found else None

    def command(self, *command: str) -> str:
        """Output of a Slurm command, whether or not it succeeds."""
        environment = os.environ | self.environment
        return subprocess.run(command, env=environment, text=True, capture_output=True, check=False).stdout

    def _pid(self, name: str) -> int:
        return int((self.folder / name).read_text())

    def _run(self, program: str, *flags: str) -> None:
        path = shutil.which(program, path=PATH)
        subprocess.run([str(path), *flags], check=True, env=os.environ | self.environment, stdin=subprocess.DEVNULL)


def _until(ready, otherwise: str, seconds: float = 20, *, fatal: bool = True) -> None:
    until = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > until:
            assert not fatal, otherwise
            return
        time.sleep(0.1)


def _free_ports(count: int) -> list[int]:
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in held]
    for one in held:
        one.close()
    return ports
