"""GPUs by name: memory, how fast they multiply, and what the engine reaches of that (docs/performance.md)."""

import time
from typing import Literal, NamedTuple

import torch

from workflow_scripts.lib.errors import StudyError

Work = Literal["read", "tune"]
Arithmetic = Literal["float32", "half", "split"]


class CardError(StudyError):
    """A GPU that is not in the list."""


class Card(NamedTuple):
    """A GPU by its data sheet: GB of memory; TFLOP/s of dense products in float32 (no TF32), in 16 bits."""

    name: str
    gigabytes: float
    float32: float
    half: float

    @property
    def bytes(self) -> float:
        """What there is for a process; the driver and its context take some."""
        return 0.97 * self.gigabytes * 1e9

    def rate(self, arithmetic: Arithmetic, work: Work) -> float:
        """FLOP/s that the engine is expected to reach; by parts, each product counts once."""
        sheet = self.float32 if arithmetic == "float32" else self.half
        return REACHED[arithmetic, work] * sheet * 1e12


# Data sheets of the SXM cards where there are several: products without sparsity, float32 accumulation.
CARDS = (
    Card("H200", 141, 67, 989),
    Card("H100", 80, 67, 989),
    Card("A100-80GB", 80, 19.5, 312),
    Card("A100-40GB", 40, 19.5, 312),
    Card("L40S", 48, 91.6, 362),
    Card("A10", 24, 31.2, 125),
    Card("L4", 24, 30.3, 121),
    Card("V100", 32, 15.7, 125),
    Card("T4", 16, 8.1, 65),
    Card("RTX-4090", 24, 82.6, 165),
    Card("RTX-3090", 24, 35.6, 71),
)
# Of the data sheet's rate, at 7B: 636 + 200 x 33 tokens read in 2.9 s (bfloat16 .48 s, split .92 s), a step of 8,882
# tokens tuned in 5.5 s (bfloat16 .77 s, split 1.55 s). Small models reach less, which `PASS` tells.
REACHED: dict[tuple[Arithmetic, Work], float] = {
    ("float32", "read"): 0.49,
    ("half", "read"): 0.20,
    ("float32", "tune"): 0.64,
    ("half", "tune"): 0.31,
    ("split", "read"): 0.10,
    ("split", "tune"): 0.15,
}
OF_SHEET = 0.75  # what one large product reaches of it: 51 of 67 TFLOP/s in float32 there, 730 of 989 in bfloat16
PASS = 1e-3  # seconds that a block takes at least, forward: launches and hooks (58M: 3 passes of 12 blocks in .07 s)
START = 12.0  # seconds of a job on a GPU before it loads a model: imports, CUDA's context
SIDE, ROUNDS = 8192, 10  # of the products that tell a GPU's speed
LOADED = 2.5e9  # bytes a second from a warm disk to a GPU


def card_here() -> Card | None:
    """The GPU of this machine, its speed from products of a second; None where there is none."""
    if not torch.cuda.is_available():
        return None
    torch.set_float32_matmul_precision("highest")
    properties = torch.cuda.get_device_properties(0)
    rates = [_product(dtype) / OF_SHEET / 1e12 for dtype in (torch.float32, torch.bfloat16)]
    return Card(properties.name, round(properties.total_memory / 1e9, 1), *rates)


def _product(dtype: torch.dtype) -> float:
    """FLOP/s of a product of two square matrices."""
    one = torch.ones(SIDE, SIDE, dtype=dtype, device="cuda")
    for timed in (False, True):  # the first finds the kernel
        torch.cuda.synchronize()
        started = time.perf_counter()
        for _ in range(ROUNDS if timed else 1):
            one @ one
        torch.cuda.synchronize()
    return 2.0 * SIDE**3 * ROUNDS / (time.perf_counter() - started)


def card_named(name: str) -> Card:
    """A card by its name, whatever its case; CardError where it is unknown."""
    found = next((card for card in CARDS if card.name.lower() == name.lower()), None)
    if found is None:
        raise CardError(f"--gpu {name}: unknown; known are {', '.join(card.name for card in CARDS)}")
    return found
