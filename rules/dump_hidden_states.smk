# Needs: a model, the queries and, but for the anchor, a cell's demonstrations and adapters.
# Makes: the states of every layer at the last prompt token, and the label scores.
rule dump_anchor:
    input:
        examples="artifacts/prepare_dataset/{dataset}.parquet",
        model="artifacts/prepare_model/{model}",
    output:
        states="artifacts/dump_hidden_states/{model}/{dataset}/anchor.parquet",
    log:
        "logs/dump_hidden_states/{model}/{dataset}/anchor.log",
    resources:
        gpu=gpus,
    params:
        template=template,
        tokens_per_batch=STUDY.dump_hidden_states.tokens_per_batch,
    shell:
        sealed(
            "python rules/warm.py workflow_scripts.dump_hidden_states"
            " --examples {input.examples:q}"
            " --model {input.model:q}"
            " --template {params.template:q}"
            " --tokens_per_batch {params.tokens_per_batch}"
            " --states {output.states:q}"
            " 2> {log:q}"
        )


rule dump_hidden_states:
    input:
        examples="artifacts/prepare_dataset/{dataset}.parquet",
        model="artifacts/prepare_model/{model}",
        demonstrations="artifacts/sample_demonstrations/{dataset}/{factor}.parquet",
        adapters="artifacts/tune_lora/{model}/{dataset}/{factor}",
    output:
        states="artifacts/dump_hidden_states/{model}/{dataset}/{factor}.parquet",
    log:
        "logs/dump_hidden_states/{model}/{dataset}/{factor}.log",
    resources:
        gpu=gpus,
    params:
        template=template,
        tokens_per_batch=STUDY.dump_hidden_states.tokens_per_batch,
    shell:
        sealed(
            "python rules/warm.py workflow_scripts.dump_hidden_states"
            " --examples {input.examples:q}"
            " --model {input.model:q}"
            " --template {params.template:q}"
            " --tokens_per_batch {params.tokens_per_batch}"
            " --states {output.states:q}"
            " --demonstrations {input.demonstrations:q}"
            " --adapters {input.adapters:q}"
            " 2> {log:q}"
        )
