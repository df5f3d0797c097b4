"""How far a run is: its jobs done, running and failed, and the time left by what jobs of each kind have taken."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

MINUTE, HOUR = 60, 3600  # seconds
SLOW = 90  # seconds, or minutes, from which the next unit says it better


class Job(NamedTuple):
    """A job of the run. `cell`: the cell that it is the comparison or patching of, if any."""

    artifact: str
    kind: str
    log: str = ""
    cell: tuple[str, ...] = ()


Taken = dict[str, list[float]]  # kind -> how many jobs, and seconds in all


@dataclass
class Tally:
    """Times are seconds of one clock. `before`: what jobs of each kind took in the run before this one.

    Whatever is asked of it takes no longer for thousands of jobs: it is asked every second, and at every job.
    """

    jobs: Mapping[int, Job]
    before: Taken = field(default_factory=dict)
    taken: Taken = field(default_factory=dict)
    running: dict[int, float] = field(default_factory=dict)  # job -> since when
    done: set[int] = field(default_factory=set)
    failed: set[int] = field(default_factory=set)
    began: float | None = None

    def __post_init__(self) -> None:
        self.waiting = Counter(job.kind for job in self.jobs.values())  # neither done nor running
        self.open = Counter(job.cell for job in self.jobs.values() if job.cell)  # jobs of each cell that are not done
        self.all_cells = len(self.open)

    def start(self, job: int, now: float) -> None:
        """A job runs, perhaps once more."""
        self.running[job] = now
        self.failed.discard(job)
        self.waiting[self.jobs[job].kind] -= 1
        self.began = now if self.began is None else self.began

    def finish(self, job: int, now: float) -> None:
        """A running job is done."""
        kind, cell = self.jobs[job].kind, self.jobs[job].cell
        jobs, seconds = self.taken.get(kind, (0, 0))
        self.taken[kind] = [jobs + 1, seconds + now - self.running.pop(job)]
        self.open[cell] -= 1
        self.done.add(job)

    def fail(self, job: int) -> None:
        """A running job has failed."""
        del self.running[job]
        self.failed.add(job)
        self.waiting[self.jobs[job].kind] += 1

    @property
    def known(self) -> Taken:
        """What jobs of each kind have taken, in this run as far as it has had any."""
        return self.before | self.taken

    def left(self, now: float) -> tuple[float, bool]:
        """Seconds until all jobs are done if as many run side by side as so far, and whether every kind is known.

        Where a kind is not, its jobs are left out: it takes longer than that.
        """
        took = {kind: seconds / jobs for kind, (jobs, seconds) in self.known.items()}
        at_work = [(self.jobs[job].kind, now - since) for job, since in self.running.items()]
        work = sum(took.get(kind, 0) * jobs for kind, jobs in self.waiting.items())
        work += sum(max(took.get(kind, 0) - passed, 0) for kind, passed in at_work)
        kinds = {*(kind for kind, jobs in self.waiting.items() if jobs), *(kind for kind, _ in at_work)}
        return work / self._side_by_side(now), kinds <= took.keys()

    def _side_by_side(self, now: float) -> float:
        """How many jobs ran at a time, in the mean until now; 1 before any has."""
        passed = now - self.began if self.began is not None else 0
        busy = sum(seconds for _, seconds in self.taken.values()) + sum(now - since for since in self.running.values())
        return max(busy / passed, 1) if passed > 0 else 1

    def cells(self) -> tuple[int, int]:
        """How many of the run's cells are done, and how many there are."""
        return self.all_cells - sum(jobs > 0 for jobs in self.open.values()), self.all_cells

    def counts(self) -> str:
        """How many jobs and cells are done, running and failed."""
        done, cells = self.cells()
        told = f"{len(self.done)} of {len(self.jobs)} jobs" + (f" and {done} of {cells} cells" if cells else "")
        return f"{told} done, {len(self.running)} running, {len(self.failed)} failed"

    def line(self, now: float) -> str:
        """The counts, and the time left where it is known and there is an end to wait for."""
        seconds, known = self.left(now)
        if self.failed or len(self.done) == len(self.jobs) or not (seconds or known):
            return self.counts()
        return f"{self.counts()}, {'about' if known else 'more than'} {spoken(seconds)} left"


def spoken(seconds: float) -> str:
    """A time in the unit that says it best."""
    if seconds < SLOW:
        return f"{seconds:.0f} s"
    return f"{seconds / MINUTE:.0f} min" if seconds < SLOW * MINUTE else f"{seconds / HOUR:.1f} h"


def jobs_of(dag: Any) -> dict[int, Job]:
    """The jobs that a run of Snakemake has before it, by their numbers there."""
    return {dag.jobid(job): _job(job) for job in dag.needrun_jobs()}


def _job(job: Any) -> Job:
    wildcards = dict(job.wildcards_dict)
    outputs: Iterable[Any] = job.output
    # A model's jobs take as long as one another, not as those of another model.
    kind = " ".join(filter(None, (job.rule.name, wildcards.get("model"))))
    factor = wildcards.get("factor") or wildcards.get("patched")
    cell = (wildcards["model"], wildcards["dataset"], factor) if factor else ()
    return Job(str(next(iter(outputs), job.rule.name)), kind, str(next(iter(job.log), "")), cell)
