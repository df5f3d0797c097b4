"""What the check of a study says before any work."""

import pytest
import yaml

from tests.workflow.conftest import ROOT, TINY
from workflow_scripts.lib.study.preflight import main

pytestmark = pytest.mark.stage
LOCAL = {
    "source": "local",
    "format": "csv",
    "labels": {"0": "negative", "1": "positive", "2": None},
    "template": {"query": "text : {text}\nlabel :"},
}


def test_what_became_of_every_data_sets_rows_is_said_also_beside_errors(tmp_path, capsys):
    rows = [f"{'long ' * (i == 3)}text {i},{i % 3}\n" for i in range(30)]
    (tmp_path / "all.csv").write_text("".join(["text,label\n", *rows, rows[0]]))
    study = yaml.safe_load((ROOT / "params.yaml").read_text()) | TINY
    study["datasets"] = {
        "one": {**LOCAL, "file": str(tmp_path / "all.csv"), "queries": 0.5},
        "gone": {**LOCAL, "pool": "nowhere.csv", "queries": str(tmp_path / "all.csv")},
    }
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(study | {"prepare_dataset": {"pool": 10}}))
    with pytest.raises(SystemExit) as stopped:
        main(str(tmp_path / "params.yaml"))
    assert "datasets.gone: nowhere.csv: no such file" in str(stopped.value)
    assert "datasets.one" not in str(stopped.value)
    said = capsys.readouterr().err
    for line in (
        "datasets.one:",
        f"  rows read: 31 of {tmp_path}/all.csv",
        "  removed: 10 with a label mapped to null, 1 repeated",
        "  queries: 10 (negative 5, positive 5)",
        "  longest text: 11 characters (",
    ):
        assert line in said
    assert "datasets.gone" not in said
