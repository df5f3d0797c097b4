"""Tuning in TF32: around steps alone, and on GPUs alone."""

from types import SimpleNamespace

import pytest
import torch

from workflow_scripts.lib.lora.tf32 import in_tf32


@pytest.fixture(autouse=True)
def full():
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    yield
    torch.set_float32_matmul_precision(before)


@pytest.mark.parametrize(
    ("device", "asked", "within"), [("cuda", True, "high"), ("cuda", False, "highest"), ("cpu", True, "highest")]
)
def test_products_are_coarser_within_the_block_alone(device, asked, within):
    model = SimpleNamespace(device=torch.device(device))
    with in_tf32(model, SimpleNamespace(tf32=asked)):
        assert torch.get_float32_matmul_precision() == within
    assert torch.get_float32_matmul_precision() == "highest"
