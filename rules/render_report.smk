# Needs: the study's estimates; sets, examples and adapters of the reference setting, and what models say of themselves.  Makes: a report that opens offline,
# every figure as SVG and PDF, every table as CSV and LaTeX, and the page that `dvc plots` puts its plots into.
ABOUT = "artifacts/prepare_model/{model}"
TUNED = "artifacts/tune_lora/{model}/{dataset}/reference/tuned"
EXAMPLES = "artifacts/prepare_dataset/{dataset}.parquet"
SETS = "artifacts/sample_demonstrations/{dataset}/reference.parquet"


rule render_report:
    input:
        similarity="artifacts/aggregate_similarity/similarity.parquet",
        parts="artifacts/aggregate_similarity/parts.parquet",
        effects="artifacts/aggregate_similarity/effects.parquet",
        adapters=every(TUNED),
        examples=every(EXAMPLES),
        sets=every(SETS),
        about=every(ABOUT),
    output:
        report=report(
            "artifacts/render_report/report.html",
            category="Report",
            caption="report/page.rst",
            labels={"what": "the page"},
        ),
        figures=report(
            directory("artifacts/render_report/figures"),
            patterns=["{figure}-two-column.svg"],
            category="Figures",
            caption="report/figure.rst",
            labels={"figure": "{figure}"},
        ),
        tables=report(
            directory("artifacts/render_report/tables"),
            patterns=["{table}.csv"],
            category="Tables",
            caption="report/table.rst",
            labels={"table": "{table}"},
        ),
        plots="artifacts/render_report/plots.html",
    log:
        "logs/render_report.log",
    resources:
        mem_mb=ASKS.memory("render_report"),
        runtime=ASKS.minutes("render_report"),
    params:
        # Patterns and lists of names, as aggregate_similarity has them.
        about=lambda wildcards: ABOUT,
        adapters=lambda wildcards: TUNED,
        examples=lambda wildcards: EXAMPLES,
        sets=lambda wildcards: SETS,
        models=as_json(WILDCARDS["model"]),
        datasets=as_json(WILDCARDS["dataset"]),
        arms=as_json(STUDY.arms),
        levels=as_json(GRID.levels),
        reference=as_json(GRID.reference),
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
            " --about {params.about:q}"
            " --adapters {params.adapters:q}"
            " --examples {params.examples:q}"
            " --sets {params.sets:q}"
            " --models {params.models:q}"
            " --datasets {params.datasets:q}"
            " --arms {params.arms:q}"
            " --levels {params.levels:q}"
            " --reference {params.reference:q}"
            " --controls {params.controls:q}"
            " --provenance {params.provenance:q}"
            " --settings {params.settings:q}"
            " --report {output.report:q}"
            " --figures {output.figures:q}"
            " --tables {output.tables:q}"
            " --plots {output.plots:q}"
            " 2> {log:q}"
        )
