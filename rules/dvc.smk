# Needs: all artifacts.  Makes: dvc.lock, which says which bytes belong to this params.yaml; DVC's cache keeps them.
rule version_artifacts:
    input:
        "artifacts/render_report/report.html",
    output:
        update("dvc.lock"),
    log:
        "logs/version_artifacts.log",
    localrule: True
    shell:
        "dvc commit --quiet --force 2> {log:q}"
