# Needs: every artifact.  Makes: dvc.lock, which says which bytes belong to this params.yaml, and dvc.yaml, its stages.
from freshness.explain import answer_if_asked
from freshness.framing import follow, guarded, marker
from freshness.plan import Plan
from freshness.reads import Rules
from freshness.recipes import Recipes
from freshness.versions import Stages

STAGE_RULES = [rule for rule in workflow.rules if str(rule.output[0]).startswith("artifacts/")]
RECIPES = Recipes(STAGE_RULES, WILDCARDS, STUDY.counts_as, GRID.exists)
SHOWN = {
    "metrics": ["artifacts/aggregate_similarity/headline"],
    "plots": [
        {"artifacts/aggregate_similarity/layers.csv": {"x": "layer", "y": "cosine", "template": "layers"}},
        {"artifacts/aggregate_similarity/levels.csv": {"x": "level", "y": "mean", "template": "levels"}},
    ],
}
RULES = Rules(sorted(Path("rules").glob("*.smk")), type(STUDY).model_fields, exists="GRID")
READS = {stage: RULES.keys_read(stage) for stage in RECIPES.jobs}
STAGES = Stages(RECIPES, READS, SHOWN, SOURCES, PARAMS)
PLAN = Plan(workflow, RECIPES, STAGES)


answer_if_asked(RECIPES)
follow(PLAN)


onsuccess:
    WATCH.end(FINISHED)
    STOP.leave()


for stage in RECIPES.jobs:

    rule:
        name:
            f"all_{stage}"
        input:
            guarded(lambda wildcards, stage=stage: PLAN.awaited(STAGES.outputs(stage))),
        log:
            f"logs/all_{stage}.log",
        localrule: True
        params:
            plan=PLAN.planned.record_file([stage]),
        shell:
            "python -m freshness.record check {params.plan:q} 2> {log:q}"


rule all_sources:
    input:
        guarded(lambda wildcards: PLAN.awaited([])),
    log:
        "logs/all_sources.log",
    localrule: True
    shell:
        "true 2> {log:q}"


rule version_artifacts:
    input:
        changed=guarded(lambda wildcards: [marker(["dvc.lock"], behind) for behind in PLAN.unrecorded()]),
        artifacts=guarded(
            lambda wildcards: PLAN.awaited([path for stage in RECIPES.jobs for path in STAGES.outputs(stage)])
        ),
    output:
        update("dvc.lock"),
    log:
        "logs/version_artifacts.log",
    localrule: True
    params:
        plan=PLAN.planned.record_file(RECIPES.jobs),
    shell:
        "python -m freshness.record commit {params.plan:q} 2> {log:q}"
