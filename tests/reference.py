"""The simple way to the same numbers: each prompt alone and whole, each adapter alone through peft and a plain loop."""

import torch
from peft import get_peft_model, get_peft_model_state_dict
from torch.nn.functional import cross_entropy
from transformers import DynamicCache

from workflow_scripts.lib.lora.config import lora_config


def alone(model, ids, parts=None):
    """One prompt as transformers itself gives it: states [layer, d_model], log-probabilities [token, vocabulary].

    `parts`: keys and values of each layer that stand before the ids.
    """
    past = {"past_key_values": cache_of(parts)} if parts else {}
    with torch.inference_mode():
        output = model(torch.tensor([ids], device=model.device), output_hidden_states=True, **past)
    return torch.stack([layer[0, -1] for layer in output.hidden_states]), output.logits[0].log_softmax(-1)


def cache_of(parts):
    """Transformers' own cache with these keys and values."""
    cache = DynamicCache()
    for number, (keys, values) in enumerate(parts):
        cache.update(keys, values, number)
    return cache


def label_log_prob(model, ids, label):
    """Sum over the label's tokens, each given all before it."""
    _, log_probs = alone(model, [*ids, *label])
    return sum(log_probs[len(ids) - 1 + i, token].item() for i, token in enumerate(label))


def written(model, ids, count):
    """The next `count` tokens, each the likeliest after all before it."""
    for _ in range(count):
        ids = [*ids, alone(model, ids)[1][-1].argmax().item()]
    return ids[-count:]


def tuned(base, examples, tuning, seed, loss=None):
    """An adapter tuned by peft, one example after the other in every step: its tensors and its losses."""
    loss = loss or _of_labels
    torch.manual_seed(seed)
    model = get_peft_model(base, lora_config(base, tuning))
    trainable = [p for p in model.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(trainable, lr=tuning.learning_rate, weight_decay=0.0)
    losses = []
    for _ in range(tuning.steps):
        losses.append(loss(model, examples))
        losses[-1].backward()
        torch.nn.utils.clip_grad_norm_(trainable, tuning.max_grad_norm)
        optimiser.step()
        optimiser.zero_grad()
    losses.append(loss(model, examples))
    weights = {
        name: t.detach().clone() for name, t in get_peft_model_state_dict(model, save_embedding_layers=False).items()
    }
    model.unload()
    base.requires_grad_(True)
    return weights, [one.item() for one in losses]


def _of_labels(model, examples):
    summed = []
    for one in examples:
        logits = model(input_ids=torch.tensor([one.prompt + one.label])).logits[0, len(one.prompt) - 1 : -1]
        summed.append(cross_entropy(logits, torch.tensor(one.label), reduction="sum"))
    return sum(summed) / sum(len(one.label) for one in examples)


def imitating(base, lessons, tuning, seed):
    """The same of an adapter that imitates: distance of normalised states, and divergence of the next token."""
    return tuned(base, lessons, tuning, seed, _apart)


def _apart(model, lessons):
    every = []
    for one in lessons:
        made = model(input_ids=torch.tensor([one.prompt]), output_hidden_states=True)
        layers = [layer[0, -1] for layer in made.hidden_states[1:]]
        apart = [
            (own / own.norm() - theirs / theirs.norm()).square().sum()
            for own, theirs in zip(layers, one.states.to(layers[0]), strict=True)
        ]
        told, expected = made.logits[0, -1].log_softmax(-1), one.log_probs.to(layers[0])
        every.append(sum(apart) / len(apart) + (expected.exp() * (expected - told)).sum())
    return sum(every) / len(every)
