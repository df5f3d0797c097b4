"""What `make gc` deletes of DVC's cache: nothing that a branch, tag, stash, the index or the working tree needs."""

import hashlib
import json
import os
import subprocess
import sys

import pytest
import yaml

from tests.conftest import ROOT


class Project:
    """A git repository with a cache of DVC's; `add` puts a folder of one file into both, as DVC would."""

    def __init__(self, folder):
        self.folder = folder
        (folder / ".dvc").mkdir()
        (folder / ".dvc/config").write_text("[core]\n    analytics = false\n")
        (folder / ".gitignore").write_text("/.dvc/cache\n/.dvc/tmp\n/artifacts\n/.snakemake\n")
        self.git("init", "-q", "-b", "main")

    def git(self, *words):
        name = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
        subprocess.run(["git", *name, *words], cwd=self.folder, check=True, capture_output=True)

    def cached(self, content, mark=""):
        md5 = hashlib.md5(content).hexdigest() + mark
        path = self.folder / ".dvc/cache/files/md5" / md5[:2] / md5[2:]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return md5

    def add(self, text):
        """Record a version of the study whose only file has a text."""
        listed = json.dumps([{"md5": self.cached(text.encode()), "relpath": "file"}]).encode()
        out = {"path": "artifacts/stage", "hash": "md5", "md5": self.cached(listed, ".dir")}
        (self.folder / "dvc.lock").write_text(yaml.safe_dump({"schema": "2.0", "stages": {"stage": {"outs": [out]}}}))
        self.git("add", "-A")

    def commit(self, text):
        self.add(text)
        self.git("commit", "-qm", text)

    def texts(self):
        """What files the cache still has."""
        objects = (self.folder / ".dvc/cache/files/md5").glob("??/*")
        return {path.read_text() for path in objects if path.suffix != ".dir"}

    def gc(self, *flags):
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-m", "sharing.gc", *flags]
        done = subprocess.run(command, cwd=self.folder, env=environment, capture_output=True, text=True, check=False)
        return done.stdout + done.stderr


@pytest.fixture
def project(tmp_path):
    """Versions that something refers to, and three that nothing does: of an older commit, recorded once, and never."""
    made = Project(tmp_path)
    made.commit("older")
    for name in ("tagged", "branched"):
        made.git("checkout", "-q", "-b", name)
        made.commit(name)
    made.git("checkout", "-q", "main")
    made.git("tag", "-am", "kept", "kept", "tagged")
    made.git("branch", "-q", "-D", "tagged")
    for text in ("stashed first", "stashed"):
        made.add(text)
        made.git("stash", "-q")
    made.commit("newest")
    made.add("staged")
    made.add("here")
    made.git("restore", "--staged", "dvc.lock")
    made.cached(b"of no commit")
    made.cached(b"made, not recorded")
    (tmp_path / "artifacts/stage").mkdir(parents=True)
    (tmp_path / "artifacts/stage/file").write_text("made, not recorded")
    return made


NEEDED = {"tagged", "branched", "stashed first", "stashed", "newest", "here", "made, not recorded"}
WASTED = {"older", "staged", "of no commit"}


def test_what_is_needed_stays_and_the_rest_is_told_before_it_goes(project):
    told = project.gc()
    assert "artifacts/stage of commit" in told
    assert "recorded by no commit: 3 objects" in told  # a list and its file, and one more
    assert "`make gc YES=1` deletes them and frees" in told
    assert project.texts() == NEEDED | WASTED
    assert "deleted: 5 objects" in project.gc("--yes", "true")
    assert project.texts() == NEEDED
    assert "nothing to delete" in project.gc()


def test_what_a_kill_or_a_full_disk_left_half_written_goes(project):
    half = project.folder / ".dvc/cache/files/md5/66/.7uN6IW_bAd5wgNFPdz5s0Q.tmp"
    half.parent.mkdir(exist_ok=True)
    half.write_text("half")
    assert "begun by DVC and never ended: 1 objects, 4.00B" in project.gc()
    project.gc("--yes", "true")
    assert not half.exists()
    assert project.texts() == NEEDED


def test_what_is_staged_is_needed(project):
    project.add("staged")
    project.gc("--yes", "true")
    assert "staged" in project.texts()


def test_what_links_to_an_object_keeps_its_place_on_disk(project):
    for text in WASTED:
        md5 = hashlib.md5(text.encode()).hexdigest()
        os.link(project.folder / ".dvc/cache/files/md5" / md5[:2] / md5[2:], project.folder / md5)
    for path in list(project.folder.glob(".dvc/cache/files/md5/??/*.dir")):
        os.link(path, project.folder / path.name)
    assert "frees 0.00B" in project.gc()


def test_what_a_killed_run_had_begun_to_write_goes_too(project):
    begun = project.folder / ".dvc/cache/unfinished/.object.1.tmp"
    begun.parent.mkdir()
    begun.write_text("half")
    project.gc()
    assert begun.exists()
    project.gc("--yes", "true")
    assert not begun.exists()


def test_a_cache_of_others_is_left_alone(project, tmp_path_factory):
    other = tmp_path_factory.mktemp("cache")
    (project.folder / ".dvc/config.local").write_text(f"[cache]\n    dir = {other}\n")
    assert "is not of this clone alone" in project.gc("--yes", "true")
