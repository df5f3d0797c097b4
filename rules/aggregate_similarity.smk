# Needs: every cell's comparison, and every patched one.  Makes: estimates over draws with intervals and tests, metrics and plots for DVC.
CELLS = "artifacts/compare_hidden_states/{model}/{dataset}/{factor}"
PATCHED = "artifacts/patch_hidden_states/{model}/{dataset}/{patched}"


rule aggregate_similarity:
    input:
        cells=every(f"{CELLS}/similarity.parquet"),
        products=every(f"{CELLS}/products.parquet"),
        patched=every(f"{PATCHED}/similarity.parquet"),
    output:
        similarity="artifacts/aggregate_similarity/similarity.parquet",
        parts="artifacts/aggregate_similarity/parts.parquet",
        effects="artifacts/aggregate_similarity/effects.parquet",
        metrics="artifacts/aggregate_similarity/metrics.json",
        headline=directory("artifacts/aggregate_similarity/headline"),
        over_layers="artifacts/aggregate_similarity/layers.csv",
        over_levels="artifacts/aggregate_similarity/levels.csv",
    log:
        "logs/aggregate_similarity.log",
    resources:
        mem_mb=ASKS.memory("aggregate_similarity"),
        runtime=ASKS.minutes("aggregate_similarity"),
    params:
        # The pattern, and a list for each of its names: a shell command holds 128 KiB, which is 2,000 paths.
        # It comes from a function because Snakemake would look for its wildcards in a string.
        cells=lambda wildcards: CELLS,
        patched=lambda wildcards: PATCHED.replace("{patched}", "{factor}"),
        models=as_json(WILDCARDS["model"]),
        datasets=as_json(WILDCARDS["dataset"]),
        factors=as_json(WILDCARDS["factor"]),
        patched_factors=as_json(WILDCARDS["patched"]),
        levels=as_json(GRID.levels),
        reference=as_json(GRID.reference),
        settings=as_json(STUDY.aggregate_similarity),
        seed=STUDY.seed,
    shell:
        sealed(
            "python -m workflow_scripts.aggregate_similarity"
            " --cells {params.cells:q}"
            " --patched {params.patched:q}"
            " --models {params.models:q}"
            " --datasets {params.datasets:q}"
            " --factors {params.factors:q}"
            " --patched_factors {params.patched_factors:q}"
            " --levels {params.levels:q}"
            " --reference {params.reference:q}"
            " --settings {params.settings:q}"
            " --seed {params.seed}"
            " --similarity {output.similarity:q}"
            " --parts {output.parts:q}"
            " --effects {output.effects:q}"
            " --metrics {output.metrics:q}"
            " --headline {output.headline:q}"
            " --over_layers {output.over_layers:q}"
            " --over_levels {output.over_levels:q}"
            " 2> {log:q}"
        )
