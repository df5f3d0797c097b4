"""Start jobs that need torch from one process that has imported it: a run pays for the imports once, not once a job.

`python rules/warm.py MODULE FLAGS...` does what `python -m MODULE FLAGS...` does. It asks the run's server
(rules/warm_server.py) to fork and become that process, with its folder, environment, standard streams and exit status.
Where there is no server (a job on another machine, a stage run by hand), or where it declines (a GPU is at hand, which
a fork cannot use), it becomes `python -m MODULE FLAGS...` itself.

The socket is no file, which a kill would leave behind, but one of Linux's abstract names. Those have no owner, so each
side checks that the other is the same user.

The standard library only, and little of that: every job waits for this file.
"""

import marshal
import os
import signal
import socket
import sys

ADDRESS = "ICL_IT_WARM"
STARTED, DECLINED = b"started\n", b"declined\n"
_held: list[object] = []


def start() -> None:
    """Start a server for the jobs of this process. It ends with this process; jobs find it by the environment."""
    import subprocess
    from pathlib import Path

    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("")  # the kernel finds a name
        listening.listen(128)
        command = [sys.executable, str(Path(__file__).with_name("warm_server.py")), str(listening.fileno())]
        # OpenMP and BLAS make their threads when they are loaded, and threads do not survive a fork.
        single = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
        server = subprocess.Popen(
            command, stdin=subprocess.PIPE, pass_fds=[listening.fileno()], env=os.environ | single
        )
        os.environ[ADDRESS] = listening.getsockname()[1:].decode()
    _held.append(server)  # with the pipe to its standard input, which closes with this process: so it knows


def run(command: list[str]) -> None:
    """Be `python -m MODULE FLAGS...`, forked from the server where that can be; does not return."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    server = asked(command)
    answers = [DECLINED] if server is None else answers_of(server)
    if answers[:1] == [DECLINED]:
        os.execv(sys.executable, [sys.executable, "-m", *command])
    sys.exit(int(answers[1]) if answers[1:] else f"{command[0]}: the process that this job was forked from is gone")


def asked(command: list[str]) -> socket.socket | None:
    """A connection to the server, which has the request; None where there is no server."""
    server = socket.socket(socket.AF_UNIX)
    try:
        server.connect(b"\0" + os.environ[ADDRESS].encode())
        if not same_user(server):
            return None
        request = marshal.dumps((os.getcwd(), dict(os.environb), command))  # noqa: PTH109 (pathlib is slow to import)
        socket.send_fds(server, [len(request).to_bytes(8, "big")], [0, 1, 2])
        server.sendall(request)
    except (KeyError, OSError):
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
    run(sys.argv[1:])
