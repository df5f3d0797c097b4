"""Products of float32 activations with weights of 16 bits, by parts, at the speed of 16-bit products.

A weight that is stored in bfloat16 or float16 needs no more. An activation does: x = x0 + x1 + ..., each part the
16-bit number next to what is left. A product of two such numbers is exact in float32, where all are summed up:
W x = W x0 + W x1 + ... docs/design.md (Split) derives the bound on what is left out.
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

PARTS = 2
HALF = (torch.bfloat16, torch.float16)
LARGEST = 15  # float16 holds up to 2^16: its rows are scaled to below 2^15, by a power of two, which is exact
SMALLEST_EXPONENT = -100  # of a row: what is scaled by more than 2^115 is next to nothing


def split_sum(parts: int, dtype: torch.dtype) -> float:
    """By how much a number and the sum of its parts differ at most, relative to it: 2^-8 a part, in float16 2^-11."""
    return float((torch.finfo(dtype).eps / 2) ** parts)


def product_by_parts(
    x: Float[Tensor, "*more d_in"], matrix: Float[Tensor, "d_in d_out"], parts: int = PARTS
) -> Float[Tensor, "*more d_out"]:
    """The product of float32 activations and a bfloat16 or float16 matrix, in float32; gradients go to x alone."""
    product: Tensor = _ByParts.apply(x, matrix, parts)
    return product


class _ByParts(torch.autograd.Function):
    """The product and, for a matrix that gets no gradient, its way back: the same with the matrix transposed."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, matrix: Tensor, parts: int) -> Tensor:
        ctx.save_for_backward(matrix)
        ctx.parts = parts
        return _product(x, matrix, parts)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        (matrix,) = ctx.saved_tensors
        return _product(gradients[0], matrix.mT, ctx.parts), None, None


def _product(x: Tensor, matrix: Tensor, parts: int) -> Tensor:
    rows = x.reshape(-1, x.shape[-1])
    scale = _scale(rows) if matrix.dtype == torch.float16 else None
    stacked = _parts(rows if scale is None else rows * scale, matrix.dtype, parts)
    summed = _multiplied(stacked.flatten(0, 1), matrix).view(parts, len(rows), -1).sum(0)
    return (summed if scale is None else summed.div_(scale)).view(*x.shape[:-1], -1)


def _parts(rows: Float[Tensor, "row d_in"], dtype: torch.dtype, parts: int) -> Float[Tensor, "part row d_in"]:
    """Numbers of 16 bits whose sum over parts is `rows`, as far as so many parts hold it."""
    found, left = torch.empty(parts, *rows.shape, dtype=dtype, device=rows.device), rows
    found[0] = left
    for part in range(1, parts):
        left = left - found[part - 1]
        found[part] = left
    return found


def _scale(rows: Float[Tensor, "row d_in"]) -> Float[Tensor, "row 1"]:
    """Powers of two that bring the largest number of each row to between 2^14 and 2^15."""
    _, exponent = torch.frexp(rows.abs().amax(-1, keepdim=True))
    return torch.exp2((LARGEST - exponent.clamp(min=SMALLEST_EXPONENT)).to(rows))


def _multiplied(x: Float[Tensor, "row d_in"], matrix: Float[Tensor, "d_in d_out"]) -> Float[Tensor, "row d_out"]:
    """The product of two 16-bit matrices in float32; only NVIDIA's GPUs have one, elsewhere both are put in float32."""
    if x.is_cuda and torch.version.cuda:
        return torch.mm(x, matrix, out_dtype=torch.float32)
    return x.float() @ matrix.float()


class SplitLinear(nn.Linear):
    """A linear module whose weight has 16 bits; with one of its input's precision it is torch's own."""

    def forward(self, input: Tensor) -> Tensor:
        """[*, d_in] -> [*, d_out]."""
        if self.weight.dtype == input.dtype:
            return super().forward(input)
        product = product_by_parts(input, self.weight.mT)
        return product if self.bias is None else product + self.bias


class SplitConv1D(Conv1D):
    """The same of GPT-2's linear module, whose weight is [d_in, d_out]."""

    def forward(self, x: Tensor) -> Tensor:
        """[*, d_in] -> [*, d_out]."""
        if self.weight.dtype == x.dtype:
            return super().forward(x)
        return product_by_parts(x, self.weight) + self.bias


# By the very class: what else is derived from these may do more than a product.
BY_PARTS: dict[type[nn.Module], type[nn.Module]] = {nn.Linear: SplitLinear, Conv1D: SplitConv1D}


def split(model: PreTrainedModel, dtype: torch.dtype) -> PreTrainedModel:
    """Put the weights of a float32 model's linear modules into `dtype`, and multiply with them by parts; `model`.

    All else stays float32, the LM head among it: it runs at few tokens, and may be tied to the embeddings.
    """
    head = model.get_output_embeddings()
    for module in model.modules():
        if type(module) in BY_PARTS and module is not head:
            module.__class__ = BY_PARTS[type(module)]
            weight: Any = module.weight
            module.weight = nn.Parameter(weight.data.to(dtype), requires_grad=weight.requires_grad)
    return model


def whole(model: PreTrainedModel) -> PreTrainedModel:
    """Put split weights into float32 where they are, which is exact, one after the other; `model`, as never split."""
    back = {kind: plain for plain, kind in BY_PARTS.items()}
    for module in model.modules():
        if type(module) in back:
            weight: Any = module.weight
            weight.data = weight.data.float()
            module.__class__ = back[type(module)]
    return model


def splits(model: PreTrainedModel) -> dict[str, torch.dtype]:
    """Modules that multiply by parts, and the types of their weights; none where the model has one precision."""
    some = [(name, one) for name, one in model.named_modules() if isinstance(one, SplitLinear | SplitConv1D)]
    return {name: one.weight.dtype for name, one in some if one.weight.dtype in HALF}


def rounding(model: PreTrainedModel) -> float:
    """The unit in the last place of what a model's products are made of, relative: 2^-23 in float32."""
    of_parts = (2 * split_sum(PARTS, dtype) for dtype in {*splits(model).values()})
    return max([float(torch.finfo(model.dtype).eps), *of_parts])
