# Needs: a cell's states, its anchor's and its tuning table.  Makes: every measure for every layer, level and draw.
rule compare_hidden_states:
    input:
        anchor="artifacts/dump_hidden_states/{model}/{dataset}/anchor.parquet",
        states="artifacts/dump_hidden_states/{model}/{dataset}/{factor}.parquet",
        adapters="artifacts/tune_lora/{model}/{dataset}/{factor}",
    output:
        similarity="artifacts/compare_hidden_states/{model}/{dataset}/{factor}.parquet",
    log:
        "logs/compare_hidden_states/{model}/{dataset}/{factor}.log",
    params:
        measures=as_json(STUDY.compare_hidden_states.measures),
    shell:
        sealed(
            "python -m workflow_scripts.compare_hidden_states"
            " --anchor {input.anchor:q}"
            " --states {input.states:q}"
            " --tuning {input.adapters:q}/tuning.parquet"
            " --model {wildcards.model:q}"
            " --dataset {wildcards.dataset:q}"
            " --factor {wildcards.factor:q}"
            " --measures {params.measures:q}"
            " --similarity {output.similarity:q}"
            " 2> {log:q}"
        )
