# Needs: a model, the queries and, as far as the arm is given them, a setting's sets and adapters, another task's examples,
# an adapter from elsewhere.
# Makes: the arm's states of every layer at the last prompt token, and what it answers.
rule dump_hidden_states:
    input:
        examples="artifacts/prepare_dataset/{dataset}.parquet",
        model="artifacts/prepare_model/{model}",
        model_files=lambda wildcards: files_of_model(STUDY.models[wildcards.model]),
        demonstrations=lambda wildcards: [sets_at(wildcards, wildcards.setting)] if arm_of(wildcards).given else [],
        adapters=adapters_of,
        other=lambda wildcards: [next_dataset(wildcards)] if arm_of(wildcards).of_another else [],
        imported_files=files_of_imported,
    output:
        states="artifacts/dump_hidden_states/{model}/{dataset}/{setting}/{arm}.parquet",
    log:
        "logs/dump_hidden_states/{model}/{dataset}/{setting}/{arm}.log",
    threads: cores
    resources:
        gpu=gpus,
        mem_mb=ASKS.memory("dump_hidden_states", gpus),
        runtime=ASKS.minutes("dump_hidden_states", gpus),
    params:
        shows=lambda wildcards: arm_of(wildcards).shows or "null",
        run=lambda wildcards: arm_of(wildcards).run,
        demonstrations=lambda wildcards, input: only(input.demonstrations),
        adapters=lambda wildcards: only(in_time(wildcards.setting, adapters_of(wildcards))),
        other=lambda wildcards, input: only(input.other),
        imported=lambda wildcards: str(STUDY.imported[wildcards.model]) if arm_of(wildcards).imported else "null",
        rewording=rewording,
        settings=lambda wildcards: as_json(
            GRID.dumping(wildcards.setting).used_by(generation=STUDY.datasets[wildcards.dataset].generation)
        ),
    shell:
        sealed(
            "python -m workflow_scripts.dump_hidden_states"
            " --examples {input.examples:q}"
            " --model {input.model:q}"
            " --arm {wildcards.arm:q}"
            " --shows {params.shows:q}"
            " --run {params.run:q}"
            " --demonstrations {params.demonstrations:q}"
            " --adapters {params.adapters:q}"
            " --other {params.other:q}"
            " --imported {params.imported:q}"
            " --rewording {params.rewording:q}"
            " --settings {params.settings:q}"
            " --states {output.states:q}"
            " 2> {log:q}"
        )
