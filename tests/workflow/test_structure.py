"""One name per stage: params key, rule file, rule, module, function, artifacts folder and DVC stage, in one order."""

import ast
import inspect
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
import yaml

from workflow_scripts.lib.provenance import modules_of

ROOT = Path(__file__).parents[2]
STAGES = re.findall(r'include: "rules/(\w+)\.smk"', (ROOT / "Snakefile").read_text())[1:-1]
DVC = yaml.safe_load((ROOT / "dvc.yaml").read_text())
PURE = ("similarity", "statistics", "prompts")
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


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_is_one_rule_one_function_one_folder(stage):
    text = (ROOT / f"rules/{stage}.smk").read_text()
    assert re.search(rf"^rule {stage}:", text, re.MULTILINE)
    outputs = re.findall(r'"(artifacts/[^"]+)"', text.split("output:")[-1].split("log:")[0])
    assert outputs
    assert all(path.startswith(f"artifacts/{stage}/") for path in outputs)
    flags = re.findall(r'" --(\w+) ', text.split("shell:")[-1])
    function = getattr(import_module(f"workflow_scripts.{stage}"), stage)
    assert sorted(flags) == sorted(inspect.signature(function).parameters)
    assert DVC["stages"][stage]["outs"] == [{f"artifacts/{stage}": {"persist": True}}]


def test_dvc_yaml_is_what_the_rules_say():
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", "-n", "dvc.yaml"], cwd=ROOT, capture_output=True, text=True
    )
    assert "Nothing to be done" in done.stdout + done.stderr, "run `snakemake --cores 1 dvc.yaml`"


def test_dvc_depends_on_the_stages_code_and_inputs():
    deps = DVC["stages"]["compare_hidden_states"]["deps"]
    assert {"artifacts/tune_lora", "artifacts/dump_hidden_states", "workflow_scripts/lib/similarity.py"} <= set(deps)
    assert "artifacts/prepare_dataset" not in deps
    assert "workflow_scripts/lib/lora.py" not in deps


def test_stages_import_lib_and_never_each_other():
    for stage in STAGES:
        assert not {f"workflow_scripts.{other}" for other in STAGES if other != stage} & set(
            modules_of(f"workflow_scripts.{stage}")
        )


@pytest.mark.parametrize("name", PURE)
def test_pure_modules_import_nothing_of_ours(name):
    assert modules_of(f"workflow_scripts.lib.{name}") == (f"workflow_scripts.lib.{name}",)


def test_stages_that_need_no_model_import_no_torch():
    for stage in NEED_NO_MODEL:
        for module in modules_of(f"workflow_scripts.{stage}"):
            tree = ast.parse((ROOT / f"{module.replace('.', '/')}.py").read_text())
            imported = {
                (node.module or "").split(".")[0] if isinstance(node, ast.ImportFrom) else alias.name.split(".")[0]
                for node in tree.body
                if isinstance(node, ast.Import | ast.ImportFrom)
                for alias in node.names
            }
            assert not imported & {"torch", "transformers", "peft"}, f"{stage} through {module}"


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_is_forked_from_what_has_imported_torch_if_it_needs_it(stage):
    text = (ROOT / f"rules/{stage}.smk").read_text()
    assert (f'"python rules/warm.py workflow_scripts.{stage}"' in text) == (stage not in NEED_NO_MODEL)
    assert (f'"python -m workflow_scripts.{stage}"' in text) == (stage in NEED_NO_MODEL)


# What `snakemake --lint` may say, and why it stands.
LINTS = {
    "Specify a conda environment or container for each rule.": "one locked .venv runs everything, also offline",
}


def test_snakemake_lints():
    lint = [sys.executable, "-m", "snakemake", "--lint"]
    done = subprocess.run(lint, cwd=ROOT, capture_output=True, text=True)
    output = done.stdout + done.stderr
    assert set(re.findall(r"^    \* (.+):$", output, re.MULTILINE)) == set(LINTS), output
