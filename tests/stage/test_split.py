"""Products by parts: their bound, states held against float64, adapters on top, and how models come to them."""

from collections import Counter
from copy import deepcopy

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.utils._python_dispatch import TorchDispatchMode

from tests import reference
from tests.cell import Made, make
from tests.stage.test_lora import TUNING, random_cases
from tests.stage.test_models import prepared
from workflow_scripts.lib.artifacts.states import open_states
from workflow_scripts.lib.forward.allowed import found_ways
from workflow_scripts.lib.forward.reader import Reader
from workflow_scripts.lib.lora.apply import with_adapter
from workflow_scripts.lib.lora.config import adapter_config, save_adapter
from workflow_scripts.lib.lora.train import tune
from workflow_scripts.lib.models import split as split_module
from workflow_scripts.lib.models.about import read_about
from workflow_scripts.lib.models.files import ModelError
from workflow_scripts.lib.models.sources import LocalModel
from workflow_scripts.lib.models.split import (
    HALF,
    LARGEST,
    _parts,
    _scale,
    product_by_parts,
    split,
    split_sum,
    splits,
    whole,
)
from workflow_scripts.lib.models.stored_halves import only_half_of
from workflow_scripts.lib.models.weights import trained_model
from workflow_scripts.lib.tuning.deltas import with_deltas
from workflow_scripts.lib.tuning.full import save_deltas

pytestmark = pytest.mark.stage
UNIT = 2.0**-24  # of float32: what a sum is rounded by, relative to its terms
PREFIX, QUERIES = [5, 9, 30, 31, 32, 33], [[40, 41, 42], [50, 51], [60, 61, 62, 63]]


def drawn(dtype, rows=64, d_in=300, d_out=200):
    """Activations of very unequal sizes, one of them in thousands and a row of zeros, and a matrix."""
    torch.manual_seed(0)
    x = torch.randn(rows, d_in) * torch.randn(d_in).mul(3).exp()
    x[:, 7], x[1], x[2] = 5e3, 0, x[2] * 1e-30
    return x, (torch.randn(d_in, d_out) / d_in**0.5).to(dtype)


@pytest.mark.parametrize("parts", [1, 2, 3])
@pytest.mark.parametrize("dtype", HALF)
def test_parts_are_what_is_left_each_rounded_and_no_more_is_computed(dtype, parts):
    x, _ = drawn(dtype)
    with Counted() as counted:
        found = _parts(x, dtype, parts)
    left = x.double()
    for one in found:
        assert torch.equal(one, left.to(dtype))
        left = left - one.double()
    assert (counted.ran["copy_"], counted.ran["sub"]) == (parts, parts - 1)


class Counted(TorchDispatchMode):
    """How often which operation ran."""

    def __init__(self):
        super().__init__()
        self.ran = Counter()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.ran[func.overloadpacket.__name__] += 1
        return func(*args, **(kwargs or {}))


def test_rows_of_float16_are_scaled_to_below_its_largest_number():
    x, _ = drawn(torch.float16)
    scaled = (x * _scale(x)).abs().amax(-1)
    assert torch.equal(_scale(x).frexp().mantissa, torch.full((len(x), 1), 0.5))
    assert (scaled[x.any(-1)] < 2**LARGEST).all()
    assert (scaled[x.any(-1)] >= 2 ** (LARGEST - 1)).all()
    assert torch.equal(_scale(-x), _scale(x))


@pytest.mark.parametrize("parts", [1, 2, 3])
@pytest.mark.parametrize("dtype", HALF)
def test_every_number_of_a_product_is_within_the_bound(dtype, parts):
    x, matrix = drawn(dtype)
    error = (product_by_parts(x, matrix, parts).double() - x.double() @ matrix.double()).abs()
    terms = x.double().abs() @ matrix.double().abs()
    of_sums = (len(matrix) + parts) * UNIT
    assert (error <= (split_sum(parts, dtype) + of_sums) * terms).all()
    if parts == 1:  # the bound is no loose one: without the sums' share it is reached by a tenth
        assert (error / terms).nan_to_num().max() > split_sum(1, dtype) / 10


@pytest.mark.parametrize("dtype", HALF)
def test_the_way_back_is_that_of_the_whole_product(dtype):
    x, matrix = drawn(dtype)
    ways = []
    for product in (product_by_parts, lambda x, matrix: x @ matrix.float()):
        own = x.clone().requires_grad_()
        product(own, matrix).square().sum().backward()
        ways.append(own.grad)
    assert (ways[0] - ways[1]).norm() < 1e-4 * ways[1].norm()


def stored(model, dtype):
    """The model as it is read from a checkpoint in 16 bits: its float32 holds such numbers alone."""
    return deepcopy(model).to(dtype).float()


def states(model, adapter=None):
    reader = Reader(model, [[3], [4, 5]], tokens_per_batch=64)
    if adapter is None:
        return reader.read(PREFIX, QUERIES).states.double()
    with with_adapter(model, adapter):
        return reader.read(PREFIX, QUERIES).states.double()


def truth(model, adapter=None):
    """States of whole prompts in float64, as transformers gives them."""
    exact = deepcopy(model).double()
    if adapter is None:
        return torch.stack([reference.alone(exact, PREFIX + ids)[0] for ids in QUERIES])
    with with_adapter(exact, adapter):
        return torch.stack([reference.alone(exact, PREFIX + ids)[0] for ids in QUERIES])


def error(found, expected):
    """Of blocks' outputs, the largest relative to its state; embeddings are looked up."""
    return ((found - expected).norm(dim=-1) / expected.norm(dim=-1))[:, 1:].max().item()


@pytest.mark.parametrize("dtype", HALF)
def test_states_are_a_hundred_times_nearer_to_float64_than_in_16_bits(tiny_model, dtype):
    model = stored(tiny_model, dtype)
    parted, plain = split(deepcopy(model), dtype), deepcopy(model).to(dtype)
    assert found_ways(parted) == found_ways(model)
    expected, embeddings = truth(model), states(parted)[:, 0]
    by_parts = error(states(parted), expected)
    assert by_parts < 4 * split_sum(2, dtype) * 3  # three blocks, each with four products one after the other
    assert by_parts < error(states(plain), expected) / 100
    assert torch.equal(embeddings, states(model)[:, 0])
    whole = states(parted.float())  # in float32 again, it is the model that it was made of
    assert torch.equal(whole, states(model))


def test_adapters_stand_on_top_in_float32(tiny_model, tmp_path):
    model = stored(tiny_model, torch.bfloat16)
    parted = split(deepcopy(model), torch.bfloat16)
    cases = random_cases((3, 4))
    found, expected = ([*tune(one, cases, TUNING)] for one in (parted, model))
    for one, other in zip(found, expected, strict=True):
        assert one.losses == pytest.approx(other.losses, rel=1e-3)
        assert one.moved
    save_adapter(found[0], adapter_config(parted, TUNING), tmp_path / "a")
    expected, plain = truth(model, tmp_path / "a"), deepcopy(model).bfloat16()
    assert error(expected, truth(model)) > 1e-2
    assert error(states(parted, tmp_path / "a"), expected) < error(states(plain, tmp_path / "a"), expected) / 100


def test_changes_of_all_weights_are_added_in_float32(tiny_model, tmp_path):
    model = stored(tiny_model, torch.bfloat16)
    parted = split(deepcopy(model), torch.bfloat16)
    torch.manual_seed(1)
    save_deltas({name: torch.randn_like(one) * 1e-5 for name, one in model.named_parameters()}, tmp_path / "d")
    before = states(parted)
    with with_deltas(model, tmp_path / "d"), with_deltas(parted, tmp_path / "d"):
        assert not splits(parted)
        assert torch.equal(states(parted), states(model))
    assert splits(parted)
    assert torch.equal(states(parted), before)


@pytest.fixture(params=HALF, ids=str)
def half_folder(request, tiny_folder, tmp_path):
    """A checkpoint whose matrices are stored in 16 bits, and norms in float32."""
    folder = tmp_path / "half"
    folder.mkdir()
    for path in tiny_folder.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    kept = {name: one.to(request.param) if one.dim() > 1 else one for name, one in weights_of(folder).items()}
    save_file(kept, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def weights_of(folder):
    return load_file(folder / "model.safetensors")


def test_a_checkpoint_of_16_bits_stays_as_it_is_stored(half_folder, tmp_path):
    loaded = prepared(tmp_path / "m", LocalModel(source="local", path=half_folder, precision="split"))
    parameters, on_disk = dict(loaded.model.named_parameters()), weights_of(half_folder)
    modules = splits(loaded.model)
    assert len(modules) == 3 * 7  # of each block
    for name, one in on_disk.items():
        assert torch.equal(parameters[name].double(), one.double()), name
        by_parts = name.removesuffix(".weight") in modules
        assert parameters[name].dtype == (one.dtype if by_parts else torch.float32), name
    assert (loaded.precision, loaded.model.dtype, type(loaded.model).__name__) == (
        "split",
        torch.float32,
        "LlamaForCausalLM",
    )
    assert read_about(tmp_path / "m").text.endswith("their products by parts (`precision: split`)")


def test_weights_become_float32_where_they_are_and_are_the_same(half_folder, monkeypatch):
    """As on a GPU: what travels there has 16 bits, if all of the checkpoint has."""
    halves = {name: one.to(stored_half(half_folder)) for name, one in weights_of(half_folder).items()}
    how = {"allow_pickle": False, "dtype": torch.float32, "device_map": {"": "cpu"}}
    came = []
    monkeypatch.setattr(split_module, "whole", lambda model: came.append(len(splits(model))) or whole(model))
    for stored in (weights_of(half_folder), halves):
        save_file(stored, half_folder / "model.safetensors", metadata={"format": "pt"})
        plain, wide = (trained_model(half_folder, narrow=narrow, **how) for narrow in (False, True))
        assert [*wide.state_dict()] == [*plain.state_dict()]
        for name, one in plain.state_dict().items():
            assert one.dtype == wide.state_dict()[name].dtype == torch.float32
            assert torch.equal(one, wide.state_dict()[name]), name
        assert list(map(type, wide.modules())) == list(map(type, plain.modules()))
    assert came == [0, 0, 0, 3 * 7], "norms in float32 would be rounded, so there all are read as float32"


def stored_half(folder):
    return next(one.dtype for one in weights_of(folder).values() if one.dtype in HALF)


def test_only_a_checkpoint_of_one_type_of_16_bits_travels_as_it_is():
    found = [only_half_of(dict(enumerate(kinds))) for kinds in (["BF16"] * 2, ["F16"], ["BF16", "F32"], ["F32"], [])]
    assert found == [torch.bfloat16, torch.float16, None, None, None]


def test_what_would_be_rounded_is_refused(tiny_folder, half_folder, tmp_path):
    with pytest.raises(ModelError, match=r"needs weights in bfloat16 or float16, and none is; leave `precision` out"):
        prepared(tmp_path / "m", LocalModel(source="local", path=tiny_folder, precision="split"))
    name = "model.layers.1.mlp.up_proj.weight"
    weights = weights_of(half_folder)
    save_file(weights | {name: weights[name].float()}, half_folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match=rf"{name} is stored in F32 and most weights in B?F16, to which"):
        prepared(tmp_path / "m", LocalModel(source="local", path=half_folder, precision="split"))


@pytest.mark.parametrize("untrained", [True, "blocks"])
def test_what_is_drawn_is_drawn_in_16_bits(half_folder, tmp_path, untrained):
    source = LocalModel(source="local", path=half_folder, precision="split", untrained=untrained)
    assert len(splits(prepared(tmp_path / "m", source).model)) == 3 * 7


def test_settings_that_contradict_are_told():
    with pytest.raises(ValueError, match="split keeps weights as stored, and computes in float32; leave out dtype"):
        LocalModel(source="local", path="m", precision="split", dtype="bfloat16")


def test_a_cell_measures_the_noise_of_its_parts(half_folder, tmp_path):
    source = LocalModel(source="local", path=half_folder, precision="split")
    made = make(Made(tmp_path / "cell"), source, arms=("anchor",), repeats=("anchor-float32",))

    def read(arm):
        said = str(pq.read_schema(made.states("reference", arm)).metadata)
        with open_states(made.states("reference", arm)) as file:
            return np.stack([file.states(None, layer) for layer in file.layers]), said

    (anchor, said), (exact, of_exact) = map(read, ("anchor", "anchor-float32"))
    apart = np.linalg.norm(anchor - exact, axis=-1) / np.linalg.norm(exact, axis=-1)
    assert '"precision": "split"' in said
    assert '"precision": "float32"' in of_exact
    assert not apart[0].any()
    assert 0 < apart[1:].mean() < 1e-4
