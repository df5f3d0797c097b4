"""Demonstrations chosen by vectors of texts: a model's own mean states, and sentence-transformers models."""

import json

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from transformers import BertConfig, BertModel

from tests import hand_tokenizers
from tests.conftest import tiny_config
from tests.hub import COMMIT, served
from tests.stage.test_models import TRAINING
from workflow_scripts.lib.data.alike import by_vectors, longest_first
from workflow_scripts.lib.data.choice import Choice, Relevance, SampleDemonstrations
from workflow_scripts.lib.data.drawing import drawn
from workflow_scripts.lib.data.examples import Example, Examples, write_examples
from workflow_scripts.lib.data.sets import read_sets
from workflow_scripts.lib.data.template import Template
from workflow_scripts.lib.models.encoders import check_encoder, check_sentences, folder_of, mean_states, sentences
from workflow_scripts.lib.models.files import ModelError
from workflow_scripts.lib.models.sources import LocalModel
from workflow_scripts.lib.models.weights import random_model
from workflow_scripts.prepare_model import prepare_model
from workflow_scripts.sample_demonstrations import sample_demonstrations

pytestmark = pytest.mark.stage
TEXTS = ["fine film", "very good", "x", "a positive review of a film", "film fine"]
MEAN = {"pooling_mode_mean_tokens": True, "pooling_mode_cls_token": False}
MODULES = [("", "Transformer"), ("1_Pooling", "Pooling"), ("2_Normalize", "Normalize")]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """A causal model that puts a token before every text, as it is prepared; and a loaded copy."""
    folder, tokenizer = tmp_path_factory.mktemp("models"), hand_tokenizers.byte_level("<s> $A", bos_token="<s>")
    model = random_model(tiny_config("llama", len(tokenizer)), seed=0)
    model.save_pretrained(folder / "given")
    tokenizer.save_pretrained(folder / "given")
    source = LocalModel(source="local", path=folder / "given")
    prepare_model(source=source, settings=TRAINING, model=folder / "prepared")
    return folder / "prepared", model.eval(), tokenizer


@pytest.fixture
def encoder(tmp_path):
    """Writes a small BERT as sentence-transformers does, with a pooling and modules of one's own."""

    def write(pooling=MEAN, modules=MODULES, **settings):
        tokenizer = hand_tokenizers.uncased()
        torch.manual_seed(0)
        config = BertConfig(
            vocab_size=len(tokenizer),
            hidden_size=16,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=32,
        )
        model = BertModel(config, add_pooling_layer=False).eval()
        model.save_pretrained(tmp_path)
        tokenizer.save_pretrained(tmp_path)
        (tmp_path / "1_Pooling").mkdir()
        (tmp_path / "1_Pooling/config.json").write_text(json.dumps({"word_embedding_dimension": 16, **pooling}))
        types = [{"path": path, "type": f"sentence_transformers.models.{name}"} for path, name in modules]
        (tmp_path / "modules.json").write_text(json.dumps(types))
        (tmp_path / "sentence_bert_config.json").write_text(json.dumps(settings))
        return tmp_path, model, tokenizer

    return write


def test_a_models_vector_is_the_mean_of_its_last_states_without_what_is_put_around(prepared):
    path, model, tokenizer = prepared
    found = mean_states(path)(TEXTS)
    for text, vector in zip(TEXTS, found, strict=True):
        ids = tokenizer(text)["input_ids"]
        assert ids[0] == tokenizer.bos_token_id
        with torch.inference_mode():
            states = model(torch.tensor([ids]), output_hidden_states=True).hidden_states[-1][0]
        assert vector == pytest.approx(states[1:].mean(0).numpy(), abs=1e-5)


def examples(path, planted):
    """Texts of characters drawn at random, among which one is a query's own words turned around."""
    dice = np.random.default_rng(0)
    texts = ["".join(dice.choice([*"abcdefgh "], size=24)) for _ in range(40)]
    pool = [Example(f"pool-{i}", {"text": text}, ["good", "bad"][i % 2]) for i, text in enumerate(texts)]
    pool.append(Example("planted", {"text": planted}, "good"))
    queries = [Example("query-0", {"text": "fine film"}, "good"), Example("query-1", {"text": "zzz"}, "bad")]
    write_examples(Examples(pool, queries, ["good", "bad"], Template(query="{text}:")), path, {})
    return pool


def sets(folder, rule, relevance, encoder=None, draws=6):
    settings = SampleDemonstrations(balanced=True, relevance=relevance)
    sample_demonstrations(
        folder / "data.parquet",
        other=None,
        encoder=encoder,
        choice=Choice(shots=2, relevance=rule),
        draws=draws,
        seed=0,
        settings=settings,
        demonstrations=folder / "sets.parquet",
    )
    return {
        (place.draw, place.query): (each.set.demonstrations, place.similarity)
        for each in read_sets(folder / "sets.parquet")
        for place in each.serves
    }


def ids_of(shown):
    return {one.id for one in shown}


def test_the_planted_nearest_is_picked_by_states_where_words_would_not(prepared, tmp_path):
    """No word in common, so that tf-idf knows nothing of it: the bytes are the query's, but for the last."""
    pool = examples(tmp_path / "data.parquet", "fine filmy")
    relevance = Relevance(by="states", model="any")
    near, far = (sets(tmp_path, rule, relevance, prepared[0]) for rule in ("nearest", "farthest"))
    have = [d for d in range(6) if len(pool) - 1 in drawn(pool, f"0/{d}", balanced=True)[: (len(pool) + 1) // 2]]
    assert 0 < len(have) < 6
    for draw in range(6):
        assert ("planted" in ids_of(near[draw, "query-0"][0])) == (draw in have)
        assert "planted" not in ids_of(far[draw, "query-0"][0])
        assert far[draw, "query-0"][1] < near[draw, "query-0"][1] < 1


def test_the_similarity_is_a_cosine_of_what_is_left_without_the_pools_mean(prepared):
    encode = mean_states(prepared[0])
    pool, query = ([Example(text, {"text": text}, "good") for text in some] for some in (TEXTS[1:], TEXTS[:1]))
    (found,) = by_vectors(encode, centred=True)(query, pool)
    mean = encode(TEXTS[1:]).mean(0)
    a, b = encode(TEXTS[:1])[0] - mean, encode(TEXTS[1:]) - mean
    assert found == pytest.approx(b @ a / np.linalg.norm(b, axis=1) / np.linalg.norm(a), abs=1e-5)
    (raw,) = by_vectors(encode, centred=False)(query, pool)
    assert np.ptp(found) > np.ptp(raw)


def test_sentence_vectors_are_means_over_all_tokens_of_a_text(encoder):
    folder, model, tokenizer = encoder()
    found = sentences(folder)(TEXTS)
    for text, vector in zip(TEXTS, found, strict=True):
        with torch.inference_mode():
            states = model(**tokenizer(text, return_tensors="pt")).last_hidden_state[0]
        assert vector == pytest.approx(states.mean(0).numpy(), abs=1e-5)


@pytest.mark.parametrize(("mode", "pooled"), [("cls_token", lambda s: s[0]), ("max_tokens", lambda s: s.amax(0))])
def test_other_poolings_and_a_greatest_length(encoder, mode, pooled):
    folder, model, tokenizer = encoder({f"pooling_mode_{mode}": True}, max_seq_length=4)
    ids = tokenizer(TEXTS[3], truncation=True, max_length=4, return_tensors="pt")
    with torch.inference_mode():
        states = model(**ids).last_hidden_state[0]
    assert len(states) == 4
    assert sentences(folder)([TEXTS[3]])[0] == pytest.approx(pooled(states).numpy(), abs=1e-5)


def test_the_planted_nearest_is_picked_by_sentences(encoder, tmp_path):
    folder, *_ = encoder()
    examples(tmp_path / "data.parquet", "fine film")
    near = sets(tmp_path, "nearest", Relevance(by="sentences", path=folder), draws=8)
    asked = [(ids_of(shown), alike) for (_, query), (shown, alike) in near.items() if query == "query-0"]
    picked = [alike for ids, alike in asked if "planted" in ids]
    others = [alike for ids, alike in asked if "planted" not in ids]
    assert picked
    assert min(picked) > max(others)


@pytest.mark.parametrize(
    ("pooling", "modules", "said"),
    [
        (MEAN, [*MODULES[:2], ("2_Dense", "Dense")], "modules.json: has Transformer, Pooling, Dense; read is"),
        ({"pooling_mode_weightedmean_tokens": True}, MODULES, "pools by weightedmean_tokens; read is one of cls_token"),
        ({**MEAN, "pooling_mode_cls_token": True}, MODULES, "pools by mean_tokens, cls_token; read is one of"),
    ],
)
def test_what_is_made_otherwise_is_refused(encoder, pooling, modules, said):
    folder, *_ = encoder(pooling, modules)
    with pytest.raises(ModelError, match=said):
        check_sentences(folder)


def test_a_folder_that_is_none(tmp_path):
    with pytest.raises(ModelError, match="no such folder"):
        check_sentences(tmp_path / "nowhere")
    with pytest.raises(ModelError, match=r"has no modules\.json, so it is no folder of a sentence-transformers model"):
        check_sentences(tmp_path)


@pytest.mark.parametrize("modules", ["{}", "[", '[{"type": "a.Transformer"}]', "[1]"])
def test_modules_that_cannot_be_read(tmp_path, modules):
    (tmp_path / "modules.json").write_text(modules)
    with pytest.raises(ModelError, match=r"modules\.json: does not name modules by `type` and `path`"):
        check_sentences(tmp_path)


def test_weights_that_are_not_there(encoder):
    folder, *_ = encoder()
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "num_hidden_layers": 3}))
    with pytest.raises(ModelError, match=r"its weights lack .*encoder\.layer\.2"):
        sentences(folder)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"by": "states"}, "by states takes model beside it, and has nothing"),
        ({"by": "tf-idf", "model": "a"}, "by tf-idf takes nothing beside it, and has model"),
        ({"by": "sentences", "id": "a/b"}, "by sentences takes path or id and revision beside it, and has id"),
        ({"by": "sentences", "id": "a/b", "revision": "main"}, "revision"),
    ],
)
def test_what_stands_beside_a_way(given, said):
    with pytest.raises(ValidationError, match=said):
        Relevance(**given)


def test_a_check_sees_the_longest_texts_that_a_rule_may_choose():
    pool = [Example(str(n), {"text": "x" * n}, "good") for n in (1, 9, 5)]
    for rule, pick in (("nearest", max), ("farthest", min)):
        (found,) = longest_first(rule)(pool[:1], pool)
        assert found.index(pick(found)) == 1


def test_a_model_of_the_hub_is_checked_without_weights_and_read_with_them(encoder, tmp_path, monkeypatch):
    from huggingface_hub import constants

    folder, *_ = encoder()
    cache = tmp_path.parent / f"{tmp_path.name}-cache"
    relevance = Relevance(by="sentences", id="org/encoder", revision=COMMIT)
    with served({("models", "org/encoder"): folder}) as address:
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
        for module in ("constants", "hf_api", "file_download", "_snapshot_download"):
            found = __import__(f"huggingface_hub.{module}", fromlist=["x"])
            if hasattr(found, "ENDPOINT"):
                monkeypatch.setattr(found, "ENDPOINT", address)
        url = address + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", url)
        check_encoder(relevance)
        assert not list(cache.rglob("*.safetensors"))
        found = sentences(folder_of(relevance))(TEXTS)
    assert found == pytest.approx(sentences(folder)(TEXTS))
