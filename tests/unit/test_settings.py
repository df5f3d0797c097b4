from pathlib import Path

import pytest
import yaml

from workflow_scripts.lib.arms import CHOOSABLE
from workflow_scripts.lib.data.template import filled, pieces, placeholders
from workflow_scripts.lib.measures.settings import CHOOSABLE as MEASURES
from workflow_scripts.lib.study.factors import FACTORS
from workflow_scripts.lib.study.settings import SettingsError, Study, check_study, json_schema, read_study

ROOT = Path(__file__).parents[2]
EXPECTED = [
    ("tune_lora.rank", 4, "tune_lora.rank: unknown key"),
    ("tune_lora.r", "eight", 'tune_lora.r: input should be a valid integer.*is "eight"'),
    ("tune_lora.learning_rate", -1, "tune_lora.learning_rate: input should be greater than 0"),
    (
        "factors.labels",
        ["gold", "fliped"],
        "factors.labels.1: input should be 'gold', 'flipped'",
    ),
    ("factors.shots", [1, 1], "factors: shots names a level twice"),
    ("factors.colour", ["red"], "factors.colour: unknown key"),
    ("seed", -1, "seed: input should be greater than or equal to 0"),
    ("models.pocket.seed", -1, "models.pocket.seed: input should be greater than or equal to 0"),
    ("seed", 2**63, "seed: input should be less than"),
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
    ("patch_hidden_states.arms", ["anchor"], r"patch_hidden_states\.arms: anchor is none of icl, it"),
    ("patch_hidden_states.arms", ["it-reseeded"], r"patch_hidden_states\.arms: it-reseeded is none of icl, it"),
    ("patch_hidden_states.arms", [], r"patch_hidden_states\.arms: list should have at least 1 item"),
    (
        "patch_hidden_states.factors",
        ["template"],
        r"patch_hidden_states\.factors: template is none of reference, sh",
    ),
    ("patch_hidden_states.patches", ["own"], r"patch_hidden_states\.patches\.0: input should be 'own-state'"),
    ("patch_hidden_states.layers", [2, 2], r"patch_hidden_states\.layers: must name each once"),
    ("patch_hidden_states.layers", [-1], r"patch_hidden_states\.layers.*: input should be greater than or equal to 0"),
    ("dump_hidden_states.layers", {"every": 0}, r"dump_hidden_states\.layers.*: input should be greater than 0"),
    ("dump_hidden_states.layers", [-1], r"dump_hidden_states\.layers.*: input should be greater than or equal to 0"),
    ("dump_hidden_states.storage", "bfloat16", "dump_hidden_states.storage: input should be 'float32' or 'float16'"),
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


@pytest.mark.parametrize("block", ["models", "datasets"])
def test_a_name_is_none_of_what_stands_beside_an_artifact(block):
    content = params()
    content[block]["x.recipe"] = next(iter(content[block].values()))
    with pytest.raises(SettingsError, match=r"x\.recipe may not end in \.recipe"):
        check_study(content, "params.yaml")


def test_a_factor_of_one_level_has_nothing_to_patch():
    content = params()
    content["factors"], content["patch_hidden_states"]["factors"] = {"shots": [8], "labels": ["random"]}, ["shots"]
    with pytest.raises(SettingsError, match=r"patch_hidden_states\.factors: shots is none of reference, labels"):
        check_study(content, "params.yaml")


def test_all_errors_are_reported_at_once():
    content = params()
    for key in ("draws", "queries", "tune_lora.steps"):
        put(content, key, 0)
    with pytest.raises(SettingsError) as caught:
        check_study(content, "params.yaml")
    assert str(caught.value).count("\n") == 3


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"pool": "a"}, "queries: missing"),
        ({"queries": "b"}, "needs `pool` and `queries`, or `file`"),
        ({"pool": "a", "queries": "b", "file": "c"}, "needs `pool` and `queries`, or `file`"),
        ({"file": "a", "queries": "b"}, "`queries` must be a share such as 0.2, or a number, with `file`"),
        ({"pool": "a", "queries": 0.2}, "`queries` must name files where `pool` does; one file for both is `file`"),
        ({"file": "a", "queries": 1.5}, "queries: must be a share between 0 and 1, or a whole number above 0"),
        ({"file": "a", "queries": 0}, "queries: must be a share"),
        ({"file": "a", "queries": True}, "queries: must be a share"),
        ({"pool": 3, "queries": "b"}, "pool: must be a file, a pattern, a list of them"),
        ({"pool": [], "queries": "b"}, "pool: must be a file, a pattern, a list of them"),
        ({"pool": "a", "queries": ["b", 1]}, "queries: must be a file, a pattern, a list of them"),
        ({"pool": {"text": "a"}, "queries": "b"}, "format `lines`, and no other, takes column -> file"),
        ({"pool": "a", "queries": "b", "format": "lines"}, "format `lines`, and no other, takes column -> file"),
        ({"pool": "a", "queries": "b", "encoding": "utf8x"}, "encoding: is no encoding of texts that Python knows"),
        ({"pool": "a", "queries": "b", "encoding": "hex"}, "encoding: is no encoding of texts that Python knows"),
        (
            {"pool": "a", "queries": "b", "format": "jsonl", "quotes": True},
            "`columns` and `quotes` are for csv and tsv",
        ),
    ],
)
def test_what_a_local_data_set_may_say_of_its_files(given, message):
    content = params()
    labels = {"0": "no", "1": "yes"}
    content["datasets"]["d"] = {"source": "local", "format": "csv", "labels": labels, "template": {"query": "{text}"}}
    content["datasets"]["d"] |= given
    with pytest.raises(SettingsError) as caught:
        check_study(content, "params.yaml")
    _, *lines = str(caught.value).splitlines()
    assert len(lines) == 1
    assert message in lines[0]
    assert lines[0].startswith("  datasets.d")


def with_data(template, labels=("no", "yes")):
    content = params()
    declared = {str(i): word for i, word in enumerate(labels)}
    local = {"source": "local", "pool": "a", "queries": "b", "format": "csv", "labels": declared, "template": template}
    content["datasets"]["d"] = local
    return check_study(content, "params.yaml").datasets["d"]


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ({"query": "no field"}, "template.query: must hold at least one text field"),
        ({"query": "{label} {text}"}, "template.query: must hold .* and not {label}"),
        ({"query": "{text"}, "template.query: expected '}' before end of string; a brace of the text is written twice"),
        ({"query": "text} {a}"}, "template.query: single '}' encountered .* a brace of the text is written twice"),
        ({"query": "{}"}, "template.query: braces hold a column's name and no more"),
        ({"query": "{x!r}"}, "template.query: braces hold a column's name and no more"),
        ({"query": "{x:>10}"}, "template.query: braces hold a column's name and no more"),
        ({"query": "{x}", "label": "{label!r}"}, "template.label: braces hold a column's name and no more"),
        ({"query": "{x}", "label": "{label} {x}"}, "template.label: must hold {label} and no other field"),
        ({"query": "{x}", "label": " "}, "template.label: must hold {label}"),
        ({"query": "{x}", "instruction": "Read {x}."}, "template: instruction holds {x}, and fields are filled in"),
        ({"query": "{x}", "separator": "{label}"}, "template: separator holds {label}, and fields are filled in"),
    ],
)
def test_a_template_that_cannot_be_filled_is_refused(template, message):
    with pytest.raises(SettingsError, match=rf"datasets\.d\.{message}"):
        with_data(template)


def test_braces_and_names_of_columns_as_they_are():
    query = "{review.text} {0} {a[b]} {{x}} {order}"
    template = with_data({"query": query, "instruction": 'Answer {"sentiment": ...}'}).template
    assert placeholders(template.query) == ["review.text", "0", "a[b]", "order"]
    values = {"review.text": "{a}", "0": "{{", "a[b]": "}", "order": "o"}
    assert filled(pieces(template.query), values) == "{a} {{ } {x} o"


@pytest.mark.parametrize("word", ["", " ", " yes", "yes\n"])
def test_a_label_word_is_a_word(word):
    with pytest.raises(SettingsError, match=r"datasets\.d\.labels\.1: a label word is not empty and has no space"):
        with_data({"query": "{text}:"}, labels=["no", word])


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


def test_numbers_are_read_as_dvc_reads_them(tmp_path):
    text = (ROOT / "params.yaml").read_text()
    assert "learning_rate: 0.002" in text
    (tmp_path / "params.yaml").write_text("\ufeff" + text.replace("learning_rate: 0.002", "learning_rate: 2e-3"))
    assert read_study(tmp_path / "params.yaml").tune_lora.learning_rate == 0.002


def test_a_key_that_stands_twice_is_refused(tmp_path):
    (tmp_path / "params.yaml").write_text((ROOT / "params.yaml").read_text() + "\nseed: 5\n")
    with pytest.raises(SettingsError, match="seed"):
        read_study(tmp_path / "params.yaml")


def test_what_is_wrong_between_keys_is_a_line():
    content = params()
    content["factors"]["path"] = [1, 80]
    with pytest.raises(SettingsError) as caught:
        check_study(content, "params.yaml")
    assert str(caught.value).splitlines()[1:] == ["  factors.path: step 80 is beyond tune_lora.steps, 40"]


def test_a_long_value_is_cut():
    content = params()
    content["arms"] = "a" * 5000
    with pytest.raises(SettingsError, match=r"arms: input should be a valid list \(is .{200}\.\.\.\)"):
        check_study(content, "params.yaml")


def test_the_smoke_study_has_everything_once():
    study = read_study(ROOT / "studies/smoke.yaml")
    assert study.factors.levels().keys() == {factor.name for factor in FACTORS}
    assert set(study.arms) == {arm.name for arm in CHOOSABLE}
    assert set(study.compare_hidden_states.measures) == {measure.name for measure in MEASURES}


def test_no_key_may_be_left_out_that_a_rule_reads():
    """DVC refuses a stage that reads a key which params.yaml lacks, after all of its work."""
    assert [name for name, field in Study.model_fields.items() if not field.is_required()] == []
