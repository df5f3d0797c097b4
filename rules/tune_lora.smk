# Needs: a model and a cell's demonstrations.  Makes: a peft adapter for every level and draw, and tuning.parquet.
rule tune_lora:
    input:
        demonstrations="artifacts/sample_demonstrations/{dataset}/{factor}.parquet",
        examples="artifacts/prepare_dataset/{dataset}.parquet",
        model="artifacts/prepare_model/{model}",
    output:
        adapters=directory("artifacts/tune_lora/{model}/{dataset}/{factor}"),
    log:
        "logs/tune_lora/{model}/{dataset}/{factor}.log",
    resources:
        gpu=gpus,
    params:
        template=template,
        tuning=STUDY.tune_lora.model_dump(),
        target_modules=as_json(STUDY.tune_lora.target_modules),
        seed=STUDY.seed,
    shell:
        sealed(
            "python rules/warm.py workflow_scripts.tune_lora"
            " --demonstrations {input.demonstrations:q}"
            " --examples {input.examples:q}"
            " --model {input.model:q}"
            " --template {params.template:q}"
            " --r {params.tuning[r]}"
            " --alpha {params.tuning[alpha]}"
            " --target_modules {params.target_modules:q}"
            " --learning_rate {params.tuning[learning_rate]}"
            " --steps {params.tuning[steps]}"
            " --max_grad_norm {params.tuning[max_grad_norm]}"
            " --tokens_per_batch {params.tuning[tokens_per_batch]}"
            " --adapters_at_once {params.tuning[adapters_at_once]}"
            " --seed {params.seed}"
            " --adapters {output.adapters:q}"
            " 2> {log:q}"
        )
