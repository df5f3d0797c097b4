"""Programs of the system that tests need are installed by root on a Debian, and named to everybody else."""

import os

import pytest

from tests import debian


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A machine with nothing but what a test puts there; what apt-get is asked for is noted."""
    (tmp_path / "bin").mkdir()
    monkeypatch.setattr(debian, "PATH", str(tmp_path / "bin"))
    monkeypatch.setattr(debian, "FORBIDS", tmp_path / "policy-rc.d")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))

    def has(program, script="true"):
        path = tmp_path / "bin" / program
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    return has


def as_user(monkeypatch, number):
    monkeypatch.setattr(os, "geteuid", lambda: number)


def test_what_is_here_is_not_installed(machine, capsys):
    for program in debian.NEEDS["ssh"]:
        machine(program)
    assert debian.main("ssh") is None
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(("user", "apt"), [(1000, True), (0, False)])
def test_who_is_not_root_on_a_debian_is_told_in_a_line(machine, monkeypatch, user, apt):
    as_user(monkeypatch, user)
    machine("sshd")
    if apt:
        machine("apt-get", "exit 1")
    told = debian.main("ssh")
    assert told == "tests of ssh need programs that are not here; as root on Debian: apt-get install openssh-client"


def test_root_installs_what_is_missing_without_its_services(machine, monkeypatch, tmp_path, capsys):
    as_user(monkeypatch, 0)
    machine("slurmd")
    machine("apt-get", f'test -x {debian.FORBIDS} || exit 1\necho "$@" >> {tmp_path}/asked')
    listed = ("/lib/systemd/system/munge.service", "/lib/systemd/system/ssh@.service", "/usr/share/x.service")
    machine("dpkg", "\n".join(f"echo {path}" for path in listed))
    machine("systemctl", f'echo "$@" >> {tmp_path}/asked')
    assert debian.main("slurm") is None
    assert (tmp_path / "asked").read_text().splitlines() == [
        "-qq update",
        "-qq install --yes --no-install-recommends munge slurm-client slurmctld",
        "disable munge.service",
    ]
    assert not debian.FORBIDS.exists()
    assert "apt-get install munge slurm-client slurmctld" in capsys.readouterr().err


def test_an_installation_that_fails_is_told_in_a_line(machine, monkeypatch):
    as_user(monkeypatch, 0)
    machine("apt-get", "echo 'E: no network' >&2; exit 100")
    assert debian.main("ssh") == "apt-get -qq update: E: no network"
    assert not debian.FORBIDS.exists()
