"""What a study makes, and what it does not make twice."""

import json
from pathlib import Path

import pytest
import yaml

from workflow_scripts.lib.arms import ANCHOR, ICL, IT, RESEEDED, TUNED, arm_named
from workflow_scripts.lib.study.grid import REFERENCE, Grid, Setting, another
from workflow_scripts.lib.study.settings import SettingsError, check_study

PARAMS = Path(__file__).parents[2] / "params.yaml"
CONTENT = {**yaml.safe_load(PARAMS.read_text()), "models": {"m": {"source": "pocket"}}}


def grid(**changes):
    study = check_study({**CONTENT, **changes}, "params.yaml")
    return Grid(study.factors, study.varied, study.arms, study.models, study.imported)


def made(study, model="m"):
    """(setting, arm) of every file of states."""
    return [
        (name, arm.name) for name in study.settings for arm in study.arms(model) if study.made(model, name, arm.name)
    ]


def test_the_reference_is_a_cell_of_its_own_and_levels_are_made_once():
    study = grid(factors={"shots": [1, 8, 16], "labels": ["gold", "flipped"]}, reference={"shots": 8, "labels": "gold"})
    assert [*study.settings] == ["reference", "shots-1", "shots-16", "labels-flipped"]
    assert study.factors == ["reference", "shots", "labels"]
    assert study.of_factor("shots") == {"shots-1": "1", "shots-16": "16"}
    assert study.levels == {"shots": ["1", "8", "16"], "labels": ["gold", "flipped"]}
    assert study.choice("shots-1").model_dump() == {**study.choice("reference").model_dump(), "shots": 1}
    assert study.choice("labels-flipped").labels == "flipped"
    assert study.tuning("labels-flipped") == study.varied.tune_lora
    assert study.settings["shots-1"] == Setting("shots", "1")


@pytest.mark.parametrize(
    ("shots", "reference", "levels"),
    [([1, 3], 2, ["1", "2", "3"]), ([4, 1], 8, ["1", "4", "8"]), ([4, 1], 4, ["4", "1"])],
)
def test_the_references_level_is_among_the_levels(shots, reference, levels):
    study = grid(factors={"shots": shots, "labels": ["random"]}, reference={"shots": reference, "labels": "gold"})
    assert study.levels == {"shots": levels, "labels": ["gold", "random"]}


def test_no_two_settings_choose_alike():
    study = grid()
    blocks = (study.choice, study.tuning, study.dumping)
    choices = [
        json.dumps([*(block(one).model_dump() for block in blocks), study.template(one), study.on_the_way(one)])
        for one in study.settings
    ]
    assert len(set(choices)) == len(choices) == 1 + sum(len(levels) - 1 for levels in study.levels.values())


def test_a_factor_with_the_references_level_alone_has_no_cell():
    assert grid(factors={"shots": [8], "labels": ["gold", "random"]}).factors == ["reference", "labels"]


def test_each_arm_is_made_once_wherever_it_can_differ():
    study = grid(factors={"shots": [1, 8]})
    assert made(study) == [
        *(("reference", arm) for arm in [*CONTENT["arms"], "anchor-alone"]),
        *(("shots-1", arm) for arm in ("icl", "it")),
    ]


def test_states_that_a_level_does_not_change_are_the_references():
    study = grid()
    assert study.stands_at(ANCHOR.depends_on, "shots-1") == REFERENCE.name
    assert study.stands_at(ICL.depends_on, "shots-1") == study.stands_at(IT.depends_on, "shots-1") == "shots-1"


def test_a_model_of_lower_precision_has_its_anchor_in_float32_too():
    study = grid(
        models={"m": {"source": "local", "path": "m", "dtype": "bfloat16"}, "full": {"source": "local", "path": "m"}}
    )
    assert ("reference", "anchor-float32") in made(study)
    assert ("reference", "anchor-float32") not in made(study, "full")


def test_adapters_are_tuned_where_an_arm_runs_through_them():
    study, wildcards = grid(), {"model": "m", "dataset": "d"}
    exists = {
        (setting, weights.name): study.exists({**wildcards, "setting": setting, "weights": weights.name})
        for setting in ("reference", "shots-1")
        for weights in (TUNED, RESEEDED)
    }
    assert exists == {
        ("reference", "tuned"): True,
        ("reference", "reseeded"): True,
        ("shots-1", "tuned"): True,
        ("shots-1", "reseeded"): False,
    }
    assert not grid(arms=["anchor", "icl", "it"]).exists({**wildcards, "setting": "reference", "weights": "reseeded"})


def test_an_arm_knows_what_it_depends_on():
    assert ANCHOR.depends_on == {"template", "position"}
    assert ICL.depends_on == {"template", "position", "demonstrations"}
    tuned = {"template", "position", "demonstrations", "tuning", "moment"}
    assert IT.depends_on == arm_named("both").depends_on == tuned


def test_a_level_of_tuning_makes_its_adapters_and_what_runs_through_them():
    study = grid(factors={"strength": [0.001, 0.002], "rank": [4]})
    assert [*study.settings] == ["reference", "strength-0.001", "rank-4"]
    assert study.levels == {"strength": ["0.001", "0.002"], "rank": ["4", "8"]}
    assert study.tuning("strength-0.001").learning_rate == 0.001
    assert study.choice("strength-0.001") == study.choice("reference")
    rank = study.tuning("rank-4")
    assert (rank.r, rank.alpha) == (4, 8), "another rank is no other strength"
    assert [one for one in made(study) if one[0] != "reference"] == [
        ("strength-0.001", "it"),
        ("rank-4", "it"),
    ]
    assert not study.exists({"dataset": "d", "setting": "rank-4"}), "its sets are the reference's"
    assert study.exists({"model": "m", "dataset": "d", "setting": "rank-4", "weights": "tuned"})


def test_moments_of_tuning_are_kept_by_the_references_training_run():
    study = grid(factors={"path": [1, 5, 40]})
    assert study.levels == {"path": ["1", "5", "40"]}
    assert study.kept_steps("reference", "tuned") == [1, 5]
    assert study.kept_steps("reference", "reseeded") == []
    assert study.on_the_way("path-5") == 5
    assert study.on_the_way("reference") is None
    assert ("path-5", "it") in made(study)
    assert ("path-5", "icl") not in made(study)
    assert not study.exists({"model": "m", "dataset": "d", "setting": "path-5", "weights": "tuned"})


def test_levels_that_are_lists_have_a_name():
    study = grid(factors={"modules": [["q_proj", "v_proj"], "attention"]})
    assert [*study.settings] == ["reference", "modules-q_proj+v_proj", "modules-attention"]
    assert study.levels == {"modules": ["all-linear", "q_proj+v_proj", "attention"]}


def test_no_moment_after_the_last_step():
    with pytest.raises(SettingsError, match=r"step 80 is beyond tune_lora\.steps, 40"):
        grid(factors={"path": [1, 80]})


def test_another_template_makes_everything_but_sets_anew():
    study = grid(factors={"template": ["own", "input-output"]})
    assert study.template("template-input-output") == "input-output"
    assert [arm for setting, arm in made(study) if setting == "template-input-output"] == [
        *("anchor", "icl", "it", "anchor-alone"),
    ]
    assert not study.exists({"dataset": "d", "setting": "template-input-output"})
    assert study.exists({"model": "m", "dataset": "d", "setting": "template-input-output", "weights": "tuned"})


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (
            {"factors": {"template": ["own", "odd"]}},
            "factors.template: odd is none of `templates`, which has own, inst",
        ),
        ({"reference": {"shots": 8, "task": "another"}}, "reference.task: must be own"),
        (
            {"datasets": {"alone": CONTENT["datasets"]["topic"]}, "factors": {"task": ["own", "another"]}},
            "factors.task: another task needs a second data set",
        ),
    ],
)
def test_levels_that_the_study_cannot_have(changes, says):
    with pytest.raises(SettingsError, match=says):
        grid(**changes)


def test_another_task_is_the_next_data_sets():
    assert [another(one, ["a", "b", "c"]) for one in ("a", "b", "c")] == ["b", "c", "a"]


def test_sets_for_each_query_are_compared_with_the_reference_on_their_queries():
    study = grid(factors={"relevance": ["any", "nearest", "random"]})
    assert [*study.settings] == ["reference", "relevance-nearest", "relevance-random"]
    assert study.of_factor("reference") == {"reference": "reference"}
    assert study.of_factor("relevance") == {
        "reference": "any",
        "relevance-nearest": "nearest",
        "relevance-random": "random",
    }
    assert study.choice("relevance-nearest").relevance == "nearest"
    assert [one for one in made(study) if one[0] == "relevance-random"] == [
        ("relevance-random", arm) for arm in ("icl", "it")
    ]


def test_the_reference_has_one_set_for_all_queries():
    with pytest.raises(SettingsError, match=r"reference.relevance: must be any; sets for each query are levels of"):
        grid(reference={**CONTENT["reference"], "relevance": "nearest"})


def test_a_tuned_prefix_is_followed_along_the_path_and_at_no_other_level():
    study, wildcards = grid(factors={"path": [1, 5], "shots": [1]}), {"model": "m", "dataset": "d"}
    assert [setting for setting, arm in made(study) if arm == "prefix"] == ["reference", "path-1", "path-5"]
    assert study.kept_steps("reference", "prefix") == study.kept_steps("reference", "tuned") == [1, 5]
    assert study.kept_steps("reference", "distilled") == study.kept_steps("shots-1", "prefix") == []
    assert not study.exists({**wildcards, "setting": "path-1", "weights": "prefix"})


def test_an_imported_adapter_is_an_arm_of_the_models_that_have_one():
    models = {"m": {"source": "pocket"}, "other": {"source": "pocket", "seed": 1}}
    study = grid(models=models, arms=["anchor", "icl", "it", "imported"], imported={"m": "folder"})
    assert ("reference", "imported") in made(study)
    assert ("reference", "imported") not in made(study, "other")
    assert "imported" not in {arm for setting, arm in made(study) if setting != "reference"}
    assert arm_named("imported").depends_on == {"template", "position"}
    assert not arm_named("imported").given
    assert arm_named("imported").compared


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"imported": {"n": "folder"}}, "imported: n is none of `models`, which has m"),
        ({"arms": ["anchor", "icl", "it", "imported"]}, "arms: imported needs an adapter's folder"),
        (
            {"datasets": {"alone": CONTENT["datasets"]["topic"]}, "factors": {"shots": [1]}},
            "arms: length-control shows demonstrations of another task, and needs a second data set",
        ),
    ],
)
def test_arms_that_lack_what_they_need(changes, says):
    with pytest.raises(SettingsError, match=says):
        grid(**changes)


def test_another_position_is_another_dump_of_every_arm_and_no_other_set_or_adapter():
    study, wildcards = grid(factors={"position": ["last", "last-1"]}), {"model": "m", "dataset": "d"}
    assert study.levels == {"position": ["last", "last-1"]}
    assert study.dumping("position-last-1").position == "last-1"
    assert study.dumping("reference").position == "last"
    at = [arm for setting, arm in made(study) if setting == "position-last-1"]
    assert at == ["anchor", "icl", "it", "anchor-alone"]
    assert not study.exists({"dataset": "d", "setting": "position-last-1"})
    assert not study.exists({**wildcards, "setting": "position-last-1", "weights": "tuned"})


def test_the_reference_is_read_at_the_last_token():
    block = {**CONTENT["dump_hidden_states"], "position": "query-mean"}
    with pytest.raises(SettingsError, match=r"dump_hidden_states.position: must be last; others are levels of factors"):
        grid(dump_hidden_states=block)
