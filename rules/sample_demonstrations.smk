# Needs: a prepared data set and, where demonstrations are chosen by it, a model.  Makes: the sets of demonstrations of one setting, and the draws and queries that each serves.
rule sample_demonstrations:
    input:
        examples="artifacts/prepare_dataset/{dataset}.parquet",
        other=other_task,
        encoder=lambda wildcards: [f"artifacts/prepare_model/{name}" for name in encoder(wildcards)],
        encoder_files=files_of_encoder,
    output:
        demonstrations="artifacts/sample_demonstrations/{dataset}/{setting}.parquet",
    log:
        "logs/sample_demonstrations/{dataset}/{setting}.log",
    threads: lambda wildcards: max([cores(SimpleNamespace(model=name)) for name in encoder(wildcards)], default=1)
    resources:
        gpu=lambda wildcards: sum(gpus(SimpleNamespace(model=name)) for name in encoder(wildcards)),
        mem_mb=ASKS.memory("sample_demonstrations"),
        runtime=ASKS.minutes("sample_demonstrations"),
    params:
        encoder=lambda wildcards, input: only(input.encoder),
        other=lambda wildcards, input: only(input.other),
        choice=lambda wildcards: as_json(GRID.choice(wildcards.setting)),
        draws=STUDY.draws,
        seed=STUDY.seed,
        settings=lambda wildcards: as_json(STUDY.sample_demonstrations.used_by(GRID.choice(wildcards.setting))),
    shell:
        sealed(
            "python -m workflow_scripts.sample_demonstrations"
            " --examples {input.examples:q}"
            " --other {params.other:q}"
            " --encoder {params.encoder:q}"
            " --choice {params.choice:q}"
            " --draws {params.draws}"
            " --seed {params.seed}"
            " --settings {params.settings:q}"
            " --demonstrations {output.demonstrations:q}"
            " 2> {log:q}"
        )
