from pathlib import Path

import pytest
import yaml

from workflow_scripts.lib.settings import SettingsError, check_study, json_schema, read_study

ROOT = Path(__file__).parents[2]
EXPECTED = [
    ("tune_lora.rank", 4, "tune_lora.rank: unknown key"),
    ("tune_lora.r", "eight", 'tune_lora.r: input should be a valid integer.*is "eight"'),
    ("tune_lora.learning_rate", -1, "tune_lora.learning_rate: input should be greater than 0"),
    ("factors.labels", ["gold", "fliped"], "factors.labels.1: input should be 'gold', 'flipped' or 'random'"),
    ("factors.shots", [1, 1], "factors: shots names a level twice"),
    ("factors.colour", ["red"], "factors.colour: unknown key"),
    ("factors", {}, "factors: needs at least one of shots, labels"),
    ("models", {}, "models: dictionary should have at least 1 item"),
    ("models.pocket", {"source": "pockt"}, "models.pocket: .*'pocket', 'local', 'hub'"),
    ("models.mine", {"source": "hub", "id": "a/b"}, "models.mine.revision: missing"),
    (
        "models.m",
        {"source": "local", "path": "m", "device": "gpu0"},
        r"models.m.device: string should match.*\(is .gpu0",
    ),
    ("models.a/b", {"source": "pocket"}, "models.a/b.*: string should match pattern"),
    ("datasets.mine", {"source": "local", "pool": "a"}, "datasets.mine.template: missing"),
    ("draws", 0, "draws: input should be greater than 0"),
]


def params():
    return yaml.safe_load((ROOT / "params.yaml").read_text())


def put(content, key, value):
    *path, last = key.split(".")
    for part in path:
        content = content[part]
    content[last] = value


@pytest.mark.parametrize(("key", "value", "message"), EXPECTED)
def test_a_wrong_setting_is_named(key, value, message):
    content = params()
    put(content, key, value)
    with pytest.raises(SettingsError, match=message):
        check_study(content, "params.yaml")


def test_all_errors_are_reported_at_once():
    content = params()
    for key in ("draws", "queries", "tune_lora.steps"):
        put(content, key, 0)
    with pytest.raises(SettingsError) as caught:
        check_study(content, "params.yaml")
    assert str(caught.value).count("\n") == 3


@pytest.mark.parametrize("template", ["no field", "{label} {text}", "{text"])
def test_a_template_needs_a_text_field_and_no_label(template):
    content = params()
    labels = {"0": "no", "1": "yes"}
    content["datasets"]["d"] = {"source": "local", "pool": "a", "queries": "b", "format": "csv", "labels": labels}
    content["datasets"]["d"]["template"] = {"query": template}
    with pytest.raises(SettingsError, match=r"datasets\.d\.template"):
        check_study(content, "params.yaml")


@pytest.mark.parametrize(
    "path", [ROOT / "params.yaml", *sorted((ROOT / "studies").glob("*.yaml"))], ids=lambda p: p.name
)
def test_ready_made_studies_are_valid(path):
    assert read_study(path).models


def test_unreadable_params(tmp_path):
    with pytest.raises(SettingsError, match="no such file"):
        read_study(tmp_path / "params.yaml")
    (tmp_path / "params.yaml").write_text("a: [")
    with pytest.raises(SettingsError, match="not valid YAML"):
        read_study(tmp_path / "params.yaml")
    (tmp_path / "params.yaml").write_text("- a")
    with pytest.raises(SettingsError, match="must hold keys"):
        read_study(tmp_path / "params.yaml")


def test_schema_for_editors_is_current():
    assert (ROOT / "docs/params.schema.json").read_text() == json_schema(), "run `make schema`"
