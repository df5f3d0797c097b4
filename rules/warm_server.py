"""The process that a run's jobs are forked from: `python rules/warm_server.py FD`, a listening socket (rules/warm.py).

It imports torch and the like when the first client asks, and has no threads of its own. Nothing is left behind, however
a run ends: this process ends with Snakemake, which holds the other end of its standard input; a child ends with this
process, or with the client that waits for it.
"""

import atexit
import ctypes
import gc
import marshal
import os
import runpy
import select
import signal
import socket
import sys
import threading
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import NamedTuple, NoReturn

sys.path[0] = str(Path(__file__).parents[1])
from rules.warm import DECLINED, STARTED, same_user  # noqa: E402

# What stages import of others beside torch, slowest first; what is not here they import themselves.
MODULES = (
    "transformers.models.llama.modeling_llama",
    "transformers.models.auto.modeling_auto",
    "transformers.models.auto.tokenization_auto",
    "peft",
    "safetensors.torch",
    "pyarrow.dataset",
    "pyarrow.parquet",
    "pydantic.main",
    "pydantic.types",
    "jsonargparse",
    "docstring_parser",
    "attrs",
    "tabulate",
    "jaxtyping",
)
DIE_WITH_PARENT, NAME = 1, 15  # PR_SET_PDEATHSIG and PR_SET_NAME of prctl(2)


class Job(NamedTuple):
    """A child at work, and the connection to the client that waits for it."""

    pid: int
    pidfd: int
    client: socket.socket


class Server:
    """Forks a child for every client, until Snakemake is gone."""

    def __init__(self, listening: socket.socket) -> None:
        self.listening = listening
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
            self.can_fork = preload()
        if not (self.can_fork and same_user(client) and self.fork(client)):
            with suppress(OSError), client:
                client.sendall(DECLINED)

    def fork(self, client: socket.socket) -> bool:
        """Fork a child that becomes what the client asks for; False where there is no memory for it."""
        try:
            pid = os.fork()
        except OSError:
            return False
        if pid == 0:
            self.close()
            become(client)
        job = Job(pid, os.pidfd_open(pid), client)
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


def preload() -> bool:
    """Import what jobs need; False where a fork cannot stand in for a fresh process."""
    gc.disable()  # imports make little garbage, and a quarter of their time goes into looking for it
    try:
        os.close(os.pidfd_open(os.getpid()))  # Linux has it since 5.3
        if import_module("torch").accelerator.is_available():
            return False
        for name in MODULES:
            import_module(name)
    except Exception:  # whatever it is, a job says it better
        return False
    gc.freeze()  # nor will children look for garbage in what they share, and so copy it
    gc.enable()
    return True


def become(client: socket.socket) -> NoReturn:
    """In a child: be the process that a client asked for."""
    status = 1
    try:
        system = ctypes.CDLL(None)
        system.prctl(DIE_WITH_PARENT, signal.SIGKILL, 0, 0, 0)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        module = take_over(client)
        system.prctl(NAME, module.split(".")[-1].encode(), 0, 0, 0)  # for top(1)
        client.sendall(STARTED)
        status = run_as_main(module)
        tidy_up()
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        os._exit(status)  # without taking the interpreter down, which is half a second for torch


def take_over(client: socket.socket) -> str:
    """Take a client's streams, folder, environment, flags and number of threads; the module that it asks for."""
    size, streams, *_ = socket.recv_fds(client, 8, 3)
    folder, environment, command = marshal.loads(client.makefile("rb").read(int.from_bytes(size, "big")))
    for stream, own in enumerate(streams):
        os.dup2(own, stream)
        os.close(own)
    os.chdir(folder)
    os.environb.clear()
    os.environb.update(environment)
    sys.path[0], sys.argv = folder, command
    import_module("torch").set_num_threads(int(os.environ.get("OMP_NUM_THREADS", 1)))
    return command[0]


def run_as_main(module: str) -> int:
    """Run a module as the program; its exit status, and its last words if it fails, as the interpreter gives them."""
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as end:
        if isinstance(end.code, int):
            return end.code & 0xFF
        sys.stderr.write(f"{end.code}\n" if end.code is not None else "")
        return int(end.code is not None)
    except KeyboardInterrupt:
        sys.excepthook(*sys.exc_info())
        return 128 + signal.SIGINT
    except BaseException:
        sys.excepthook(*sys.exc_info())
        return 1
    return 0


def tidy_up() -> None:
    """What the interpreter does before it takes itself down."""
    threading._shutdown()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for Snakemake and the jobs
    Server(socket.socket(fileno=int(sys.argv[1]))).serve()
    tidy_up()
    os._exit(0)
