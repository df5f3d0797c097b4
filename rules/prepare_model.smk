# Needs: nothing, or a model's local folder.  Makes: a folder that later stages load the model from.
rule prepare_model:
    input:
        model_files=lambda wildcards: files_of_model(STUDY.models[wildcards.model]),
    output:
        model=directory("artifacts/prepare_model/{model}"),
    log:
        "logs/prepare_model/{model}.log",
    # Training the embedded model takes one core and longest of all: the sooner it starts, the more runs beside it.
    priority: 1
    resources:
        mem_mb=ASKS.memory("prepare_model"),
        runtime=ASKS.minutes("prepare_model"),
    params:
        source=lambda wildcards: as_json(STUDY.models[wildcards.model]),
        settings=as_json(STUDY.prepare_model),
    shell:
        sealed(
            "python -m workflow_scripts.prepare_model"
            " --source {params.source:q}"
            " --settings {params.settings:q}"
            " --model {output.model:q}"
            " 2> {log:q}"
        )
