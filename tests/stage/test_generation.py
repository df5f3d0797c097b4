"""A generation task through all stages, on a tiny model and a tokenizer of bytes: names from English to Czech."""

import json

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from sacrebleu.metrics import CHRF as SACREBLEU

from tests import hand_tokenizers, reference
from tests.cell import Made, compare, make, patch
from tests.conftest import tiny_config
from tests.stage.test_report import outputs_in
from tests.synthetic_cells import CELLS, FILES, SETTINGS
from workflow_scripts.aggregate_similarity import aggregate_similarity
from workflow_scripts.lib.arms import ANCHOR, ICL, IT, TUNED
from workflow_scripts.lib.artifacts.states import open_states
from workflow_scripts.lib.data.choice import Choice
from workflow_scripts.lib.data.examples import read_examples
from workflow_scripts.lib.data.prompts import Prompts
from workflow_scripts.lib.data.sets import read_sets
from workflow_scripts.lib.data.sources import CldrDataset
from workflow_scripts.lib.forward.patch import states_put
from workflow_scripts.lib.forward.reader import Reader
from workflow_scripts.lib.forward.shared_prefix import encoded
from workflow_scripts.lib.lora.apply import with_adapter
from workflow_scripts.lib.measures import CHRF, EXACT_MATCH, LOG_PROB_PER_TOKEN, MEASURES, SAME_TEXT
from workflow_scripts.lib.measures.contrasts import OTHER_LABEL, SAME_LABEL
from workflow_scripts.lib.measures.kinds import Accord, Behaviour
from workflow_scripts.lib.measures.on_texts import Scored
from workflow_scripts.lib.models.load import load_model
from workflow_scripts.lib.models.sources import LocalModel
from workflow_scripts.lib.patching.measures import EXACT_MATCH as PATCHED_EXACT_MATCH
from workflow_scripts.lib.patching.measures import LOG_PROB as PATCHED_LOG_PROB
from workflow_scripts.lib.patching.measures import PATCH_MEASURES, RECOVERED_LOG_PROB, Written
from workflow_scripts.lib.patching.patches import OWN_STATE
from workflow_scripts.lib.report import claims
from workflow_scripts.lib.report.cases import cases
from workflow_scripts.lib.report.findings import findings
from workflow_scripts.lib.report.points import points
from workflow_scripts.lib.report.settings import RenderReport
from workflow_scripts.lib.results.results import read_results
from workflow_scripts.render_report import render_report

pytestmark = pytest.mark.stage
COUNTRIES = CldrDataset(
    source="cldr",
    kinds=["country"],
    locales=["cs"],
    answer_column="name",
    template={"query": "Review {english}\nLabel", "separator": "\n"},
    queries=0.2,
)
ARMS = ("anchor", "icl", "it")
NEW_TOKENS = 6
THREE = (ANCHOR, ICL, IT)
OF_TEXTS = {measure.name for measure in MEASURES if getattr(measure, "kind", None) and issubclass(measure.kind, Scored)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    from workflow_scripts.lib.models.weights import random_model

    path, tokenizer = tmp_path_factory.mktemp("models") / "bytes", hand_tokenizers.byte_level()
    random_model(tiny_config("llama", len(tokenizer)), seed=0).save_pretrained(path)
    tokenizer.save_pretrained(path)
    return path


def cell(folder, model, new_tokens):
    shown = {"reference": Choice(shots=3)}
    source = LocalModel(source="local", path=model)
    return patch(compare(make(Made(folder), source, shown, ARMS, COUNTRIES, draws=3, new_tokens=new_tokens)))


@pytest.fixture(scope="module")
def made(tmp_path_factory, folder):
    return cell(tmp_path_factory.mktemp("written"), folder, NEW_TOKENS)


def asked(made):
    data, loaded = read_examples(made.examples), load_model(made.weights)
    return data, Prompts(loaded.tokenizer, data.template, data.words), loaded.model


def rows(made, arm, set_id=None):
    with open_states(made.states("reference", arm)) as file:
        names = ["query", "answer", "answer_tokens", "answer_log_prob", "written", "label"]
        return file.columns(set_id, names).to_pylist()


def measured(made):
    return pq.read_table(made.compared()).to_pylist()


@pytest.mark.parametrize("arm", [ANCHOR, ICL, IT], ids=lambda arm: arm.name)
def test_answers_are_scored_and_written_as_by_transformers(made, arm):
    data, prompts, model = asked(made)
    [first, *_] = read_sets(made.sets("reference"))
    before = prompts.prefix(first.set.demonstrations if arm.shows else ())
    for query, row in zip(data.queries, rows(made, arm, first.set.id if arm.given else None), strict=True):
        ids, answer = before + prompts.query(query.fields), prompts.learnt(query.label)
        if arm.weights:
            with with_adapter(model, made.adapters("reference", TUNED) / first.set.id):
                score, written = reference.label_log_prob(model, ids, answer), reference.written(model, ids, NEW_TOKENS)
        else:
            score, written = reference.label_log_prob(model, ids, answer), reference.written(model, ids, NEW_TOKENS)
        assert (row["query"], row["answer"], row["answer_tokens"]) == (query.id, query.label, len(answer))
        assert row["answer_log_prob"] == pytest.approx(score, abs=1e-4)
        assert row["written"] == prompts.answer(written)


def test_an_answer_is_learnt_with_the_separator_that_ends_it(made):
    data, prompts, _ = asked(made)
    newline = prompts.tokenizer("\n")["input_ids"]
    for one in data.pool:
        assert prompts.learnt(one.label) == prompts.tokenizer(f" {one.label}")["input_ids"] + newline
    tuned = pq.read_table(made.adapters("reference", TUNED) / "tuning.parquet").to_pylist()
    for each, row in zip(read_sets(made.sets("reference")), tuned, strict=True):
        assert row["supervised_tokens"] == sum(len(prompts.learnt(one.label)) for one in each.set.demonstrations)


def test_measures_of_labels_are_absent_and_those_of_answers_there(made):
    names = {row["measure"] for row in measured(made)}
    labels = {one.name for one in MEASURES if getattr(one, "of_labels", False)}
    labels |= {one.name for one in MEASURES if isinstance(one, Behaviour | Accord)} - OF_TEXTS
    assert names & (OF_TEXTS | labels) == OF_TEXTS
    matches = {row["match"] for row in measured(made)}
    assert OTHER_LABEL.name in matches
    assert SAME_LABEL.name not in matches


def patched(made, measure, patch=OWN_STATE, arm=ICL):
    """(layer, draw) -> value."""
    return {
        (row["layer"], row["draw"]): row["value"]
        for row in pq.read_table(made.patched).to_pylist()
        if (row["measure"], row["match"], row["other"]) == (measure.name, patch.name, arm.name)
    }


def test_patched_runs_score_each_querys_own_answer(made):
    """As whole forwards do that go on from the arm's state at the last prompt token."""
    data, prompts, model = asked(made)
    found, matches = patched(made, PATCHED_LOG_PROB), patched(made, PATCHED_EXACT_MATCH)
    with open_states(made.states("reference", ICL)) as file:
        for number, each in enumerate(read_sets(made.sets("reference"))):
            scores, written = [], []
            for place, query in enumerate(data.queries):
                ids, answer = prompts.prefix() + prompts.query(query.fields), prompts.learnt(query.label)
                state = torch.tensor(file.states(each.set.id, 1)[place : place + 1])
                with states_put(model, torch.tensor([1]), torch.tensor([len(ids) - 1]), state), torch.inference_mode():
                    after = model(torch.tensor([ids + answer])).logits[0, len(ids) - 1 : -1].log_softmax(-1)
                scores.append(after[range(len(answer)), answer].mean().item())
                written.append(after.argmax(-1).tolist() == answer)
            assert found[1, number] == pytest.approx(np.mean(scores), abs=1e-5)
            assert matches[1, number] == np.mean(written)


def test_a_patch_of_the_embeddings_changes_nothing_and_every_draw_recovers_a_share(made):
    own = [row["answer_log_prob"] / row["answer_tokens"] for row in rows(made, ANCHOR)]
    first = [value for (layer, _), value in patched(made, PATCHED_LOG_PROB).items() if layer == 0]
    assert first == pytest.approx([np.mean(own)] * 3, abs=1e-5)
    names = {row["measure"] for row in pq.read_table(made.patched).to_pylist()}
    assert names == {measure.name for measure in PATCH_MEASURES if measure.kind is Written}
    assert {layer for layer, _ in patched(made, RECOVERED_LOG_PROB)} == {0, 1, 2, 3}


def test_chrf_is_sacrebleus_and_exact_match_is_equality(made):
    for number, each in enumerate(read_sets(made.sets("reference"))):
        texts = rows(made, ICL, each.set.id)
        expected = {
            CHRF.name: np.mean([SACREBLEU().sentence_score(r["written"], [r["answer"]]).score / 100 for r in texts]),
            EXACT_MATCH.name: np.mean([r["written"] == r["answer"] for r in texts]),
            LOG_PROB_PER_TOKEN.name: np.mean([r["answer_log_prob"] / r["answer_tokens"] for r in texts]),
        }
        found = {
            row["measure"]: row["value"]
            for row in measured(made)
            if (row["draw"], row["one"]) == (number, ICL.name) and row["measure"] in expected
        }
        assert found == pytest.approx(expected, abs=1e-6)


def test_two_arms_answer_the_same_where_they_write_the_same(made):
    sets = [each.set.id for each in read_sets(made.sets("reference"))]
    for number, set_id in enumerate(sets):
        both = zip(rows(made, ICL, set_id), rows(made, IT, set_id), strict=True)
        share = np.mean([one["written"] == other["written"] for one, other in both])
        [row] = [
            row
            for row in measured(made)
            if (row["measure"], row["draw"], row["one"], row["other"]) == (SAME_TEXT.name, number, "icl", "it")
        ]
        assert row["value"] == share


def test_without_new_tokens_answers_are_scored_alone(tmp_path, folder):
    made = cell(tmp_path, folder, 0)
    assert {row["written"] for row in rows(made, ANCHOR)} == {None}
    assert {row["measure"] for row in measured(made)} & OF_TEXTS == {LOG_PROB_PER_TOKEN.name}
    assert {row["answers"] for row in measured(made)} == {"all"}


def test_a_study_of_generation_alone_has_estimates_and_a_report(tmp_path, made):
    outputs = {name: tmp_path / file for name, file in FILES.items()}
    where = {stage: f"{made.folder}/{stage}/{CELLS}" for stage in ("compare_hidden_states", "patch_hidden_states")}
    grid = {"models": [made.model], "datasets": [made.dataset], "factors": ["reference"]}
    told = {"levels": {}, "reference": {}}
    aggregate_similarity(
        *where.values(), **grid, patched_factors=["reference"], **told, settings=SETTINGS, seed=0, **outputs
    )
    metrics = json.loads(outputs["metrics"].read_text())[made.model][made.dataset]
    assert OF_TEXTS - {SAME_TEXT.name} <= metrics.keys()
    assert metrics[LOG_PROB_PER_TOKEN.name].keys() == {"anchor", "icl", "it"}
    tables = [outputs[name] for name in ("similarity", "parts", "effects")]
    words = {"controls": {}, "provenance": {}, "settings": RenderReport(title="Names")}
    beside = {
        "about": f"{made.folder}/prepare_model/{{model}}",
        "adapters": f"{made.folder}/tune_lora/{{model}}/{{dataset}}/reference/{IT.weights.name}",
        "examples": f"{made.folder}/prepare_dataset/{{dataset}}.parquet",
        "sets": f"{made.folder}/sample_demonstrations/{{dataset}}/reference.parquet",
    }
    named = {"models": [made.model], "datasets": [made.dataset], "arms": list(ARMS)}
    render_report(*tables, **beside, **named, **told, **words, **outputs_in(tmp_path))
    shown = (tmp_path / "report.html").read_text().split("<h2>How to read it")[0]
    for measure in (LOG_PROB_PER_TOKEN, EXACT_MATCH, CHRF, SAME_TEXT, PATCHED_LOG_PROB):
        assert measure.heading in shown
    _tell_what_was_measured(read_results(*tables, **told))


def _tell_what_was_measured(results):
    """Claims have a row of every way in which answers are scored, and none of what such answers cannot have."""
    found = {one.claim.about: one.by_case[0][1] for one in claims.told(results, {})}
    names = [
        f"{measure.heading}, {arm.heading}" for measure in (LOG_PROB_PER_TOKEN, EXACT_MATCH, CHRF) for arm in THREE
    ]
    assert [row.name for row in found["Accuracy"].rows] == names
    first, *others = found["Same easy answer"].rows
    assert first.name == "update cosine, all answers"
    assert 1 <= len(others) <= 2  # of queries answered alike and not, of which a random model may have none
    assert all(row.estimate.mean is not None for seen in found.values() for row in seen.rows)
    (answers,) = [one.text for one in points(findings(cases(results, {}))) if one.about == "Answers"]
    assert SAME_TEXT.heading in answers
    assert "not measured" not in answers


def test_answers_come_after_the_keys_and_values_that_stand_for_a_prefix(made):
    data, prompts, model = asked(made)
    given = read_sets(made.sets("reference"))[0].set.demonstrations
    one, other = prompts.prefix(given), prompts.prefix(given[::-1])
    queries = [prompts.query(query.fields) for query in data.queries]
    answers = [prompts.learnt(query.label) for query in data.queries]
    reader = Reader(model, [], tokens_per_batch=64)
    parts = encoded(model, other, 10_000).parts
    scores = reader.score(one, queries, answers, parts=parts)
    torch.testing.assert_close(scores, reader.score(other, queries, answers), atol=1e-5, rtol=0)
    assert not torch.allclose(scores, reader.score(one, queries, answers), atol=1e-5, rtol=0)
    written = reader.write(one, queries, prompts.ends, most=NEW_TOKENS, parts=parts)
    assert written == reader.write(other, queries, prompts.ends, most=NEW_TOKENS)
    assert written != reader.write(one, queries, prompts.ends, most=NEW_TOKENS)


def test_an_arm_of_a_tuned_prefix_answers_in_words_too(tmp_path, folder):
    source = LocalModel(source="local", path=folder)
    arms = (*ARMS, "prefix")
    of_prefix = make(Made(tmp_path), source, {"reference": Choice(shots=3)}, arms, COUNTRIES, draws=1, new_tokens=2)
    [id_] = (one.set.id for one in read_sets(of_prefix.sets("reference")))
    icl, prefix = ([row["answer_log_prob"] for row in rows(of_prefix, arm, id_)] for arm in ("icl", "prefix"))
    assert np.isfinite(prefix).all()
    assert not np.allclose(icl, prefix)
