# Needs: the study's estimates, and what its models say of themselves.  Makes: a report that opens offline, and every figure as SVG and PDF.
rule render_report:
    input:
        similarity="artifacts/aggregate_similarity/similarity.parquet",
        parts="artifacts/aggregate_similarity/parts.parquet",
        effects="artifacts/aggregate_similarity/effects.parquet",
        models=every("artifacts/prepare_model/{model}"),
    output:
        report="artifacts/render_report/report.html",
        figures=directory("artifacts/render_report/figures"),
    log:
        "logs/render_report.log",
    params:
        levels=as_json(GRID.levels),
        reference=as_json(GRID.reference),
        models=as_json({model: f"artifacts/prepare_model/{model}" for model in STUDY.models}),
        controls=as_json(controls(STUDY.models)),
        # Of the inputs alone, so that it makes nothing stale that they do not.
        provenance=lambda wildcards, input: as_json(RECIPES.provenance()),
        settings=as_json(STUDY.render_report),
    shell:
        sealed(
            "python -m workflow_scripts.render_report"
            " --similarity {input.similarity:q}"
            " --parts {input.parts:q}"
            " --effects {input.effects:q}"
            " --models {params.models:q}"
            " --levels {params.levels:q}"
            " --reference {params.reference:q}"
            " --controls {params.controls:q}"
            " --provenance {params.provenance:q}"
            " --settings {params.settings:q}"
            " --report {output.report:q}"
            " --figures {output.figures:q}"
            " 2> {log:q}"
        )
