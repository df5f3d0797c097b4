"""The ready-made studies: each is a study, and says of each value whose it is."""

import re
from pathlib import Path

import pytest
import yaml

from workflow_scripts.lib.arms import ARMS
from workflow_scripts.lib.plan.published import SHAPES
from workflow_scripts.lib.results.permutation import ALPHA, FEWEST_TESTED, least_p
from workflow_scripts.lib.results.statistics import FEWEST
from workflow_scripts.lib.study.settings import Study, read_study

ROOT = Path(__file__).parents[2]
STUDIES = sorted((ROOT / "studies").glob("*.yaml"))
TO_BE_READ = [ROOT / "params.yaml", *(path for path in STUDIES if path.stem != "smoke")]
PAPERS = [path for path in STUDIES if path.stem.startswith("paper-")]
OF_MODELS = [*PAPERS, *(path for path in STUDIES if path.stem in ("modern-8b", "small-gpu"))]
NO_CHOICE = {"models", "imported", "counts_as", "prepare_model", "render_report"}
COMMIT = re.compile(r"[0-9a-f]{40}")


def ids(paths):
    return [path.stem for path in paths]


@pytest.mark.parametrize("path", STUDIES, ids=ids(STUDIES))
def test_a_ready_made_study_is_one(path):
    assert read_study(path).draws > 0


@pytest.mark.parametrize("path", TO_BE_READ, ids=ids(TO_BE_READ))
def test_its_draws_allow_a_test_at_every_level_and_intervals_by_bootstrap(path):
    study = read_study(path)
    most = max(len(levels) for levels in study.factors.levels().values())
    assert least_p(study.draws, most) <= ALPHA
    assert study.draws >= FEWEST


def test_the_study_says_how_many_draws_a_test_takes():
    assert f"# fewer than {FEWEST_TESTED} allow no test" in (ROOT / "params.yaml").read_text()


def test_the_papers_models_have_studies():
    found = {one.id for path in PAPERS for one in read_study(path).models.values()}
    sizes, kinds = ("7b", "13b"), ("", "-chat")
    assert found == {f"meta-llama/Llama-2-{size}{kind}-hf" for size in sizes for kind in kinds}


@pytest.mark.parametrize("path", PAPERS, ids=ids(PAPERS))
def test_what_is_known_of_the_paper_is_in_its_studies(path):
    study: Study = read_study(path)
    assert (study.draws, study.tune_lora.target_modules) == (30, "attention")
    assert [arm.name for arm in ARMS[:3]] == study.arms[:3]
    varied = study.factors.levels()
    assert {"shots", "labels", "task", "relevance", "template"} <= varied.keys()
    assert {"gold", "flipped"} <= {*varied["labels"]}
    assert "own" in study.compare_hidden_states.contrasts
    assert "cosine" in study.compare_hidden_states.measures


@pytest.mark.parametrize("path", OF_MODELS, ids=ids(OF_MODELS))
def test_every_block_says_whose_its_values_are(path):
    """A comment on the block's line, or on the line of each of its keys."""
    blocks = re.split(r"^(?=\w)", path.read_text(), flags=re.MULTILINE)[1:]
    keys = {block.partition(":")[0]: block for block in blocks}
    assert keys.keys() == yaml.safe_load(path.read_text()).keys()
    for key, block in keys.items():
        first, *rest = block.rstrip().splitlines()
        lines = [line for line in rest if line.strip() and not line.startswith("    ")]
        said = re.search(r"# .*(paper|ours)", first) or (
            lines and all(re.search("paper|ours|memory", x) for x in lines)
        )
        assert said or key in NO_CHOICE or key == "templates", key


@pytest.mark.parametrize("path", OF_MODELS, ids=ids(OF_MODELS))
def test_a_revision_is_a_commit_or_is_looked_up(path):
    study = read_study(path)
    for source in (*study.models.values(), *study.datasets.values()):
        assert source.revision == "main" or COMMIT.fullmatch(source.revision)


@pytest.mark.parametrize("path", OF_MODELS, ids=ids(OF_MODELS))
def test_its_models_can_be_planned_out_of_reach_of_the_hub(path):
    assert {one.id for one in read_study(path).models.values()} <= SHAPES.keys()
