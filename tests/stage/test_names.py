"""What a model or a data set is called in params.yaml is no content: not before results are put together."""

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.cell import WORLD, Made, compare, make, patch, sample
from workflow_scripts.lib.artifacts.provenance import file_digest
from workflow_scripts.lib.data.choice import Choice
from workflow_scripts.lib.data.drawing import PoolError
from workflow_scripts.lib.data.rows import DataError
from workflow_scripts.lib.data.sources import LocalDataset, PrepareDataset, WorldDataset
from workflow_scripts.lib.data.template import Template
from workflow_scripts.lib.models.sources import LocalModel, PocketModel
from workflow_scripts.prepare_dataset import prepare_dataset

pytestmark = pytest.mark.stage
STAGES = [
    "prepare_dataset",
    "prepare_model",
    "sample_demonstrations",
    "tune_lora",
    "dump_hidden_states",
    "compare_hidden_states",
    "patch_hidden_states",
]


def prepared(source, examples):
    prepare_dataset(source=source, queries=6, seed=0, settings=PrepareDataset(pool=20), examples=examples)


def made(folder, source, model, dataset):
    """The artifacts of a cell where the rules put them: (stage, file, without names) -> digest."""
    patch(compare(make(Made(folder, model, dataset), source)))
    return {unnamed(path.relative_to(folder), model, dataset): file_digest(path) for path in files(folder)}


def files(folder):
    return [path for path in folder.rglob("*") if path.is_file()]


def unnamed(path, model, dataset):
    names = {model: "MODEL", dataset: "DATASET", f"{dataset}.parquet": "DATASET.parquet"}
    return Path(*(names.get(part, part) for part in path.parts))


@pytest.mark.parametrize("kind", ["pocket", "local"])
def test_artifacts_have_the_same_bytes_whatever_model_and_data_set_are_called(tmp_path, tiny_folder, kind):
    pocket, local = PocketModel(source="pocket", untrained=True), LocalModel(source="local", path=tiny_folder)
    source = pocket if kind == "pocket" else local
    one = made(tmp_path / "one", source, "a", "b")
    other = made(tmp_path / "other", source, "model-v2.0", "reviews-of-films.v1")
    assert {path.parts[0] for path in one} == set(STAGES)
    assert one.keys() == other.keys()
    assert [path for path in one if one[path] != other[path]] == []


def local_data(folder, template):
    path = folder / "texts.csv"
    path.write_text("text,label\n" + "".join(f"text {i},{'yes' if i % 3 else 'no'}\n" for i in range(60)))
    queries = folder / "queries.csv"
    queries.write_text("text,label\n" + "".join(f"query {i},{'yes' if i % 2 else 'no'}\n" for i in range(30)))
    labels = {"yes": "yes", "no": "no"}
    settings = {"format": "csv", "labels": labels, "template": Template(query=template)}
    return LocalDataset(source="local", pool=path, queries=queries, **settings)


def test_data_sets_of_one_source_under_two_templates_are_paired(tmp_path):
    templates = {"plain": "{text}\nanswer:", "asked": "Is it so? {text}\n="}
    for name, template in templates.items():
        prepared(local_data(tmp_path, template), tmp_path / f"{name}.parquet")
        sample(tmp_path / f"{name}.parquet", tmp_path / name / "random.parquet", Choice(shots=2, labels="random"))
    for pattern in ("{}.parquet", "{}/random.parquet"):
        plain, asked = (pq.read_table(tmp_path / pattern.format(name)) for name in templates)
        assert plain.num_rows
        assert plain.equals(asked)


def test_sets_of_another_task_have_the_same_bytes_whatever_that_is_called(tmp_path):
    prepared(WORLD, tmp_path / "own.parquet")
    for name in ("news", "weather"):
        prepared(WorldDataset(source="world", task="topic"), tmp_path / f"{name}.parquet")
        given = Choice(shots=2, task="another")
        sample(tmp_path / "own.parquet", tmp_path / name / "sets.parquet", given, other=tmp_path / f"{name}.parquet")
    one, other = ((tmp_path / name / "sets.parquet").read_bytes() for name in ("news", "weather"))
    assert one == other


def test_errors_name_the_data_set(tmp_path):
    examples = tmp_path / "films.v1.parquet"
    with pytest.raises(DataError, match=r"^datasets\.films\.v1: task 'no' is not in the embedded world"):
        prepared(WorldDataset(source="world", task="no"), examples)
    prepared(WORLD, examples)
    with pytest.raises(PoolError, match=r"^datasets\.films\.v1: 21 shots are more than the pool's 20 .*; lower"):
        sample(examples, tmp_path / "draws", Choice(shots=21))
