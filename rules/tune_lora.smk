# Needs: a model and a setting's sets.  Makes: what was tuned on every set, as peft saves it, and tuning.parquet.
rule tune_lora:
    input:
        demonstrations=lambda wildcards: sets_at(wildcards, wildcards.setting),
        examples="artifacts/prepare_dataset/{dataset}.parquet",
        model="artifacts/prepare_model/{model}",
        model_files=lambda wildcards: files_of_model(STUDY.models[wildcards.model]),
    output:
        adapters=directory("artifacts/tune_lora/{model}/{dataset}/{setting}/{weights}"),
    log:
        "logs/tune_lora/{model}/{dataset}/{setting}/{weights}.log",
    threads: cores
    resources:
        gpu=gpus,
        mem_mb=ASKS.memory("tune_lora", gpus),
        runtime=ASKS.minutes("tune_lora", gpus),
    params:
        trains=lambda wildcards: weights_named(wildcards.weights).trains,
        reseeded=lambda wildcards: as_json(weights_named(wildcards.weights).reseeded),
        seed=STUDY.seed,
        teacher=lambda wildcards: weights_named(wildcards.weights).teacher or "null",
        kept_steps=lambda wildcards: as_json(GRID.kept_steps(wildcards.setting, wildcards.weights)),
        rewording=rewording,
        settings=lambda wildcards: as_json(
            GRID.tuning(wildcards.setting).used_by(weights_named(wildcards.weights).trains)
        ),
    shell:
        sealed(
            "python -m workflow_scripts.tune_lora"
            " --demonstrations {input.demonstrations:q}"
            " --examples {input.examples:q}"
            " --model {input.model:q}"
            " --weights {wildcards.weights:q}"
            " --trains {params.trains:q}"
            " --reseeded {params.reseeded}"
            " --teacher {params.teacher:q}"
            " --kept_steps {params.kept_steps:q}"
            " --seed {params.seed}"
            " --rewording {params.rewording:q}"
            " --settings {params.settings:q}"
            " --adapters {output.adapters:q}"
            " 2> {log:q}"
        )
