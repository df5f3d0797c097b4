# Needs: every cell's comparison.  Makes: means over draws with intervals, metrics and plots for DVC.
rule aggregate_similarity:
    input:
        cells=every("artifacts/compare_hidden_states/{model}/{dataset}/{factor}.parquet"),
    output:
        similarity="artifacts/aggregate_similarity/similarity.parquet",
        metrics="artifacts/aggregate_similarity/metrics.json",
        layers="artifacts/aggregate_similarity/layers.csv",
        levels="artifacts/aggregate_similarity/levels.csv",
    log:
        "logs/aggregate_similarity.log",
    params:
        cells=lambda wildcards, input: as_json(list(input.cells)),
        reference=as_json({factor: str(level) for factor, level in REFERENCE.items()}),
        confidence=STUDY.aggregate_similarity.confidence,
        resamples=STUDY.aggregate_similarity.resamples,
        seed=STUDY.seed,
    shell:
        sealed(
            "python -m workflow_scripts.aggregate_similarity"
            " --cells {params.cells:q}"
            " --reference {params.reference:q}"
            " --confidence {params.confidence}"
            " --resamples {params.resamples}"
            " --seed {params.seed}"
            " --similarity {output.similarity:q}"
            " --metrics {output.metrics:q}"
            " --layers {output.layers:q}"
            " --levels {output.levels:q}"
            " 2> {log:q}"
        )
