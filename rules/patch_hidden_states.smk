# Needs: a model, the queries and, of every setting of a factor, the sets and the states of the anchor and of some arms.
# Makes: what the anchor answers with states of these arms put into its run, for every layer, level and draw.
rule patch_hidden_states:
    input:
        examples="artifacts/prepare_dataset/{dataset}.parquet",
        model="artifacts/prepare_model/{model}",
        model_files=lambda wildcards: files_of_model(STUDY.models[wildcards.model]),
        sets=lambda wildcards: once(level["sets"] for level in patched_levels(wildcards).values()),
        states=lambda wildcards: once(
            *([level["anchor"], *level["arms"]] for level in patched_levels(wildcards).values())
        ),
    output:
        similarity="artifacts/patch_hidden_states/{model}/{dataset}/{patched}/similarity.parquet",
    log:
        "logs/patch_hidden_states/{model}/{dataset}/{patched}.log",
    threads: cores
    resources:
        gpu=gpus,
        mem_mb=ASKS.memory("patch_hidden_states", gpus),
        runtime=ASKS.minutes("patch_hidden_states", gpus),
    params:
        levels=lambda wildcards: as_json(patched_levels(wildcards)),
        rewording=as_json(STUDY.templates.get(GRID.template("reference"))),
        settings=as_json(STUDY.patch_hidden_states.how),
    shell:
        sealed(
            "python -m workflow_scripts.patch_hidden_states"
            " --examples {input.examples:q}"
            " --model {input.model:q}"
            " --levels {params.levels:q}"
            " --rewording {params.rewording:q}"
            " --settings {params.settings:q}"
            " --similarity {output.similarity:q}"
            " 2> {log:q}"
        )
