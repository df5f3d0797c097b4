"""What the LM head reads of states before the final norm, against logits of the model that is given such states."""

import pytest
import torch
from torch import nn

from tests.stage.test_patch import ARCHITECTURES, two_layers
from workflow_scripts.lib.forward.final_norm import before_final_norm
from workflow_scripts.lib.models.blocks import decoder_blocks

pytestmark = pytest.mark.stage
TOKENS = [1, 2, 3, 5]


def with_gain(architecture):
    """A model whose norms are none that a model begins with."""
    model = two_layers(architecture)
    torch.manual_seed(1)
    for name, parameter in model.named_parameters():
        if "norm" in name or "ln_" in name:
            nn.init.uniform_(parameter, 0.2, 3)
    return model


def logits_after(model, outputs):
    """Logits where the last block puts these out: as transformers has them, by a hook of this test's own."""

    def instead(_, args, made):
        return (outputs[:, None], *made[1:]) if isinstance(made, tuple) else outputs[:, None]

    hook = decoder_blocks(model)[-1].register_forward_hook(instead)
    with torch.no_grad():
        found = model(torch.zeros(len(outputs), 1, dtype=torch.long), use_cache=False).logits[:, 0]
    hook.remove()
    return found


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_differences_of_logits_are_what_directions_read_of_a_state_but_for_its_scale(architecture):
    model = with_gain(architecture)
    rows = model.get_output_embeddings().weight[TOKENS].detach()
    directions = before_final_norm(model, rows.float()).double()
    states = torch.randn(6, rows.shape[1], dtype=torch.float64)
    logits = (logits_after(model, states) - logits_after(model, -states)) / 2  # without what a norm adds
    apart, read = (some - some[:, :1] for some in (logits[:, TOKENS], states @ directions.T))
    of_rows = states @ (rows - rows[:1]).T
    assert (cosine(apart[:, 1:], read[:, 1:]) > 0.9999).all()
    assert (cosine(apart[:, 1:], of_rows[:, 1:]) < 0.999).any(), "or it would be no test"


def cosine(one, other):
    return torch.cosine_similarity(one, other, dim=-1)


def test_of_16_bits_it_is_the_same_but_for_their_rounding():
    model = with_gain("llama").float()
    rows = model.lm_head.weight[TOKENS].detach()
    exact, rounded = before_final_norm(model, rows), before_final_norm(model.bfloat16(), rows)
    assert (cosine(exact, rounded) > 0.9999).all()


def test_without_a_norm_the_head_reads_states_as_they_are():
    model = two_layers("llama").float()
    model.model.norm = nn.Identity()
    rows = model.lm_head.weight[TOKENS].detach()
    assert torch.equal(before_final_norm(model, rows), rows)


@pytest.mark.parametrize("between", [nn.Linear(16, 16, bias=False), nn.Tanh()])
def test_behind_anything_else_nothing_is_known(between):
    model = two_layers("llama").float()
    model.model.norm = between
    assert before_final_norm(model, model.lm_head.weight[TOKENS].detach()) is None
