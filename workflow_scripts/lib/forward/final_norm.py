"""What the final norm makes of directions: by which a state that it has yet to scale is read.

A final norm is z = gain * c(h) / scale(h) + shift, where c(h) is h (RMSNorm) or h less its mean (LayerNorm). So a row w
of the LM head reads of h, but for its scale, what gain * w (less its mean) reads of it.
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from transformers import PreTrainedModel

from workflow_scripts.lib.forward.taps import removed
from workflow_scripts.lib.models.blocks import decoder_blocks

TOLERANCE = 0.02


@torch.inference_mode()
def before_final_norm(
    model: PreTrainedModel, rows: Float[Tensor, "row d_model"]
) -> Float[Tensor, "row d_model"] | None:
    """Directions in states before the final norm that stand for rows of the LM head, up to one positive scale.

    The gain is seen and not looked up, as some norms have it as 1 + weight: a probe of 1 and -1, whose mean is 0 and
    whose scale is 1, takes the place of what the last block puts out, and what the head is then given is its gain.
    None where that has another width, as where a projection stands between, or the norm is of another form.
    """
    blocks, width = decoder_blocks(model), rows.shape[1]
    if not blocks:
        return None
    probe = torch.tensor([1.0, -1.0]).repeat(width // 2 + 1)[:width]
    seen = _given_to_head(model, blocks[-1], torch.stack([probe, -probe, probe + 1]))
    if seen.shape[1:] != (width,):
        return None
    shift = (seen[0] + seen[1]) / 2
    gain, raised = (seen[0] - shift) * probe, seen[2] - shift
    if _alike(raised, gain * probe):
        return rows * gain - (rows * gain).mean(-1, keepdim=True)
    scales = (2**0.5, 1.0)  # of the raised probe: its root mean square, or none where there is no norm
    return rows * gain if any(_alike(raised, gain * (probe + 1) / scale) for scale in scales) else None


def _alike(one: Tensor, other: Tensor) -> bool:
    """But for the rounding of 16 bits, and what norms add to a scale to keep it from 0."""
    return bool((one - other).norm() <= TOLERANCE * other.norm())


def _given_to_head(
    model: PreTrainedModel, block: nn.Module, outputs: Float[Tensor, "probe d_model"]
) -> Float[Tensor, "probe d_head"]:
    """What the LM head is given where a block puts these out."""
    given: list[Tensor] = []
    head = model.get_output_embeddings()
    with (
        removed(block.register_forward_hook(lambda _, args, made: _in_place_of(made, outputs))),
        removed(head.register_forward_pre_hook(lambda _, args: given.append(args[0][:, -1].float().cpu()))),
    ):
        model(torch.zeros(len(outputs), 1, dtype=torch.long, device=model.device), use_cache=False)
    return given[0]


def _in_place_of(made: Any, outputs: Float[Tensor, "probe d_model"]) -> Any:
    """A block's output, whatever it returns beside it, with these as its only token's."""
    states, *rest = made if isinstance(made, tuple) else (made,)
    other = outputs[:, None].to(states)
    return (other, *rest) if isinstance(made, tuple) else other
