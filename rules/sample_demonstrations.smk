# Needs: a prepared data set.  Makes: the demonstrations of every level and draw of one factor.
rule sample_demonstrations:
    input:
        examples="artifacts/prepare_dataset/{dataset}.parquet",
    output:
        demonstrations="artifacts/sample_demonstrations/{dataset}/{factor}.parquet",
    log:
        "logs/sample_demonstrations/{dataset}/{factor}.log",
    params:
        levels=lambda wildcards: as_json(STUDY.factors.levels()[wildcards.factor]),
        reference=as_json(REFERENCE),
        draws=STUDY.draws,
        balanced=as_json(STUDY.sample_demonstrations.balanced),
        seed=STUDY.seed,
    shell:
        sealed(
            "python -m workflow_scripts.sample_demonstrations"
            " --examples {input.examples:q}"
            " --dataset {wildcards.dataset:q}"
            " --factor {wildcards.factor:q}"
            " --levels {params.levels:q}"
            " --reference {params.reference:q}"
            " --draws {params.draws}"
            " --balanced {params.balanced}"
            " --seed {params.seed}"
            " --demonstrations {output.demonstrations:q}"
            " 2> {log:q}"
        )
