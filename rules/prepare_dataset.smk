# Needs: nothing, or a data set's local files.  Makes: its pool and queries, de-duplicated and cut to size.
rule prepare_dataset:
    input:
        data_files=lambda wildcards: files_of_data(STUDY.datasets[wildcards.dataset]),
    output:
        examples="artifacts/prepare_dataset/{dataset}.parquet",
    log:
        "logs/prepare_dataset/{dataset}.log",
    resources:
        mem_mb=ASKS.memory("prepare_dataset"),
        runtime=ASKS.minutes("prepare_dataset"),
    params:
        source=lambda wildcards: as_json(listed(STUDY.datasets[wildcards.dataset])),
        queries=STUDY.queries,
        seed=STUDY.seed,
        settings=as_json(STUDY.prepare_dataset),
    shell:
        sealed(
            "python -m workflow_scripts.prepare_dataset"
            " --source {params.source:q}"
            " --queries {params.queries}"
            " --seed {params.seed}"
            " --settings {params.settings:q}"
            " --examples {output.examples:q}"
            " 2> {log:q}"
        )
