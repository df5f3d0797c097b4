"""Equal up to rounding: how far apart two right ways to the same numbers may be, in a model's arithmetic.

Some arithmetic is coarser than the type of its numbers: with TF32, products of float32 have ten bits. So what a product
rounds off is measured, and so is what a whole prompt's states do when every product in the model is off by as much.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

Read = tuple[Float[Tensor, "*token layer d_model"], Float[Tensor, "*token vocabulary"]]  # states and logits
PRODUCTS = {
    torch.nn.functional.linear,
    torch.nn.functional.scaled_dot_product_attention,
    torch.matmul,
    torch.bmm,
    torch.addmm,
    Tensor.matmul,
    Tensor.__matmul__,
}
CHANCE = 8.0  # one draw of rounding, and ways that differ in more than one of them
MOST = 0.25  # of a vector's norm: further apart, nothing could be told


class Rounding(NamedTuple):
    """The distances, relative to a vector's norm, that rounding explains: of states, and of logits.

    exact: Products are exact to the last bits of float32.
    """

    states: float
    logits: float
    exact: bool

    def agree(self, read: Sequence[Tensor], expected: Sequence[Tensor]) -> bool:
        """Are states and logits equal up to rounding."""
        return _same(read[0], expected[0], self.states) and self.same_logits(read[1], expected[1])

    def same_logits(self, read: Tensor, expected: Tensor) -> bool:
        """Are logits equal up to rounding."""
        return _same(read, expected, self.logits)


def measured(
    dtype: torch.dtype, device: torch.device, run: Callable[[], Read], *, stated: float | None = None
) -> Rounding:
    """The rounding of what `run` reads: at least the root of the type's precision, or of the one that is stated.

    Where torch's products are exact to the last bits of float32 it is no more; a coarser product is put into every
    product of a second run, and what that moves is an eighth of what is allowed, and that is never more than a quarter.
    """
    fine, eps = torch.finfo(torch.float32).eps, stated or torch.finfo(dtype).eps
    least, off = eps**0.5, _off(dtype, device)
    if off < 8 * fine:
        return Rounding(least, least, exact=eps <= fine)
    usual = run()
    with _Off(off):
        moved = [distance(one, other).amax().item() for one, other in zip(run(), usual, strict=True)]
    states, logits = (min(max(least, CHANCE * far), MOST) for far in moved)
    return Rounding(states, logits, exact=False)


def _same(values: Tensor, expected: Tensor, bound: float) -> bool:
    return values.shape == expected.shape and not differ(values, expected, bound).any()


def differ(values: Float[Tensor, "*more d"], expected: Float[Tensor, "*more d"], bound: float) -> Bool[Tensor, "*more"]:
    """Vectors further apart than a bound, relative to their norm."""
    return ~(distance(values, expected) <= bound)


def distance(values: Float[Tensor, "*more d"], expected: Float[Tensor, "*more d"]) -> Float[Tensor, "*more"]:
    """How far apart vectors are, relative to their norm; 0 for equal ones."""
    # Some models mask logits of tokens that they never give.
    values, expected = (one.double().nan_to_num(nan=torch.nan, posinf=0, neginf=0) for one in (values, expected))
    apart = (values - expected).norm(dim=-1)
    return torch.where(apart == 0, apart, apart / expected.norm(dim=-1))


def _off(dtype: torch.dtype, device: torch.device) -> float:
    """By how much a product of this type is off on this device, relative to what it is."""
    draw = torch.Generator().manual_seed(0)
    rows, weights = (torch.randn(128, 128, generator=draw).to(device, dtype) for _ in range(2))
    product = nn.functional.linear(rows, weights)
    return distance(product, rows.double() @ weights.double().T).square().mean().sqrt().item()


class _Off(TorchFunctionMode):
    """Within it every product is off by a random share of itself, as often up as down."""

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share
        self.draws: dict[torch.device, torch.Generator] = {}

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if func not in PRODUCTS:
            return result
        draw = self.draws.setdefault(result.device, torch.Generator(result.device).manual_seed(0))
        noise = torch.randn(result.shape, generator=draw, device=result.device, dtype=torch.float32)
        return (result + self.share * noise * result).to(result.dtype)
