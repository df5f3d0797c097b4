"""The paper's study, run to its report through a hub on loopback with a tiny model of LLaMA-2's kind, and planned."""

import json
import shutil

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.conftest import tiny_config
from tests.hand_tokenizers import byte_level
from tests.hub import COMMIT, served
from tests.workflow.conftest import ROOT
from workflow_scripts.lib.artifacts.tables import read_origin

pytestmark = pytest.mark.workflow
SST2, NEWS, LLAMA = "stanfordnlp/sst2", "fancyzhx/ag_news", "meta-llama/Llama-2-7b-hf"


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    """The ids of the paper's study: texts of the embedded world, and a random model of three layers."""
    from workflow_scripts.lib.models.weights import random_model
    from workflow_scripts.lib.world.texts import examples

    top, tokenizer = tmp_path_factory.mktemp("hub"), byte_level("<|endoftext|> $A")
    random_model(tiny_config("llama", len(tokenizer)), seed=0).save_pretrained(top / "model")
    tokenizer.save_pretrained(top / "model")
    for name, task, field, splits in (
        ("sst2", "sentiment", "sentence", ("train", "validation")),
        ("news", "topic", "text", ("train", "test")),
    ):
        rows = examples(task, 120, seed=0)
        words = sorted({label for _, label in rows})[:4]
        known = [(text, words.index(label)) for text, label in rows if label in words]
        (top / name / "data").mkdir(parents=True)
        for split, some in zip(splits, (known[:-24], known[-24:]), strict=True):
            texts, labels = zip(*some, strict=True)
            table = pa.table({field: list(texts), "label": pa.array(labels, pa.int64())})
            pq.write_table(table, top / name / "data" / f"{split}-00000-of-00001.parquet")
    held = {("models", LLAMA): top / "model", ("datasets", SST2): top / "sst2", ("datasets", NEWS): top / "news"}
    with served(held) as address:
        yield address


@pytest.fixture(scope="module")
def paper(clone, hub, tmp_path_factory):
    """The study as it stands, with fewer draws, queries and levels."""
    shutil.copy(ROOT / "studies/paper-llama2-7b.yaml", clone.folder / "params.yaml")
    clone.environment |= {"HF_ENDPOINT": hub, "HF_HOME": str(tmp_path_factory.mktemp("home")), "HF_TOKEN": ""}
    clone.params(
        draws=2,
        queries=6,
        factors={"shots": [1, 2], "task": ["own", "another"], "path": [1, 2]},
        prepare_dataset={"pool": 20},
        reference__shots=2,
        tune_lora__steps=2,
        tune_lora__distilled_on=4,
        dump_hidden_states__layers={"every": 2},
        aggregate_similarity__resamples=100,
    )
    return clone


def test_the_papers_study_runs_to_its_report(paper):
    planned = paper.run("python -m workflow_scripts.lib.plan params.yaml")
    assert "note:" not in planned  # all of it was to be had
    paper.run("snakemake --cores 2")
    metrics = json.loads((paper.folder / "artifacts/aggregate_similarity/metrics.json").read_text())
    at = metrics["llama-2-7b"]["sst2"]["at"]
    assert (at["layer"], at["shots"]) == (3, "2")
    assert COMMIT in (paper.folder / "artifacts/prepare_model/llama-2-7b/model.json").read_text()
    for name in ("sst2", "ag-news"):  # of which the study says a revision alone
        read = read_origin(paper.folder / f"artifacts/prepare_dataset/{name}.parquet")["settings"]["read"]
        assert all(f" at commit {COMMIT}, " in split for split in read)
    assert (paper.folder / "artifacts/render_report/report.html").stat().st_size > 100_000
    jobs = {row.split()[0]: row for row in planned.splitlines()[1:6]}
    assert {"tune_lora", "dump_hidden_states"} <= jobs.keys()
    for stage in ("tune_lora", "dump_hidden_states"):
        rows = [row.split() for row in planned.splitlines() if row.startswith(stage)]
        folder = paper.folder / "artifacts" / stage
        made = [
            path
            for path in folder.rglob("*")
            if path.is_file() and path.suffix in (".parquet", ".safetensors", ".json")
        ]
        size = sum(path.stat().st_size for path in made) / 1e6
        assert sum(float(row[6].replace(",", "")) for row in rows) == pytest.approx(size, rel=0.2)
        assert sum(int(row[3]) for row in rows) == len([*folder.rglob("*.recipe")])
    assert "Nothing to be done" in paper.run("snakemake -n")
