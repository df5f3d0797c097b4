# Needs: nothing, or a data set's local files.  Makes: its pool and queries, de-duplicated and cut to size.
rule prepare_dataset:
    input:
        files=lambda wildcards: local_files(STUDY.datasets[wildcards.dataset]),
    output:
        examples="artifacts/prepare_dataset/{dataset}.parquet",
    log:
        "logs/prepare_dataset/{dataset}.log",
    params:
        source=lambda wildcards: as_json(STUDY.datasets[wildcards.dataset]),
        pool=as_json(STUDY.prepare_dataset.pool),
        queries=STUDY.queries,
        seed=STUDY.seed,
    shell:
        sealed(
            "python -m workflow_scripts.prepare_dataset"
            " --dataset {wildcards.dataset:q}"
            " --source {params.source:q}"
            " --pool {params.pool}"
            " --queries {params.queries}"
            " --seed {params.seed}"
            " --examples {output.examples:q}"
            " 2> {log:q}"
        )
