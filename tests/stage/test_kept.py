"""Which states are kept on disk, and how exactly: layers, float16, and the noise that it makes."""

import shutil

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml

from tests.cell import DRAWS, QUERIES, Made, compare, dump, make, patch
from tests.stage.test_patch import ROOT
from workflow_scripts.lib.arms import ANCHOR, ICL, IT, REPEATS
from workflow_scripts.lib.artifacts.states import open_states
from workflow_scripts.lib.data.sets import read_sets
from workflow_scripts.lib.forward.kept import StorageError, kept
from workflow_scripts.lib.forward.settings import DumpHiddenStates, LayerError, told
from workflow_scripts.lib.measures import NOISE
from workflow_scripts.lib.models.sources import LocalModel
from workflow_scripts.lib.study.preflight import check
from workflow_scripts.lib.study.settings import check_study

pytestmark = pytest.mark.stage
LEVEL = "reference"
ALONE = REPEATS[0]


def settings(layers="all", storage="float32"):
    return DumpHiddenStates(tokens_per_batch="auto", layers=layers, storage=storage)


HALF = settings({"every": 2}, "float16")


@pytest.fixture(scope="module")
def whole(tmp_path_factory, tiny_folder):
    """A cell whose states are all there, in float32."""
    arms = [ANCHOR.name, ICL.name, IT.name]
    return make(Made(tmp_path_factory.mktemp("whole")), LocalModel(source="local", path=tiny_folder), arms=arms)


@pytest.fixture(scope="module")
def half(tmp_path_factory, whole):
    """The same cell with every second layer in float16."""
    at = Made(shutil.copytree(whole.folder, tmp_path_factory.mktemp("half"), dirs_exist_ok=True))
    for arm in (ANCHOR, ICL, IT, ALONE):
        dump(at, LEVEL, arm, HALF)
    return compare(at)


@pytest.mark.parametrize(
    ("layers", "expected"),
    [
        ("all", [0, 1, 2, 3, 4, 5, 6, 7]),
        ({"every": 1}, [0, 1, 2, 3, 4, 5, 6, 7]),
        ({"every": 3}, [1, 4, 7]),
        ({"every": 99}, [7]),
        ([5, 0], [0, 5, 7]),
        ([7], [7]),
    ],
)
def test_layers_are_chosen_from_the_last(layers, expected):
    assert settings(layers).kept(8) == expected


def test_a_layer_that_a_model_lacks_is_refused():
    with pytest.raises(LayerError, match=r"dump_hidden_states\.layers: the model has layers 0 to 7, and not 8"):
        settings([0, 8]).kept(8)


def test_layers_are_told_shortly():
    assert [told(some) for some in ([0, 1, 2], [0, 2, 4], [3], [3, 4])] == ["0 to 2", "0, 2, 4", "3", "3, 4"]


def test_what_is_kept_are_the_same_states_rounded(whole, half):
    for arm in (ANCHOR, ICL, IT):
        with open_states(whole.states(LEVEL, arm)) as all_of_it, open_states(half.states(LEVEL, arm)) as file:
            assert (all_of_it.layers, file.layers) == ((0, 1, 2, 3), (1, 3))
            for set_id in file.sets:
                for layer in file.layers:
                    rounded = all_of_it.states(set_id, layer).astype(np.float16)
                    assert file.states(set_id, layer).dtype == np.float32
                    assert np.array_equal(file.states(set_id, layer), rounded.astype(np.float32))
        stored = [pq.ParquetFile(at.states(LEVEL, arm)).metadata for at in (whole, half)]
        bytes_of = [
            [
                one.row_group(0).column(i).total_compressed_size
                for i in range(one.num_columns)
                if one.schema.column(i).path.startswith("layer_3")
            ]
            for one in stored
        ]
        assert bytes_of[1][0] < 0.6 * bytes_of[0][0]


def test_noise_has_the_rounding_on_disk_in_it(whole, half):
    """|float16(h_A) - h_alone| / |float16(h) - float16(h_A)| at the last layer, by hand."""
    with (
        open_states(whole.states(LEVEL, ANCHOR)) as anchor,
        open_states(whole.states(LEVEL, ALONE)) as alone,
        open_states(whole.states(LEVEL, ICL)) as icl,
    ):
        exact = alone.states(None, 3).astype(np.float64)
        unrounded = anchor.states(None, 3).astype(np.float64)
        rounded = unrounded.astype(np.float16).astype(np.float64)
        sets = [each.set.id for each in read_sets(whole.sets(LEVEL))]
        shown = [icl.states(one, 3).astype(np.float16).astype(np.float64) for one in sets]
    noise = np.linalg.norm(rounded - exact, axis=1)
    expected = [(noise / np.linalg.norm(one - rounded, axis=1)).mean() for one in shown]
    rows = pq.read_table(half.compared()).to_pandas()
    found = rows[(rows.measure == NOISE.name) & (rows.layer == 3) & (rows.one == ICL.name) & rows.other.isna()]
    assert np.allclose(found.sort_values("draw").value, expected, rtol=1e-5)
    assert noise.min() > 20 * np.linalg.norm(unrounded - exact, axis=1).max()


def test_only_kept_layers_are_compared_and_patched(half, tmp_path):
    rows = pq.read_table(half.compared()).to_pandas()
    assert set(rows.layer.dropna()) == {1, 3}
    patch(half, target=tmp_path / "patched.parquet")
    patched = pq.read_table(tmp_path / "patched.parquet").to_pandas()
    assert set(patched.layer) == {1, 3}
    assert len(patched[patched.layer == 3]) == len(patched) / 2 > DRAWS
    assert set(patched.queries + patched.excluded) == {QUERIES}


def test_states_beyond_float16_are_refused():
    states = np.ones((2, 4, 3), np.float32)
    states[1, 2, 0] = -7e4
    with pytest.raises(StorageError, match=r"layer 2 reach 7e\+04 and float16 holds 65504; set .*storage to float32"):
        kept(states, settings("all", "float16"), exact=False)
    assert kept(states, settings("all", "float16"), exact=True).states.dtype == np.float32
    assert kept(states, settings([1], "float16"), exact=True).layers == [1, 3]


def test_layers_to_keep_and_to_patch_are_checked_before_anything_runs():
    content = yaml.safe_load((ROOT / "params.yaml").read_text())
    for name in ("models", "datasets"):
        content[name] = dict([next(iter(content[name].items()))])
    content["factors"], content["arms"] = {"shots": [1]}, ["anchor", "icl", "it"]
    content["dump_hidden_states"]["layers"] = [0, 9]
    (line,) = check(check_study(content, "params.yaml")).errors
    assert line == "models.pocket: dump_hidden_states.layers: the model has layers 0 to 4, and not 9"
    content["dump_hidden_states"]["layers"] = {"every": 2}
    content["patch_hidden_states"]["layers"] = [1, 4]
    (line,) = check(check_study(content, "params.yaml")).errors
    assert line == "models.pocket: patch_hidden_states.layers: no states of layer 1; there are those of layers 0, 2, 4"
