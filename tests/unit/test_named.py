"""What commits name for DVC, how rules call artifacts, and which remotes are believed."""

import re
import subprocess

import pytest
import yaml

from freshness import configured, remotes
from sharing import layout, named
from tests.conftest import ROOT

ONE, OTHER, LIST = "1" * 32, "2" * 32, "3" * 32 + ".dir"


def git(*words):
    name = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    subprocess.run(["git", *name, *words], check=True, capture_output=True)


def lock(**outs):
    """A dvc.lock of one stage with these outputs."""
    return yaml.safe_dump({"stages": {"one": {"outs": [{"path": path, "md5": md5} for path, md5 in outs.items()]}}})


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A git repository with a commit that names a folder, a file of a `.dvc` file, and one that is in no cache."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    (tmp_path / "dvc.lock").write_text(lock(states=LIST, said=ONE))
    (tmp_path / "dvc.yaml").write_text(
        yaml.safe_dump({"stages": {"one": {"outs": ["states", {"said": {"cache": False}}]}}})
    )
    (tmp_path / "data/words.csv.dvc").write_text(yaml.safe_dump({"outs": [{"path": "words.csv", "md5": OTHER}]}))
    git("init", "-q")
    git("add", "-A")
    git("commit", "-qm", "one")
    return tmp_path


def test_a_commit_the_index_and_the_working_tree_name_what_they_have(project):
    committed = {("states", LIST), ("data/words.csv", OTHER)}
    assert set(named.outputs("HEAD")) == committed
    (project / "dvc.lock").write_text(lock(states=ONE))
    git("add", "-A")
    (project / "dvc.lock").write_text(lock(states=OTHER))
    (project / "new.dvc").write_text(yaml.safe_dump({"outs": [{"path": "new", "md5": ONE}]}))
    assert set(named.outputs("HEAD")) == committed
    assert set(named.outputs(named.INDEX)) == {("states", ONE), ("data/words.csv", OTHER)}
    assert set(named.outputs()) == {("states", OTHER), ("data/words.csv", OTHER), ("new", ONE)}
    (project / "dvc.lock").unlink()
    assert ("states", OTHER) not in named.outputs()


@pytest.mark.parametrize("text", ["stages:\n  one:\n  - {", "", "words", "stages: null", "<<<<<<< a\nstages: {}\n"])
def test_half_a_lock_file_is_said_in_a_line(project, text):
    (project / "dvc.lock").write_text(text)
    with pytest.raises(named.NamedError, match=r"dvc.lock is not whole: `git checkout dvc.lock`"):
        named.outputs()


def test_objects_are_lists_of_folders_and_what_these_list():
    listed = f'[{{"md5": "{ONE}", "relpath": "a/b"}}]'.encode()
    found = named.objects([named.Output("states", LIST), named.Output("x", OTHER)], lambda md5: {LIST: listed}[md5])
    assert found == {LIST: "states", ONE: "states/a/b", OTHER: "x"}


def test_files_are_of_what_the_rules_call_them(monkeypatch):
    monkeypatch.chdir(ROOT)
    adapter = "artifacts/tune_lora/m/d/shots-4/tuned/0a/adapter_model.safetensors"
    assert layout.wildcards(adapter) == {"model": "m", "dataset": "d", "setting": "shots-4", "weights": "tuned"}
    assert layout.wildcards("artifacts/prepare_dataset/d.parquet.recipe") == {"dataset": "d"}
    assert layout.wildcards("artifacts/render_report/figures/x.svg") == {}
    assert layout.wildcards("artifacts/other/x") is None
    assert layout.made_with("artifacts/compare_hidden_states/m/d/shots/similarity.parquet.recipe") == {
        "similarity": "artifacts/compare_hidden_states/m/d/shots/similarity.parquet",
        "products": "artifacts/compare_hidden_states/m/d/shots/products.parquet",
    }
    assert layout.made_with("artifacts/render_report/report.html.recipe").keys() == {
        "report",
        "figures",
        "tables",
        "plots",
    }


def test_a_remote_of_which_nothing_is_said_is_believed():
    project, clone = configured.OF_PROJECT, configured.OF_CLONE
    settings = {
        "remote.my.shared.url": configured.Said("s3://a/b", project),
        "remote.said.url": configured.Said("/x", project),
        "remote.said.verify": configured.Said("false", clone),
        "remote.own.url": configured.Said("/y=z", clone),
        "core.remote": configured.Said("said", project),
    }
    assert remotes.unverified(settings) == [("my.shared", project), ("own", clone)]


def test_the_docs_pin_what_remotes_were_tried_with():
    pinned = re.findall(r"[\w-]+==[\d.]+", (ROOT / "docs/sharing.md").read_text())
    assert len(pinned) == 3
    assert set(pinned) <= set((ROOT / "sharing/requirements-remotes.lock").read_text().split())
