"""A study of a generation task beside one with labels: each has the measures that it can have."""

import csv
import json
import re

import pytest

from tests import hand_tokenizers
from tests.conftest import tiny_config
from tests.workflow.conftest import SMALL, STUDY, clone_into, write_words
from workflow_scripts.lib.measures import ACCURACY, AGREEMENT, CHRF, COSINE, EXACT_MATCH, LOG_PROB_PER_TOKEN, SAME_TEXT

pytestmark = pytest.mark.workflow
COUNTRIES = {
    "source": "cldr",
    "kinds": ["country"],
    "locales": ["cs"],
    "answer_column": "name",
    "template": {"query": "Review {english}\nLabel", "separator": "\n"},
    "queries": 0.3,
}
OF_TEXTS, OF_LABELS = {LOG_PROB_PER_TOKEN, EXACT_MATCH, CHRF, SAME_TEXT}, {ACCURACY, AGREEMENT}


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    from workflow_scripts.lib.models.weights import random_model

    made, tokenizer = clone_into(tmp_path_factory.mktemp("generation")), hand_tokenizers.byte_level()
    random_model(tiny_config("llama", len(tokenizer)), seed=0).save_pretrained(made.folder / "bytes")
    tokenizer.save_pretrained(made.folder / "bytes")
    write_words(made.folder)
    made.params(
        **SMALL
        | {
            "models": {"bytes": {"source": "local", "path": "bytes"}},
            "datasets": {"countries": COUNTRIES, **STUDY["datasets"]},
            "factors": {"labels": ["flipped", "random"], "task": ["another"]},
            "reference": {"shots": 2, "labels": "gold"},
        },
        tune_lora__steps=2,
        dump_hidden_states__new_tokens=4,
        aggregate_similarity__resamples=100,
    )
    made.run("git init -q . && git add -A && git commit -qm start && snakemake --cores 2")
    return made


def test_each_task_has_its_own_measures_and_no_others(study):
    metrics = json.loads((study.folder / "artifacts/aggregate_similarity/metrics.json").read_text())["bytes"]
    countries, words = metrics["countries"], metrics["words"]
    assert {one.name for one in OF_TEXTS} <= countries.keys()
    assert {one.name for one in OF_LABELS} <= words.keys()
    assert not {one.name for one in OF_LABELS} & countries.keys()
    assert not {one.name for one in OF_TEXTS} & words.keys()
    assert {COSINE.name, "parts"} <= countries.keys() & words.keys()
    assert countries[LOG_PROB_PER_TOKEN.name]["icl"] < 0


def test_plots_over_levels_have_what_each_task_is_scored_by(study):
    rows = csv.DictReader((study.folder / "artifacts/aggregate_similarity/levels.csv").open())
    found = {(row["dataset"], row["measure"]) for row in rows if row["measure"] != COSINE.name and row["mean"]}
    assert found == {("countries", LOG_PROB_PER_TOKEN.name), ("words", ACCURACY.name)}


def test_the_report_shows_what_is_there(study):
    page = (study.folder / "artifacts/render_report/report.html").read_text()
    for measure in OF_TEXTS | OF_LABELS:
        assert measure.heading in page
    text = re.sub(r"<(script|style).*?</\1>|<[^>]*>", " ", page, flags=re.DOTALL)
    assert not re.findall(r"\bnan\b", text, re.IGNORECASE)


def test_other_answers_make_no_states_of_label_sets_anew(study):
    assert study.planned() == {}
    study.params(dump_hidden_states__new_tokens=5)
    dumped = study.planned()["dump_hidden_states"]
    made = list((study.folder / "artifacts/dump_hidden_states/bytes/countries").rglob("*.parquet"))
    study.params(dump_hidden_states__new_tokens=4)
    assert dumped == len(made)


def test_what_has_no_meaning_for_answers_is_refused_by_name(study):
    study.params(factors={"labels": ["permuted"]})
    output = study.run("snakemake --cores 1", check=False)
    study.params(factors={"labels": ["flipped", "random"], "task": ["another"]})
    assert "datasets.countries: labels: permuted gives every class another word" in output
    assert "datasets.words" not in output
