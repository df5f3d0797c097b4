"""LoRA adapters side by side on one frozen base: their matrices are stacked, every row of a batch has its own."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from transformers import PreTrainedModel

from workflow_scripts.lib.errors import StudyError
from workflow_scripts.lib.lora.batches import Batch
from workflow_scripts.lib.lora.files import matrices


class StackError(StudyError):
    """A module that mixes the rows of a batch or is no matrix product, so that rows cannot have their own adapters."""


@contextmanager
def frozen(base: PreTrainedModel) -> Iterator[None]:
    """Within the block no parameter of the base gets a gradient."""
    trained = [parameter for parameter in base.parameters() if parameter.requires_grad]
    for parameter in trained:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in trained:
            parameter.requires_grad_(True)


class Stack:
    """Trainable A [adapter, r, d_in] and B [adapter, d_out, r] of every adapted module, under peft's names."""

    def __init__(self, base: PreTrainedModel, fresh: Sequence[dict[str, Tensor]], scale: float) -> None:
        """`fresh` holds the tensors of every adapter; `scale` is alpha / r."""
        self.base, self.scale, self.count = base, scale, len(fresh)
        self.weights = {name: torch.stack([one[name] for one in fresh]) for name in fresh[0]}
        for name, both in matrices(self.weights).items():
            for tensor in both:
                tensor.data = tensor.data.to(next(base.get_submodule(name).parameters()).device)
                tensor.requires_grad_()
        self.batch: Batch | None = None

    @contextmanager
    def attached(self) -> Iterator[None]:
        """Within the block every row of a batch runs through its adapter, and only adapters get gradients."""
        with ExitStack() as exits:
            exits.enter_context(frozen(self.base))
            for name, (a, b) in matrices(self.weights).items():
                module = self.base.get_submodule(name)
                exits.callback(module.register_forward_hook(self._hook(name, a, b)).remove)
            yield

    def losses(self, batch: Batch, backward: bool = False) -> Float[Tensor, " adapter"]:
        """A batch's share of every adapter's loss; with `backward`, gradients are added up as well."""
        self.batch = batch
        shares = batch.losses(self.base) * batch.weights
        if backward:
            shares.sum().backward()
        return shares.new_zeros(self.count).index_add(0, batch.owners, shares.detach())

    def clip(self, limit: float) -> Float[Tensor, " adapter"]:
        """Scale every adapter's gradient to at most this norm, as clip_grad_norm_ for it alone; the norms before."""
        gradients = [tensor.grad for tensor in self.weights.values() if tensor.grad is not None]
        norms = torch.stack([one.flatten(1).norm(dim=1).to(self.base.device) for one in gradients]).norm(dim=0)
        factors = (limit / (norms + 1e-6)).clamp(max=1)
        for one in gradients:
            one.mul_(factors.to(one).view(-1, 1, 1))
        return norms

    def adapter(self, number: int) -> dict[str, Tensor]:
        """One adapter's tensors, on the CPU."""
        return {name: tensor[number].detach().cpu().clone() for name, tensor in self.weights.items()}

    def _hook(self, name: str, a: Tensor, b: Tensor) -> Callable[..., Tensor]:
        def add(_: nn.Module, args: tuple[Tensor], output: Any) -> Tensor:
            if not isinstance(output, Tensor):
                raise StackError(f"{name} puts out more than a matrix product")
            hidden, owners = self._by_owner(name, args[0])
            owners = owners.to(a.device)
            low = hidden.to(a) @ a.index_select(0, owners).mT
            total = output.reshape(*hidden.shape[:2], -1).to(a.dtype)
            total = torch.baddbmm(total, low, b.index_select(0, owners).mT, alpha=self.scale)
            return total.view_as(output).to(output.dtype)

        return add

    def _by_owner(self, name: str, hidden: Tensor) -> tuple[Float[Tensor, "owned token d_in"], Int[Tensor, " owned"]]:
        """What a module was given, cut so that every piece has one adapter, and the adapters of the pieces."""
        assert self.batch is not None
        rows, columns = self.batch.ids.shape
        if hidden.shape[:-1] == (rows, columns):
            return hidden, self.batch.adapters
        if hidden.shape[:-1] == (rows * columns,):  # OPT flattens batches before its feed-forward layers
            return hidden.view(rows, columns, -1), self.batch.adapters
        if self.base.get_submodule(name) is self.base.get_output_embeddings():
            return hidden.unsqueeze(1), self.batch.owners
        raise StackError(f"{name} mixes the rows of a batch: its input is {list(hidden.shape)}")
