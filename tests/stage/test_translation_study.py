"""The ready-made study of generation, on real translations, as far as its check."""

from pathlib import Path

import pytest
import yaml

from tests.conftest import tiny_config
from tests.hand_tokenizers import byte_level
from workflow_scripts.lib.study import preflight
from workflow_scripts.lib.study.settings import read_study

pytestmark = pytest.mark.stage
STUDY = Path(__file__).parents[2] / "studies/translation.yaml"


@pytest.fixture
def model(tmp_path):
    """A tiny model of bytes whose context holds five news sentences and their translations."""
    from workflow_scripts.lib.models.weights import random_model

    folder, tokenizer = tmp_path / "model", byte_level("<|endoftext|> $A")
    config = tiny_config("llama", len(tokenizer))
    config.max_position_embeddings = 8192
    random_model(config, seed=0).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def test_the_ready_made_study_is_one():
    study = read_study(STUDY)
    assert all(source.generation for source in study.datasets.values())
    assert study.dump_hidden_states.new_tokens > 0


def test_it_fits_real_translations_and_a_real_tokenizer(tmp_path, model, outside, capsys):
    data = outside("data/wmt_encs")
    params = tmp_path / "params.yaml"
    text = STUDY.read_text().replace("data/wmt_encs", str(data)).replace("/path/to/model", str(model))
    params.write_text(text)
    preflight.main(str(params))
    told = capsys.readouterr().err
    assert "pool: 1,002 (1,002 different answers)" in told
    assert "queries: 50 (50 different answers)" in told
    assert "CLDR" in told
    content = yaml.safe_load(text)
    content["factors"]["labels"] = ["permuted"]
    params.write_text(yaml.safe_dump(content))
    with pytest.raises(SystemExit, match=r"datasets\.news: labels: permuted gives every class another word"):
        preflight.main(str(params))
