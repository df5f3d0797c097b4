"""One name per stage: params key, rule file, rule, module, function, artifacts folder and DVC stage, in one order."""

import inspect
import json
import re
import shlex
import shutil
import subprocess
import sys
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from snakemake.api import ResourceSettings, SnakemakeApi
from snakemake.utils import format as format_command

from freshness import libraries
from freshness.reads import Rules
from freshness.recipes import Recipes
from freshness.syntax import module_path, modules_of
from workflow_scripts.aggregate_similarity import named_cells
from workflow_scripts.lib.study.settings import Study

ROOT = Path(__file__).parents[2]
STAGES = re.findall(r'include: "rules/(\w+)\.smk"', (ROOT / "Snakefile").read_text())[1:-1]
DVC = yaml.safe_load((ROOT / "dvc.yaml").read_text())
PURE = ("results.statistics", "results.permutation")
NEED_NO_MODEL = (
    "prepare_dataset",
    "sample_demonstrations",
    "compare_hidden_states",
    "aggregate_similarity",
    "render_report",
)


def test_the_same_stages_in_the_same_order_everywhere():
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    assert [key for key in params if key in STAGES] == STAGES
    assert list(params)[-len(STAGES) :] == STAGES
    assert list(DVC["stages"]) == STAGES
    assert {path.stem for path in (ROOT / "rules").glob("*.smk")} == {*STAGES, "common", "dvc"}
    assert {path.stem for path in (ROOT / "workflow_scripts").glob("*.py")} == {*STAGES, "__init__"}


def rules_of(stage):
    """Rule -> its text, of a stage's file."""
    _, *parts = re.split(r"^rule (\w+):$", (ROOT / f"rules/{stage}.smk").read_text(), flags=re.MULTILINE)
    return dict(zip(parts[::2], parts[1::2], strict=True))


def test_every_rule_is_looked_at():
    found = {name for stage in STAGES for name in rules_of(stage)}
    said = {name for path in (ROOT / "rules").glob("*.smk") for name in re.findall(r"rule (\w+):", path.read_text())}
    assert said - found == {"all_sources", "version_artifacts"}


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_is_one_rule_one_function_one_folder(stage):
    rules = rules_of(stage)
    assert stage in rules
    for text in rules.values():
        outputs = re.findall(r'"(artifacts/[^"]+)"', text.split("output:")[1].split("log:")[0])
        assert outputs
        assert all(path.startswith(f"artifacts/{stage}/") for path in outputs)
    assert DVC["stages"][stage]["outs"] == [{f"artifacts/{stage}": {"persist": True}}]


@pytest.mark.parametrize("stage", STAGES)
def test_the_flags_of_every_rule_are_the_functions_parameters(stage):
    function = getattr(import_module(f"workflow_scripts.{stage}"), stage)
    parameters = inspect.signature(function).parameters
    needed = {name for name, parameter in parameters.items() if parameter.default is parameter.empty}
    flags = {rule: re.findall(r"--(\w+)", text.split("shell:")[1]) for rule, text in rules_of(stage).items()}
    for rule, some in flags.items():
        assert len(set(some)) == len(some), rule
        assert needed <= set(some) <= set(parameters), rule
    assert {flag for some in flags.values() for flag in some} == set(parameters)


@pytest.mark.parametrize("stage", STAGES)
def test_no_command_says_what_a_model_or_data_set_is_called(stage):
    for text in rules_of(stage).values():
        assert not {"model", "dataset"} & set(re.findall(r"{wildcards\.(\w+)", text.split("shell:")[1]))


ARGUMENT = 128 * 1024  # bytes that Linux takes in one argument; a shell command is one
RULES = """
include: "{0}/rules/common.smk"
include: "{0}/rules/sample_demonstrations.smk"
include: "{0}/rules/compare_hidden_states.smk"
include: "{0}/rules/aggregate_similarity.smk"
"""


@pytest.mark.usefixtures("signals")
@pytest.mark.parametrize(("models", "data_sets", "longest"), [(50, 50, 4_000), (1, 2500, ARGUMENT)])
def test_thousands_of_cells_make_a_command_that_linux_takes(tmp_path, monkeypatch, models, data_sets, longest):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    write_study(tmp_path, models, data_sets)
    rule = read_rules(tmp_path).get_rule("aggregate_similarity")
    params = {name: value(None) if callable(value) else value for name, value in rule.params.items()}
    params |= {"ready": "tables", "job": f".snakemake/plan/{'0' * 16}-{'0' * 16}.json"}
    command = format_command(rule.shellcmd, params=SimpleNamespace(**params), output=rule.output, log=rule.log)
    assert len(command.encode()) < longest
    flags = dict(pairwise(shlex.split(command)))
    names = [json.loads(flags[f"--{kind}"]) for kind in ("models", "datasets", "factors")]
    assert [len(some) for some in names] == [models, data_sets, 3]
    files = [[str(path) for path in cell.files] for cell in named_cells(flags["--cells"], *names)]
    assert files == [list(both) for both in zip(rule.input.cells, rule.input.products, strict=True)]
    assert len(files) == models * data_sets * 3


@pytest.mark.usefixtures("signals")
def test_sets_for_each_query_are_compared_beside_the_references(tmp_path, monkeypatch):
    """On the same queries; and how many these are makes no other sets anew."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    write_study(tmp_path, 1, 1)
    rules = read_rules(tmp_path)
    cell = SimpleNamespace(model="a-model-of-the-study-0000", dataset="a-data-set-0000", factor="relevance")
    levels = json.loads(dict(rules.get_rule("compare_hidden_states").params.items())["levels"](cell))
    folder = "artifacts/sample_demonstrations/a-data-set-0000"
    assert {level: files["sets"] for level, files in levels.items()} == {
        "any": f"{folder}/reference.parquet",
        "nearest": f"{folder}/relevance-nearest.parquet",
    }
    settings = dict(rules.get_rule("sample_demonstrations").params.items())["settings"]
    asked = {one: json.loads(settings(SimpleNamespace(setting=one))) for one in ("shots-1", "relevance-nearest")}
    assert asked["shots-1"]["relevance"] != asked["relevance-nearest"]["relevance"]
    assert asked["relevance-nearest"]["relevance"]["queries"] == 7


@pytest.mark.usefixtures("signals")
def test_a_model_that_demonstrations_are_chosen_by_is_read_where_they_are(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    name = "a-model-of-the-study-0000"
    write_study(tmp_path, 1, 1, relevance={"by": "states", "model": name, "queries": 7})
    rule = read_rules(tmp_path).get_rule("sample_demonstrations")
    inputs, params = dict(rule.input.items()), dict(rule.params.items())
    for setting, wanted in (("reference", []), ("relevance-nearest", [f"artifacts/prepare_model/{name}"])):
        cell = SimpleNamespace(dataset="a-data-set-0000", setting=setting)
        assert inputs["encoder"](cell) == wanted
        flag = params["encoder"](cell, SimpleNamespace(encoder=wanted))
        assert flag == (wanted[0] if wanted else "null")


def test_flags_worked_out_from_inputs_say_no_more_than_recipes_do():
    """Recipes have inputs, but none of the params that are made from them: such a flag may only name an input."""
    rules = "\n".join(path.read_text() for path in (ROOT / "rules").glob("*.smk"))
    flags = re.findall(r"(\w+)=lambda wildcards, input: (.*),\n", rules)
    assert len(flags) == len(re.findall(r"lambda wildcards, input", rules)) > 3
    named = [name for name, made in flags if made == f"only(input.{name})"]
    assert [name for name, _ in flags if name not in named] == ["provenance"]  # the recipes themselves


@pytest.mark.usefixtures("signals")
def test_no_two_artifacts_of_a_study_have_one_recipe(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    for name in ("studies", "workflow_scripts"):
        (tmp_path / name).symlink_to(ROOT / name)
    shutil.copyfile("studies/smoke.yaml", "params.yaml")  # every factor and arm
    every = [f'include: "{ROOT}/rules/{name}.smk"' for name in ("common", *STAGES)]
    workflow = read_rules(tmp_path, "\n".join(every))
    values, grid = workflow.globals["WILDCARDS"], workflow.globals["GRID"]
    recipes = Recipes(list(workflow.rules), values, {}, grid.exists)
    named = {}
    for job in recipes.every_job:
        named.setdefault(recipes.name(job), []).append(job)
    assert len(named) > 100
    assert [jobs for jobs in named.values() if len(jobs) > 1] == []


def read_rules(folder, text=None):
    """The rules as Snakemake has them, of the study in a folder."""
    (folder / "Snakefile").write_text(text or RULES.format(ROOT))
    with SnakemakeApi() as api:
        return api.workflow(ResourceSettings(cores=1), snakefile=folder / "Snakefile", workdir=folder)._workflow


def write_study(folder, models, data_sets, relevance=None):
    """A params.yaml of so many models and data sets, the reference and two factors."""
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    params["models"] = {f"a-model-of-the-study-{i:04d}": {"source": "pocket"} for i in range(models)}
    params["datasets"] = {f"a-data-set-{i:04d}": {"source": "world", "task": "topic"} for i in range(data_sets)}
    params["factors"] = {"shots": [1, 8], "relevance": ["nearest"]}
    params["arms"] = ["anchor", "icl", "it"]
    params["sample_demonstrations"]["relevance"] = relevance or {"by": "tf-idf", "queries": 7}
    (folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))


@pytest.mark.parametrize("stage", STAGES)
def test_dvc_is_told_of_every_key_that_a_rule_reads(stage):
    rules = Rules(sorted((ROOT / "rules").glob("*.smk")), Study.model_fields, exists="GRID")
    assert DVC["stages"][stage]["params"] == list(dict.fromkeys([*rules.keys_read(stage), "counts_as"]))


def test_dvc_depends_on_the_stages_code_and_inputs():
    deps = DVC["stages"]["compare_hidden_states"]["deps"]
    assert {"artifacts/tune_lora", "artifacts/dump_hidden_states", "workflow_scripts/lib/measures/on_states.py"} <= set(
        deps
    )
    assert "artifacts/prepare_dataset" not in deps
    assert "workflow_scripts/lib/lora/config.py" not in deps


def test_stages_import_lib_and_never_each_other():
    for stage in STAGES:
        assert not {f"workflow_scripts.{other}" for other in STAGES if other != stage} & set(
            modules_of(f"workflow_scripts.{stage}")
        )


@pytest.mark.parametrize("name", PURE)
def test_pure_modules_import_nothing_of_ours(name):
    module = f"workflow_scripts.lib.{name}"
    packages = ["workflow_scripts", "workflow_scripts.lib", module.rpartition(".")[0]]
    assert set(modules_of(module)) == {module, *packages}


def test_stages_that_need_no_model_import_no_torch():
    stages = ", ".join(f"workflow_scripts.{stage}" for stage in NEED_NO_MODEL)
    told = f"import sys, {stages}; print({{'torch', 'transformers', 'peft'}} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


@pytest.mark.parametrize("stage", STAGES)
def test_a_rule_runs_its_stage_as_a_person_would(stage):
    for text in rules_of(stage).values():
        assert f'sealed(\n            "python -m workflow_scripts.{stage}"\n' in text


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_is_forked_from_what_has_imported_torch_if_it_needs_it(stage):
    """`torch` among the libraries of a stage's code is what decides (freshness/framing.py)."""
    code = [str(module_path(module)) for module in modules_of(f"workflow_scripts.{stage}")]
    chooses_by_states = stage == "sample_demonstrations"  # at levels of relevance
    assert ("torch" in libraries.counting(code)) == (stage not in NEED_NO_MODEL or chooses_by_states)


# What `snakemake --lint` may say, and why it stands.
LINTS = {
    "Specify a conda environment or container for each rule.": "one locked .venv runs everything, also offline",
}


def test_snakemake_lints():
    lint = [sys.executable, "-m", "snakemake", "--lint"]
    done = subprocess.run(lint, cwd=ROOT, capture_output=True, text=True)
    output = done.stdout + done.stderr
    assert set(re.findall(r"^    \* (.+):$", output, re.MULTILINE)) == set(LINTS), output
