"""docs/artifacts.md names every column of every file."""

import re
from pathlib import Path

import pytest

from tests.synthetic_estimates import Made, results_of
from workflow_scripts.lib.arms import WEIGHTS
from workflow_scripts.lib.artifacts import adapters, compared
from workflow_scripts.lib.artifacts.states_format import BEFORE_NORM, COLUMNS, OF_LABELS, OF_TEXTS, UNEMBEDDING, VECTORS
from workflow_scripts.lib.data.sets import Demonstration, Place
from workflow_scripts.lib.lora.files import CONFIG
from workflow_scripts.lib.lora.files import WEIGHTS as WEIGHTS_FILE
from workflow_scripts.lib.measures import MEASURES
from workflow_scripts.lib.measures.contrasts import DIFFERENCES
from workflow_scripts.lib.models.about import About
from workflow_scripts.lib.models.load import ModelReference
from workflow_scripts.lib.patching.measures import PATCH_MEASURES
from workflow_scripts.lib.patching.patches import PATCH_DIFFERENCES
from workflow_scripts.lib.report.tidy import HEAD, SHAPES
from workflow_scripts.lib.results import parts, tables
from workflow_scripts.lib.results.summaries import LAYERS_HEADER, LEVELS_HEADER, headline_of, metrics_of
from workflow_scripts.lib.tuning.deltas import DELTAS

PAGE = (Path(__file__).parents[2] / "docs/artifacts.md").read_text(encoding="utf-8")
PARAGRAPHS = re.split(r"\n\n|^## .*\n", PAGE, flags=re.MULTILINE)


def about(file):
    """The paragraph of a file's columns."""
    (found,) = [one for one in PARAGRAPHS if one.startswith(f"**{file}**")]
    return found


TIDY = {name for _, keys, numbers in SHAPES for name in (*HEAD, *keys, *numbers)}
# Of parts, columns of an interval are named by their ends.
OF_PARTS = [name for name in parts.SCHEMA.names if not name.endswith(("_low", "_high"))]


@pytest.mark.parametrize(
    ("where", "names"),
    [
        (
            "prepare_dataset",
            ["id", "split", "fields", "label", "label_word", "label_words", "template", "read", "removed"],
        ),
        ("model.json", [*ModelReference.model_fields, *About.model_fields]),
        ("sample_demonstrations", ["set", "serves", *Place._fields, "demonstrations", *Demonstration.__annotations__]),
        ("tuning.parquet", [*adapters.COLUMNS.names, *(weights.name for weights in WEIGHTS)]),
        (
            "dump_hidden_states",
            [*COLUMNS, *OF_LABELS, VECTORS, *OF_TEXTS, UNEMBEDDING.decode(), BEFORE_NORM.decode(), "layer_0"],
        ),
        ("products.parquet", compared.PRODUCTS.names),
        ("parts.parquet", OF_PARTS),
        ("effects.parquet", tables.EFFECTS.names),
        ("layers.csv", [*LAYERS_HEADER, *LEVELS_HEADER]),
        ("tables/figures-{table}.csv", [*TIDY, *(name for name, *_ in SHAPES)]),
    ],
)
def test_every_column_is_named_where_its_file_is(where, names):
    assert [name for name in names if f"`{name}`" not in about(where)] == []


def test_columns_of_the_files_that_are_called_alike():
    of_pairs, of_patches, of_all = (one for one in PARAGRAPHS if one.startswith("**similarity.parquet**"))
    assert [name for name in compared.SIMILARITY.names if f"`{name}`" not in of_pairs] == []
    assert [measure.name for measure in PATCH_MEASURES if measure.name not in of_patches] == []
    assert [name for name in tables.SIMILARITY.names if f"`{name}`" not in of_all] == []
    assert [one.name for one in (*DIFFERENCES, *PATCH_DIFFERENCES) if f"`{one.name}`" not in of_all] == []


def test_keys_of_the_files_for_programs():
    results, measures = results_of(Made()), {measure.name for measure in MEASURES}
    of_metrics = metrics_of(results)["pocket"]["reviews"].keys() - measures
    assert [key for key in of_metrics if f"`{key}`" not in about("metrics.json")] == []
    of_headline = {re.sub("^(anchor|it) ", "icl ", key) for key in headline_of(results)["pocket", "reviews"]}
    assert [key for key in of_headline if f"`{key}`" not in about("headline")] == []


def test_files_of_what_is_tuned_are_named():
    assert [name for name in (CONFIG, WEIGHTS_FILE, DELTAS, adapters.TABLE) if f"{name}`" not in PAGE] == []
