"""A process that a run's jobs are forked from: `python startup/warm_server.py READY FD`, a listening socket (warm.py).

It imports what READY stands for when the first client asks, and has no threads of its own. Nothing is left behind,
however a run ends: this process ends with Snakemake, which holds the other end of its standard input; a child ends with
this process, or with the client that waits for it.
"""

import gc
import os
import select
import signal
import socket
import sys
import warnings
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

sys.path[0] = str(Path(__file__).parents[1])
from startup.forked import become, call, decline, die_with_parent, tidy_up  # noqa: E402
from startup.warm import MODELS, TABLES, same_user  # noqa: E402

# What several jobs import of others, slowest first; what is not here they import themselves.
EVERY_STAGE = (
    "pyarrow.dataset",
    "pyarrow.parquet",
    "pydantic.main",
    "pydantic.types",
    "jsonargparse",
    "docstring_parser",
    "attrs",
    "tqdm",
    "importlib.metadata",
)
MODULES = {
    MODELS: (
        "torch",
        "transformers.models.llama.modeling_llama",
        "transformers.models.auto.modeling_auto",
        "transformers.models.auto.tokenization_auto",
        "peft",
        "safetensors.torch",
        "tabulate",
        "jaxtyping",
        *EVERY_STAGE,
    ),
    TABLES: ("numpy.random", *EVERY_STAGE),
}


class Job(NamedTuple):
    """A child at work, and the connection to the client that waits for it."""

    pid: int
    pidfd: int
    client: socket.socket


class Server:
    """Forks a child for every client, until Snakemake is gone."""

    def __init__(self, ready: str, listening: socket.socket) -> None:
        self.ready, self.listening = ready, listening
        self.jobs: dict[int, Job] = {}
        self.can_fork: bool | None = None
        self.waiting = select.poll()
        self.waiting.register(sys.stdin, 0)  # nothing comes that way; poll reports its end unasked
        self.waiting.register(listening, select.POLLIN)

    def serve(self) -> None:
        """Wait for clients, for children, and for the end of either or of Snakemake."""
        while True:
            fd, _ = self.waiting.poll()[0]  # one at a time: it may close what the next was about
            if fd == sys.stdin.fileno():
                return
            if fd == self.listening.fileno():
                self.accept()
            else:
                self.finish(fd)

    def accept(self) -> None:
        """Answer a client; the first waits for the imports."""
        client, _ = self.listening.accept()
        if self.can_fork is None:
            self.can_fork = preload(self.ready)
        try:
            forked = self.can_fork and same_user(client) and self.fork(client)
        except Exception:  # whatever is missing, memory too: the client can do without
            forked = False
        if not forked:
            decline(client)

    def fork(self, client: socket.socket) -> bool:
        """Fork a child that becomes what the client asks for; raises where there is no memory for it."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Python 3.12 warns of threads; arrow's is the one there is, and it knows
            pid = os.fork()
        if pid == 0:
            self.close()
            become(client)
        try:
            job = Job(pid, os.pidfd_open(pid), client)
        except OSError:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            raise
        self.jobs |= {job.pidfd: job, client.fileno(): job}
        self.waiting.register(job.pidfd, select.POLLIN)
        self.waiting.register(client, 0)
        return True

    def close(self) -> None:
        """In a child: let go of what is the server's, or clients of others would wait for this one's end."""
        self.listening.close()
        for job in self.jobs.values():
            job.client.close()

    def finish(self, fd: int) -> None:
        """A child has ended, or its client has and so must it: bury it, and tell the client."""
        job = self.jobs[fd]
        for known in (job.pidfd, job.client.fileno()):
            self.waiting.unregister(known)
            del self.jobs[known]
        if fd != job.pidfd:
            os.kill(job.pid, signal.SIGKILL)
        status = os.waitstatus_to_exitcode(os.waitpid(job.pid, 0)[1])
        os.close(job.pidfd)
        with suppress(OSError), job.client:
            job.client.sendall(b"%d\n" % (status if status >= 0 else 128 - status))  # as a shell has it


def preload(ready: str) -> bool:
    """Import what jobs need; False where a fork cannot stand in for a fresh process."""
    gc.disable()  # imports make little garbage, and a quarter of their time goes into looking for it
    try:
        os.close(os.pidfd_open(os.getpid()))  # Linux has it since 5.3
        die_with_parent(0)  # as it is: this asks whether a job can
        with no_last_deeds():
            for name in MODULES[ready]:
                import_module(name)
                if name == "torch" and sys.modules[name].accelerator.is_available():
                    return False
    except Exception:  # whatever it is, a job says it better
        return False
    gc.freeze()  # nor will children look for garbage in what they share, and so copy it
    gc.enable()
    return True


@contextmanager
def no_last_deeds() -> Iterator[None]:
    """Let nothing that is made meanwhile ask for a word at the end of the process.

    Torch would have each job take a thousand operators out of its registry again: a third of what a fork costs.
    """
    made: list[weakref.finalize] = []
    own = weakref.finalize.__init__

    def noted(self: weakref.finalize, *given: Any, **named: Any) -> None:
        own(self, *given, **named)
        made.append(self)

    weakref.finalize.__init__ = noted  # type: ignore[method-assign, assignment]
    try:
        yield
    finally:
        weakref.finalize.__init__ = own  # type: ignore[method-assign]
        for one in made:
            one.atexit = False


if __name__ == "__main__":
    # Ctrl-C is for Snakemake, and for the client of a job, with which the job ends.
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    call("warm_server")
    Server(sys.argv[1], socket.socket(fileno=int(sys.argv[2]))).serve()
    tidy_up()
    os._exit(0)
