"""Start jobs from processes that have imported what they need: a run pays for the imports once, not once a job.

`python startup/warm.py READY MODULE FLAGS...` does what `python -m MODULE FLAGS...` does. It asks one of the run's two
servers (startup/warm_server.py) to fork and become that process, with its folder, environment, streams and exit status.
READY says which: the one that has torch and the like, or the one that has what reads tables and is quicker to fork.
Where there is no server (a job on another machine, a stage run by hand, a system that lacks what this takes), or where
it declines (a GPU is at hand, which a fork cannot use), it becomes `python -m MODULE FLAGS...` itself.

The socket is no file, which a kill would leave behind, but one of Linux's abstract names. Those have no owner, so each
side checks that the other is the same user.

The standard library only, and little of that: every job waits for this file.
"""

import marshal
import os
import signal
import socket
import sys

MODELS, TABLES = "models", "tables"
STARTED, DECLINED = b"started\n", b"declined\n"
_held: list[object] = []


def address(ready: str) -> str:
    """The variable of the environment by which jobs find a server."""
    return f"ICL_IT_WARM_{ready.upper()}"


def start() -> None:
    """Start the servers for the jobs of this process. They end with this process.

    There is none where the system cannot have one, and jobs start fresh.
    """
    for ready in (MODELS, TABLES):
        os.environ.pop(address(ready), None)  # of a run that this one is a job of
        try:
            server, name = started(ready)
        except Exception:  # whatever is missing: a run does without
            continue
        os.environ[address(ready)] = name
        _held.append(server)  # with the pipe to its standard input, which closes with this process: so it knows


def started(ready: str) -> tuple[object, str]:
    """A server, and the name of its socket; raises where the system has no such names, no poll(2), no process to spare.

    What else it takes, the server finds out for itself, and declines.
    """
    import select
    import subprocess
    from pathlib import Path

    from startup.stop import unmoved

    select.poll()
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("")  # Linux finds a name; others have none to find
        name = listening.getsockname()[1:].decode()
        listening.listen(128)
        script = str(Path(__file__).with_name("warm_server.py"))
        command = [sys.executable, script, ready, str(listening.fileno())]
        # OpenMP and BLAS make their threads when they are loaded, and threads do not survive a fork.
        single = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
        server = subprocess.Popen(
            unmoved(command), stdin=subprocess.PIPE, pass_fds=[listening.fileno()], env=os.environ | single
        )
    return server, name


def run(ready: str, command: list[str]) -> None:
    """Be `python -m MODULE FLAGS...`, forked from a server where that can be; does not return."""
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    server = asked(ready, command)
    answers = [DECLINED] if server is None else answers_of(server)
    if DECLINED in answers:
        os.execv(sys.executable, [sys.executable, "-m", *command])
    sys.exit(int(answers[1]) if answers[1:] else f"{command[0]}: the process that this job was forked from is gone")


def asked(ready: str, command: list[str]) -> socket.socket | None:
    """A connection to a server, which has the request; None where there is no server, or no way to ask it."""
    try:
        server = socket.socket(socket.AF_UNIX)
        server.connect(b"\0" + os.environ[address(ready)].encode())
        if not same_user(server):
            return None
        request = marshal.dumps((os.getcwd(), dict(os.environb), command))  # noqa: PTH109 (pathlib is slow to import)
        socket.send_fds(server, [len(request).to_bytes(8, "big")], [0, 1, 2])
        server.sendall(request)
    except Exception:  # whatever is missing: a job can do without
        return None
    return server


def answers_of(server: socket.socket) -> list[bytes]:
    """DECLINED, or STARTED and an exit status once all is over; less if the server died."""
    answers: list[bytes] = []
    try:
        answers.extend(server.makefile("rb"))
    except OSError:
        return answers
    return answers


def same_user(peer: socket.socket) -> bool:
    """Whether the process at the other end is this user's."""
    credentials = peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)  # pid, uid, gid
    return int.from_bytes(credentials[4:8], sys.byteorder) == os.getuid()


if __name__ == "__main__":
    run(sys.argv[1], sys.argv[2:])
