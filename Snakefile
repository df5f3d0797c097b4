"""Is in-context learning implicit instruction tuning?  The study, left to right:

prepare_dataset -+
                 +- sample_demonstrations -+- tune_lora -+
prepare_model ---+-------------------------+-------------+- dump_hidden_states -+
                                                                               |
              render_report <- aggregate_similarity <-+- compare_hidden_states <-+
                                                      +- patch_hidden_states <---+

params.yaml says what is studied; artifacts/<stage>/ holds what <stage> made; DVC versions it (dvc.yaml, dvc.lock).
"""

from snakemake.utils import min_version

min_version("9.27")


report: "rules/report/study.rst"


include: "rules/common.smk"
include: "rules/prepare_dataset.smk"
include: "rules/prepare_model.smk"
include: "rules/sample_demonstrations.smk"
include: "rules/tune_lora.smk"
include: "rules/dump_hidden_states.smk"
include: "rules/compare_hidden_states.smk"
include: "rules/patch_hidden_states.smk"
include: "rules/aggregate_similarity.smk"
include: "rules/render_report.smk"
include: "rules/dvc.smk"


rule all:
    default_target: True
    input:
        guarded(lambda wildcards: PLAN.awaited(["artifacts/render_report/report.html"])),
        "dvc.lock",
