from pathlib import Path

from workflow_scripts.lib.artifacts.provenance import origin


def test_an_origin_says_settings_and_nothing_of_this_machine(tmp_path):
    assert origin(seed=1, path=Path("a/b")) == {"settings": {"seed": 1, "path": "a/b"}}
