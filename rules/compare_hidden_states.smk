# Needs: of every setting of a factor, the sets, every arm's states and the adapters.
# Makes: every contrast's measures for every layer, level and draw, and the products that parts are made of.
rule compare_hidden_states:
    input:
        sets=lambda wildcards: once(sets_at(wildcards, setting) for setting in settings_of(wildcards)),
        states=lambda wildcards: once(*(states_at(wildcards, setting) for setting in settings_of(wildcards))),
        adapters=lambda wildcards: once(*(adapters_at(wildcards, setting) for setting in settings_of(wildcards))),
    output:
        similarity="artifacts/compare_hidden_states/{model}/{dataset}/{factor}/similarity.parquet",
        products="artifacts/compare_hidden_states/{model}/{dataset}/{factor}/products.parquet",
    log:
        "logs/compare_hidden_states/{model}/{dataset}/{factor}.log",
    # A cell of the embedded model is done sooner than threads are started.
    threads: lambda wildcards: 1 if STUDY.models[wildcards.model].source == "pocket" else 4
    resources:
        mem_mb=ASKS.memory("compare_hidden_states"),
        runtime=ASKS.minutes("compare_hidden_states"),
    params:
        levels=lambda wildcards: as_json(
            {level: parts(wildcards, one) for one, level in settings_of(wildcards).items()}
        ),
        settings=as_json(STUDY.compare_hidden_states),
    shell:
        sealed(
            "python -m workflow_scripts.compare_hidden_states"
            " --levels {params.levels:q}"
            " --settings {params.settings:q}"
            " --threads {threads}"
            " --similarity {output.similarity:q}"
            " --products {output.products:q}"
            " 2> {log:q}"
        )
