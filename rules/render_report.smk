# Needs: the aggregated similarities.  Makes: a report that opens offline, and every figure as SVG and PDF.
rule render_report:
    input:
        similarity="artifacts/aggregate_similarity/similarity.parquet",
    output:
        report="artifacts/render_report/report.html",
        figures=directory("artifacts/render_report/figures"),
    log:
        "logs/render_report.log",
    params:
        title=STUDY.render_report.title,
        reference=as_json({factor: str(level) for factor, level in REFERENCE.items()}),
        controls=as_json(controls()),
    shell:
        sealed(
            "python -m workflow_scripts.render_report"
            " --similarity {input.similarity:q}"
            " --title {params.title:q}"
            " --reference {params.reference:q}"
            " --controls {params.controls:q}"
            " --report {output.report:q}"
            " --figures {output.figures:q}"
            " 2> {log:q}"
        )
