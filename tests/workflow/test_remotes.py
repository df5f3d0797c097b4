"""A study goes through a DVC remote and back, and what happens to the remote is found: folder, SSH, S3.

SSH and S3 are real servers on this machine; `make test-remotes` has what they need.
"""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import pytest

from sharing.store import Remote
from tests.debian import PATH, missing
from tests.workflow.conftest import colleague, copied

pytestmark = pytest.mark.workflow
TABLE = "artifacts/aggregate_similarity/similarity.parquet"


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


@contextlib.contextmanager
def serving(command, port, **options):
    """A server that answers on a port until the end."""
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **options) as server:
        try:
            for _ in range(300):
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                    break
                assert server.poll() is None, f"{command} ended"
                time.sleep(0.1)
            yield lambda: (server.terminate(), server.wait())
        finally:
            server.terminate()


class Server(NamedTuple):
    """Where a remote is, DVC's options of it, keys in the environment, how it is taken away, and what is refused."""

    url: str
    stop: Callable[[], object]
    options: dict[str, str]
    keys: dict[str, str]
    wrong: tuple[dict[str, str], dict[str, str]] | None  # options and keys


@contextlib.contextmanager
def folder_remote(top):
    yield Server(f"{top}/remote", lambda: (top / "remote").rename(top / "away"), {}, {}, None)


@contextlib.contextmanager
def ssh_remote(top):
    pytest.importorskip("dvc_ssh", reason="needs dvc-ssh: make test-remotes")
    if packages := missing("ssh"):
        pytest.skip(f"needs Debian's {', '.join(packages)}: make test-remotes")
    sshd = shutil.which("sshd", path=PATH)
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)  # where sshd puts what it trusts least; the system's service makes it
    for key in ("host", "user", "stranger"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", top / key], check=True)
    port = free_port()
    lines = [
        f"Port {port}", "ListenAddress 127.0.0.1", f"HostKey {top}/host", f"AuthorizedKeysFile {top}/user.pub",
        "StrictModes no", "UsePAM no", "PasswordAuthentication no", "PidFile none", "Subsystem sftp internal-sftp",
    ]  # fmt: skip
    (top / "sshd_config").write_text("\n".join(lines) + "\n")
    with serving([sshd, "-D", "-f", top / "sshd_config"], port) as stop:
        user = subprocess.run(["id", "-un"], capture_output=True, text=True, check=True).stdout.strip()
        mine, strangers = ({"keyfile": f"{top}/{name}"} for name in ("user", "stranger"))
        yield Server(f"ssh://{user}@127.0.0.1:{port}{top}/remote", stop, mine, {}, (strangers, {}))


@contextlib.contextmanager
def s3_remote(top):
    for library in ("dvc_s3", "moto"):
        pytest.importorskip(library, reason=f"needs {library}: make test-remotes")
    import boto3

    port = free_port()
    address, strangers = f"http://127.0.0.1:{port}", {"aws_access_key_id": "a", "aws_secret_access_key": "b"}
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    # It asks for keys once four things are done: a user, what it may, its key, and a bucket.
    with serving(command, port, cwd=top, env=os.environ | {"INITIAL_NO_AUTH_ACTION_COUNT": "4"}) as stop:
        users, objects = (
            boto3.client(name, endpoint_url=address, region_name="us-east-1", **strangers) for name in ("iam", "s3")
        )
        users.create_user(UserName="me")
        users.put_user_policy(UserName="me", PolicyName="all", PolicyDocument=MAY_ALL)
        key = users.create_access_key(UserName="me")["AccessKey"]
        objects.create_bucket(Bucket="study")
        mine, refused = (
            {
                "AWS_ACCESS_KEY_ID": key["AccessKeyId"],
                "AWS_SECRET_ACCESS_KEY": secret,
                "AWS_DEFAULT_REGION": "us-east-1",
            }
            for secret in (key["SecretAccessKey"], "another")
        )
        yield Server("s3://study/artifacts", stop, {"endpointurl": address}, mine, ({}, refused))


MAY_ALL = json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]})
KINDS = {"folder": folder_remote, "ssh": ssh_remote, "s3": s3_remote}


class Shared:
    """A made study in a clone, with a remote of its own, and what is done to that remote."""

    def __init__(self, clone, server):
        self.clone, self.server, self.keys = clone, server, server.keys

    def prepare(self, clone, options=None, keys=None):
        """Have a clone reach the remote: what is this machine's is in no file that is committed."""
        clone.environment |= self.keys | (keys or {})
        for option, value in (self.server.options | (options or {})).items():
            clone.run(f"python -m dvc remote modify --local there {option} {value}")
        return clone

    def colleague(self, folder):
        return self.prepare(colleague(self.clone, folder, "HEAD"))

    def objects(self):
        """How many objects the remote has."""
        with self.opened() as store:
            return sum(1 for _ in store.all())

    def empty(self):
        with self.opened() as store:
            for one in [*store.all()]:
                store.delete(one)

    def harm(self, md5, content):
        """Write other bytes in place of an object, or delete it."""
        with self.opened() as store:
            path = store.oid_to_path(md5)
            store.fs.remove(path)
            if content is not None:
                store.fs.pipe_file(path, content)

    @contextlib.contextmanager
    def opened(self):
        with contextlib.chdir(self.clone.folder), pytest.MonkeyPatch.context() as patch:
            for key, value in self.keys.items():
                patch.setenv(key, value)
            yield Remote("there").store


@pytest.fixture(params=["folder", *(pytest.param(kind, marks=pytest.mark.remotes) for kind in ("ssh", "s3"))])
def shared(request, small, tmp_path):
    """The small study with an empty remote beside it."""
    with KINDS[request.param](tmp_path) as server:
        clone = copied(small, tmp_path / "made")
        clone.run(f"make remote URL={server.url} NAME=there && git commit -qam there")
        made = Shared(clone, server)
        made.prepare(clone)
        yield made


def said(clone, command):
    """The one line of an error beside make's own."""
    (line,) = [line for line in clone.run(command, check=False).splitlines() if not line.startswith("make")]
    return line


def test_what_is_no_remote_is_said_in_a_line(small, tmp_path):
    other = colleague(small, tmp_path / "other", "HEAD")
    assert "URL says where" in said(other, "make remote")
    assert "shared is " in said(other, f"make remote URL={tmp_path}/elsewhere")
    assert "no remote there, and of others shared" in said(other, "make verify-remote REMOTE=there")
    other.run(f"dvc remote add away http://127.0.0.1:{free_port()}/x && dvc remote modify away verify true")
    assert "remote away (http://127.0.0.1:" in (line := said(other, "make verify-remote REMOTE=away"))
    assert "cannot be used: " in line


@pytest.mark.skipif(bool(find_spec("dvc_s3")), reason="dvc-s3 is installed")
def test_a_remote_whose_library_is_missing_is_not_added(small, tmp_path):
    other = colleague(small, tmp_path / "other", "HEAD")
    assert "requires 'dvc-s3' to be installed (docs/sharing.md)" in said(other, "make remote URL=s3://a/b NAME=there")
    assert other.run("git status --short") == ""


def md5_of(clone, path):
    return clone.run(f"md5sum {path}").split()[0]


def test_a_study_goes_there_and_back(shared, tmp_path):
    assert "verify = true" in shared.clone.run("git show HEAD:.dvc/config").split("there")[1]
    shared.clone.run("python -m dvc push -q && make verify-remote")
    other = shared.colleague(tmp_path / "other")
    other.run("python -m dvc pull -q")
    shared.clone.run(f"diff -r --exclude .snakemake_timestamp artifacts {other.folder}/artifacts")
    other.quiet()
    assert other.run("git status --short") == ""


def test_harm_in_a_remote_is_found_and_repaired(shared, tmp_path):
    shared.clone.run("python -m dvc push -q")
    altered, absent = (md5_of(shared.clone, path) for path in (TABLE, "artifacts/render_report/plots.html"))
    shared.harm(altered, b"other")
    shared.harm(absent, None)
    assert "Everything is up to date" in shared.clone.run("python -m dvc push")  # why this is not enough

    other = shared.colleague(tmp_path / "other")
    told = other.run("make fetch STAGE=aggregate_similarity", check=False)
    assert f"the remote has not, or not intact, the bytes of {TABLE}" in told
    assert not (other.folder / TABLE).exists()

    told = shared.clone.run("make verify-remote", check=False)
    assert f"{TABLE}: altered ({altered})" in told
    assert f"artifacts/render_report/plots.html: absent ({absent})" in told
    assert "lacks 2 of" in told
    shared.clone.run("make verify-remote REPAIR=1 && make verify-remote")
    other.run("python -m dvc pull -q")
    other.quiet()


def killed_push(clone, shared):
    """Kill a push once something has arrived; whether it was still at work, which a fast one is not."""
    with subprocess.Popen(
        [sys.executable, "-m", "dvc", "push", "--quiet", "--jobs", "1"],
        cwd=clone.folder, env=clone.environment, start_new_session=True,
    ) as push:  # fmt: skip
        while push.poll() is None and shared.objects() < 10:
            time.sleep(0.02)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(push.pid, signal.SIGKILL)
    return push.returncode == -signal.SIGKILL


def test_a_push_that_was_killed_is_gone_on_with(shared, tmp_path):
    clone = shared.clone
    for _ in range(10):
        if killed_push(clone, shared):
            break
        shared.empty()
    else:
        pytest.fail("every push was over before it was killed")
    told, arrived = clone.run("make verify-remote", check=False), shared.objects()
    clone.run("python -m dvc push -q && make verify-remote")
    assert ("absent" in told) == (arrived < shared.objects())  # on a busy machine all may have arrived


def refused(clone):
    """What a clone is told that cannot reach the remote: in a line, with nothing left of what was asked for."""
    for command in ("make verify-remote", "make verify-remote REPAIR=1", "make fetch STAGE=render_report"):
        assert "remote there (" in (line := said(clone, command)), line
        assert "cannot be used: " in line
    assert not list(clone.folder.glob("artifacts/*/*"))
    assert clone.run("git status --short") == ""


def test_a_server_that_is_down_is_said_and_leaves_nothing_behind(shared, tmp_path):
    shared.clone.run("python -m dvc push -q")
    other = shared.colleague(tmp_path / "other")
    shared.server.stop()
    if shared.server.url.startswith("/"):  # a folder that is away is an empty one
        assert "the remote has no intact list" in said(other, "make fetch STAGE=render_report")
        assert "lacks " in shared.clone.run("make verify-remote", check=False)
    else:
        refused(other)


def test_a_wrong_key_is_said_and_leaves_nothing_behind(shared, tmp_path):
    if shared.server.wrong is None:
        pytest.skip("a folder has no keys")
    shared.clone.run("python -m dvc push -q")
    other = shared.prepare(shared.colleague(tmp_path / "other"), *shared.server.wrong)
    refused(other)
    shared.prepare(other)
    other.run("python -m dvc pull -q")
    other.quiet()


@pytest.fixture
def full(tmp_path):
    """A folder on a disk of its own that has no space; what is called makes some."""
    (tmp_path / "disk").mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", tmp_path / "disk"]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("needs root that may mount")
    try:
        yield tmp_path / "disk", lambda: subprocess.run(["mount", "-o", "remount,size=1g", mount[-1]], check=True)
    finally:
        subprocess.run(["umount", mount[-1]], check=True)


def test_a_full_disk_is_said_and_what_came_is_gone_on_with(shared, full, tmp_path):
    cache, make_space = full
    shared.clone.run("python -m dvc push -q")
    other = shared.colleague(tmp_path / "other")
    other.run(f"dvc cache dir --local {cache}")
    told = other.run("make fetch STAGE=render_report", check=False)
    assert "files that the remote has could not be brought. DVC says: ERROR: failed to transfer" in told
    assert "No space left on device" in told
    assert not list(other.folder.glob("artifacts/*/*"))
    make_space()
    other.run("python -m dvc pull -q")
    other.quiet()
