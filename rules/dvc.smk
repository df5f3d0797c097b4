# Needs: every artifact.  Makes: dvc.lock, which says which bytes belong to this params.yaml, and dvc.yaml, its stages.
from rules.explain import explain_if_asked
from rules.recipes import follow, marker
from rules.versions import Stages

STAGE_RULES = [rule for rule in workflow.rules if str(rule.output[0]).startswith("artifacts/")]
RECIPES = follow(STAGE_RULES)
JOBS = {}
for rule_ in STAGE_RULES:
    JOBS.setdefault(str(rule_.output[0]).split("/")[1], []).extend(RECIPES.jobs(rule_, WILDCARDS))

# The keys of params.yaml that each stage's rule reads; tests/workflow/test_promises.py finds a missing one.
READS = {
    "prepare_dataset": ["seed", "datasets", "queries", "prepare_dataset"],
    "prepare_model": ["models", "prepare_model"],
    "sample_demonstrations": ["seed", "datasets", "factors", "reference", "draws", "sample_demonstrations"],
    "tune_lora": ["seed", "models", "datasets", "factors", "tune_lora"],
    "dump_hidden_states": ["models", "datasets", "factors", "dump_hidden_states"],
    "compare_hidden_states": ["models", "datasets", "factors", "compare_hidden_states"],
    "aggregate_similarity": ["seed", "models", "datasets", "factors", "reference", "aggregate_similarity"],
    "render_report": ["models", "reference", "render_report"],
}
SHOWN = {
    "metrics": ["artifacts/aggregate_similarity/metrics.json"],
    "plots": [
        {"artifacts/aggregate_similarity/layers.csv": {"x": "layer", "y": "cosine", "template": "layers"}},
        {"artifacts/aggregate_similarity/levels.csv": {"x": "level", "y": "mean", "template": "levels"}},
    ],
}
STAGES = Stages(RECIPES, JOBS, READS, SHOWN)


explain_if_asked(RECIPES)


for stage in JOBS:

    rule:
        name:
            f"all_{stage}"
        input:
            lambda wildcards, stage=stage: RECIPES.awaited(STAGES.outputs(stage)),
        log:
            f"logs/all_{stage}.log",
        localrule: True
        params:
            plan=lambda wildcards, stage=stage: STAGES.plan([stage]),
        shell:
            "python rules/seal.py tidy {params.plan:q} 2> {log:q}"


rule version_artifacts:
    input:
        changed=lambda wildcards: [marker("dvc.lock", difference) for difference in STAGES.unrecorded()],
        artifacts=lambda wildcards: RECIPES.awaited([path for stage in JOBS for path in STAGES.outputs(stage)]),
    output:
        update("dvc.lock"),
    log:
        "logs/version_artifacts.log",
    localrule: True
    params:
        plan=lambda wildcards: STAGES.plan(JOBS),
    shell:
        "( python rules/seal.py tidy {params.plan:q} && dvc commit --quiet --force ) 2> {log:q}"


rule dvc_yaml:
    input:
        changed=lambda wildcards: [marker("dvc.yaml", difference) for difference in STAGES.outdated()],
    output:
        update("dvc.yaml"),
    log:
        "logs/dvc_yaml.log",
    localrule: True
    params:
        text=lambda wildcards: STAGES.dvc_yaml(),
    shell:
        "printf %s {params.text:q} > {output:q} 2> {log:q}"
