"""What a GPU computes is what the CPU computes. On the CPU the same tests hold that they can pass."""

import sys
import warnings
from contextlib import contextmanager, nullcontext

import pytest
import torch

from benchmarks import dump
from benchmarks.clock import llama, random_rows
from tests.stage.test_lora import TUNING, random_cases
from workflow_scripts.lib.forward import transfers
from workflow_scripts.lib.forward.allowed import found_ways
from workflow_scripts.lib.forward.budget import FIRST, ON_CPU
from workflow_scripts.lib.forward.reader import LastToken, Reader
from workflow_scripts.lib.lora.apply import with_adapter
from workflow_scripts.lib.lora.config import adapter_config, save_adapter
from workflow_scripts.lib.lora.train import tune
from workflow_scripts.lib.models.load import load_model
from workflow_scripts.lib.models.sources import LocalModel, PrepareModel
from workflow_scripts.lib.models.split import split
from workflow_scripts.lib.pocket.model import tokenizer
from workflow_scripts.prepare_model import prepare_model

gpu = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")]
pytestmark = pytest.mark.stage
LABELS = [[50], [60, 61]]
QUERIES = random_rows(40, 3, 45, 300, 1)
(PREFIX,) = random_rows(1, 300, 300, 300, 2)


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=gpu)])
def device(request):
    torch.set_float32_matmul_precision("highest")  # as load_model does: no TF32
    return request.param


def read(device, adapter=None, prefix=PREFIX):
    model = llama(256, 4, 300, device)
    reader = Reader(model, LABELS, tokens_per_batch="auto")
    if adapter is None:
        return reader.read(prefix, QUERIES)
    with with_adapter(model, adapter):
        return reader.read(prefix, QUERIES)


def by_parts(device):
    return split(llama(256, 4, 300).bfloat16().float(), torch.bfloat16).to(device)


def test_products_by_parts_are_those_of_the_cpu(device):
    found, expected, exact = (
        Reader(model, LABELS, tokens_per_batch="auto").read(PREFIX, QUERIES)
        for model in (by_parts(device), by_parts("cpu"), by_parts("cpu").float())
    )
    assert same(found.states, expected.states)
    assert same(found.states, exact.states)
    assert not torch.equal(found.states, exact.states)


def same(one, other):
    """Within 1e-4 of each state's norm."""
    return bool(((one - other).norm(dim=-1) <= 1e-4 * other.norm(dim=-1)).all())


def test_states_are_those_of_the_cpu(device):
    found, expected = read(device), read("cpu")
    assert same(found.states, expected.states)
    assert torch.allclose(found.label_log_probs, expected.label_log_probs, atol=1e-3)
    assert torch.equal(found.top_token, expected.top_token)


def test_adapters_are_those_of_the_cpu_and_so_are_states_through_them(device, tmp_path):
    (case,), whole = random_cases((3,)), TUNING.model_copy(update={"tf32": False})
    (found,), (expected,) = (list(tune(llama(256, 4, 300, d), [case], whole)) for d in (device, "cpu"))
    assert found.losses == pytest.approx(expected.losses, rel=1e-3)
    save_adapter(expected, adapter_config(llama(256, 4, 300), TUNING), tmp_path / "a")
    assert same(read(device, tmp_path / "a", []).states, read("cpu", tmp_path / "a", []).states)


def test_the_budget_is_that_of_the_device(device):
    reader = Reader(llama(256, 4, 300, device), LABELS, tokens_per_batch="auto")
    for _ in range(3):
        reader.read(PREFIX, QUERIES * 8)
    assert reader.budget.tokens == ON_CPU if device == "cpu" else reader.budget.tokens >= FIRST


def test_a_prefix_is_shared_where_products_are_in_tf32(device):
    torch.set_float32_matmul_precision("high")
    try:
        ways = found_ways(llama(256, 4, 300, device))
    finally:
        torch.set_float32_matmul_precision("highest")
    assert ways.sharing
    assert ways.folding


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=gpu)])
def test_throughput_and_share_of_the_floor_are_printed(device, capsys):
    sizes = ["--d-model", "128", "--layers", "2", "--vocabulary", "500", "--queries", "8", "--usual-queries", "2"]
    options = dump.flags(None).parse_args(sizes if device == "cpu" else [])
    assert dump.compare(options, device) < 1e-3
    printed = capsys.readouterr().out
    assert "share of the floor" in printed
    with capsys.disabled() if device != "cpu" else nullcontext():
        sys.stdout.write(f"\n{printed}")


def answered(device):
    """Scores of answers, and what is written."""
    reader = Reader(llama(256, 4, 300, device), [], tokens_per_batch="auto")
    answers = random_rows(len(QUERIES), 1, 9, 300, 3)
    return reader.score(PREFIX, QUERIES, answers), reader.write(PREFIX, QUERIES, lambda text: text[-1] < 30, most=12)


def test_answers_are_scored_and_written_the_same(device):
    (scores, texts), (expected, written) = answered(device), answered("cpu")
    assert torch.allclose(scores, expected, atol=1e-3)
    assert len({len(text) for text in written}) > 1
    assert texts == written


@pytest.fixture
def prepared_half(tmp_path):
    """A model whose checkpoint is stored in bfloat16, and its weights."""
    model = llama(256, 4, len(tokenizer())).bfloat16()
    model.save_pretrained(tmp_path / "checkpoint")
    tokenizer().save_pretrained(tmp_path / "checkpoint")
    source, how = LocalModel(source="local", path=tmp_path / "checkpoint"), PrepareModel.model_construct()
    prepare_model(source=source, settings=how, model=tmp_path / "prepared")
    return tmp_path / "prepared", model.state_dict()


def test_weights_that_travel_in_16_bits_are_those_of_the_checkpoint(device, prepared_half):
    folder, stored = prepared_half
    loaded = load_model(folder, device=device).model.state_dict()
    assert [*loaded] == [*stored]
    for name, one in stored.items():
        assert loaded[name].device.type == device
        assert torch.equal(loaded[name].cpu(), one.float()), name


def test_copies_beside_the_next_batch_are_those_that_wait(device, monkeypatch):
    reader = Reader(llama(256, 4, 300, device), LABELS, tokens_per_batch=64)
    beside = reader.read(PREFIX, QUERIES), reader.score(PREFIX, QUERIES, [[60, 61]] * len(QUERIES))
    monkeypatch.setattr(transfers, "AHEAD", 0)
    waiting = reader.read(PREFIX, QUERIES), reader.score(PREFIX, QUERIES, [[60, 61]] * len(QUERIES))
    assert torch.equal(beside[1], waiting[1])
    for name in LastToken.__annotations__:
        assert torch.equal(getattr(beside[0], name), getattr(waiting[0], name)), name


def test_a_batch_more_is_no_more_waiting(device):
    """torch warns of every call that waits for a GPU."""
    reader, waits = Reader(llama(256, 4, 300, device), LABELS[:1], tokens_per_batch=64), {}
    for queries in (QUERIES[:1], QUERIES):
        reader.read(PREFIX, queries)
        with warnings.catch_warnings(record=True) as told, waits_told(device):
            warnings.simplefilter("always")
            reader.read(PREFIX, queries)
        waits[len(queries)] = sum("synchroniz" in str(one.message) for one in told)
    assert waits[1] == waits[len(QUERIES)], waits


@contextmanager
def waits_told(device):
    if device == "cpu":
        yield
        return
    torch.cuda.set_sync_debug_mode("warn")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")
