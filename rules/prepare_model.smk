# Needs: nothing, or a model's local folder.  Makes: a folder that later stages load the model from.
rule prepare_model:
    input:
        files=lambda wildcards: local_files(STUDY.models[wildcards.model]),
    output:
        model=directory("artifacts/prepare_model/{model}"),
    log:
        "logs/prepare_model/{model}.log",
    # Training the embedded model takes one core and longest of all: the sooner it starts, the more runs beside it.
    priority: 1
    params:
        source=lambda wildcards: as_json(STUDY.models[wildcards.model]),
        training=STUDY.prepare_model.model_dump(),
    shell:
        sealed(
            "python rules/warm.py workflow_scripts.prepare_model"
            " --source {params.source:q}"
            " --steps {params.training[steps]}"
            " --tokens_per_step {params.training[tokens_per_step]}"
            " --learning_rate {params.training[learning_rate]}"
            " --gate_queries {params.training[gate_queries]}"
            " --model {output.model:q}"
            " 2> {log:q}"
        )
