from pathlib import Path

import pytest
from snakemake.api import ResourceSettings, SnakemakeApi

from freshness.recipes import RecipeError, Recipes

SNAKEFILE = """
wildcard_constraints: model="a|b", setting="reference|shots-4"

rule tune:
    output: tuned="artifacts/tune/{model}/{setting}.parquet"
    shell: "true"

rule dump:
    input: tuned=lambda wildcards: [f"artifacts/tune/{wildcards.model}/{wildcards.setting}.parquet"]
    output: states="artifacts/dump/{model}/{setting}/{arm,[a-z-]+}.parquet"
    shell: "true"

rule dump_repeats:
    output: states="artifacts/dump/{model}/repeats.parquet"
    shell: "true"

rule ceiling:
    output: ceiling="artifacts/ceiling/{model}/{arm}.parquet"
    shell: "true"
"""
VALUES = {"model": ["a", "b"], "setting": ["reference", "shots-4"], "arm": ["icl", "ceiling"]}


def at_the_reference_only(wildcards):
    """The arm `ceiling` is made at the reference alone, and model b has no setting but that."""
    setting = wildcards.get("setting", "reference")
    return setting == "reference" or (wildcards["model"] == "a" and wildcards.get("arm") != "ceiling")


@pytest.fixture
def recipes_of(tmp_path, monkeypatch):
    def made(exists):
        (tmp_path / "Snakefile").write_text(SNAKEFILE)
        with SnakemakeApi() as api:
            settings = {"snakefile": tmp_path / "Snakefile", "workdir": tmp_path}
            rules = list(api.workflow(ResourceSettings(cores=1), **settings)._workflow.rules)
        return Recipes(rules, VALUES, {}, exists)

    monkeypatch.chdir(tmp_path)
    return made


def test_a_study_has_every_combination_unless_it_says_otherwise(tmp_path, recipes_of):
    recipes = recipes_of(lambda wildcards: True)
    assert {stage: len(jobs) for stage, jobs in recipes.jobs.items()} == {"tune": 4, "dump": 10, "ceiling": 4}


def test_only_combinations_that_exist_have_jobs_and_producers(recipes_of):
    recipes = recipes_of(at_the_reference_only)
    assert recipes.jobs["tune"] == [
        "artifacts/tune/a/reference.parquet",
        "artifacts/tune/a/shots-4.parquet",
        "artifacts/tune/b/reference.parquet",
    ]
    assert recipes.jobs["dump"] == [
        "artifacts/dump/a/reference/icl.parquet",
        "artifacts/dump/a/reference/ceiling.parquet",
        "artifacts/dump/a/shots-4/icl.parquet",
        "artifacts/dump/b/reference/icl.parquet",
        "artifacts/dump/b/reference/ceiling.parquet",
        "artifacts/dump/a/repeats.parquet",
        "artifacts/dump/b/repeats.parquet",
    ]
    assert recipes.producer("artifacts/dump/a/shots-4/ceiling.parquet") is None
    assert recipes.producer("artifacts/dump/a/shots-4/icl.parquet").name == "dump"


def test_one_wildcard_alone_is_not_asked_about(recipes_of):
    asked = []
    recipes = recipes_of(lambda wildcards: bool(asked.append(dict(wildcards))) or True)
    assert recipes.every_job
    assert min(map(len, asked)) == 2


def test_a_stage_whose_jobs_do_not_exist_is_none(recipes_of):
    recipes = recipes_of(lambda wildcards: "arm" not in wildcards or "setting" in wildcards)
    assert list(recipes.jobs) == ["tune", "dump"]


def test_an_input_that_the_study_lacks_is_an_error(recipes_of):
    recipes = recipes_of(lambda wildcards: "arm" in wildcards or wildcards["setting"] == "reference")
    assert recipes.recipe("artifacts/dump/a/reference/icl.parquet")["inputs"].keys() == {"tuned"}
    with pytest.raises(RecipeError, match=r"artifacts/tune/a/shots-4\.parquet is an input, and made by no job"):
        recipes.recipe("artifacts/dump/a/shots-4/icl.parquet")


def test_provenance_is_of_every_stage_in_the_order_of_the_rules(recipes_of):
    told = recipes_of(lambda wildcards: True).provenance()
    assert list(told) == ["tune", "dump", "ceiling"]
    assert told["tune"]["code"] == told["ceiling"]["code"], "the same command"
    assert all(row.keys() == {"code", "settings", "libraries"} for row in told.values())


def test_a_file_that_no_rule_makes_is_known_by_its_bytes(recipes_of):
    recipes = recipes_of(lambda wildcards: True)
    before = recipes.ingredient("data.csv")
    Path("data.csv").write_text("a")
    assert before == "data.csv missing"
    assert recipes_of(lambda wildcards: True).ingredient("data.csv") == "data.csv 0cc175b9c0f1b6a831c399e269772661"
