"""Keys and values of demonstrations as what is tuned: ICL at step 0, and from there as a plain loop tunes them."""

from dataclasses import replace

import pytest
import torch
from peft import PeftModel
from torch.nn.functional import cross_entropy
from transformers import MambaConfig, MistralConfig

from tests import reference
from tests.stage.test_lora import TUNING, varied
from workflow_scripts.lib.data.prompts import Completion
from workflow_scripts.lib.forward.reader import Reader
from workflow_scripts.lib.forward.shared_prefix import PrefixError
from workflow_scripts.lib.lora.config import TuningError
from workflow_scripts.lib.lora.files import AdapterError
from workflow_scripts.lib.lora.train import Case
from workflow_scripts.lib.models.weights import random_model
from workflow_scripts.lib.tuning.prefix import tune_prefixes
from workflow_scripts.lib.tuning.prefix_file import packed, save_prefix
from workflow_scripts.lib.tuning.put_in import put_in

pytestmark = pytest.mark.stage
SHOWN = [1, 20, 30, 40, 50, 5, 21, 31, 41, 60, 5]  # a token that starts all, then two demonstrations
LEARNT = [Completion([20, 30, 40], [50]), Completion([21, 31, 41], [60, 61])]
CASE = Case("draw 0", LEARNT, 0, SHOWN, 1)
QUERIES = [[22, 32], [23, 33, 43, 53, 63], [24]]
LABELS = [[50], [60, 61]]


def read(model, folder):
    reader = Reader(model, LABELS, tokens_per_batch=64)
    with put_in(model, folder) as parts:
        return reader.read(SHOWN, QUERIES, parts=parts)


def saved(model, folder, tuning):
    (prefix,) = tune_prefixes(model, [CASE], tuning)
    save_prefix(prefix.parts, prefix.fixed, folder)
    return folder


def test_before_the_first_step_it_is_icl(tiny_model, tmp_path):
    made = read(tiny_model, saved(tiny_model, tmp_path / "set", varied(steps=0)))
    for query, states, scores in zip(QUERIES, made.states, made.label_log_probs, strict=True):
        expected, _ = reference.alone(tiny_model, SHOWN + query)
        assert (states - expected).norm() < 1e-5 * expected.norm()
        for label, score in zip(LABELS, scores.tolist(), strict=True):
            assert score == pytest.approx(reference.label_log_prob(tiny_model, SHOWN + query, label), abs=1e-5)


def test_tuning_leaves_icl_and_lowers_the_loss(tiny_model, tmp_path):
    (prefix,) = tune_prefixes(tiny_model, [CASE], TUNING)
    assert prefix.summary() == {"losses": prefix.losses, "moved": True}
    assert len(prefix.losses) == TUNING.steps + 1
    start, tuned = (read(tiny_model, saved(tiny_model, tmp_path / str(n), varied(steps=n))) for n in (0, TUNING.steps))
    assert (start.states[:, -1] - tuned.states[:, -1]).norm() > 1e-2 * start.states[:, -1].norm()
    assert torch.equal(start.states[:, 0], tuned.states[:, 0])  # embeddings attend to nothing


def plain_loop(model, tuning):
    """Keys and values as leaves, transformers' own cache, one example after the other: losses and [key or value]."""
    with torch.no_grad():
        cache = model(torch.tensor([SHOWN]), use_cache=True).past_key_values
    started = [one.clone() for layer in cache.layers for one in (layer.keys, layer.values)]
    leaves = [one[:, :, CASE.fixed :].clone().requires_grad_() for one in started]

    def loss():
        summed = []
        for example in LEARNT:
            whole = [torch.cat([a[:, :, : CASE.fixed], b], 2) for a, b in zip(started, leaves, strict=True)]
            past = reference.cache_of(zip(whole[::2], whole[1::2], strict=True))
            ids = torch.tensor([example.prompt + example.label])
            logits = model(ids, past_key_values=past, use_cache=True).logits[0, len(example.prompt) - 1 : -1]
            summed.append(cross_entropy(logits, torch.tensor(example.label), reduction="sum"))
        return sum(summed) / sum(len(one.label) for one in LEARNT)

    optimiser = torch.optim.AdamW(leaves, lr=tuning.prefix.learning_rate, weight_decay=0.0)
    losses = []
    for _ in range(tuning.steps):
        losses.append(loss())
        optimiser.zero_grad()
        losses[-1].backward()
        torch.nn.utils.clip_grad_norm_(leaves, tuning.max_grad_norm)
        optimiser.step()
    losses.append(loss())
    model.zero_grad()
    return [one.item() for one in losses], [one.detach() for one in leaves]


@pytest.mark.parametrize("limit", [1e-2, 1e9], ids=["clipped", "not clipped"])
@pytest.mark.parametrize("tokens", [1, 1000], ids=["one a batch", "together"])
def test_it_is_tuned_as_a_plain_loop_tunes_it_in_float64(tiny_model, limit, tokens):
    model, tuning = tiny_model.double(), varied(max_grad_norm=limit, tokens_per_batch=tokens)
    (prefix,) = tune_prefixes(model, [CASE], tuning)
    losses, leaves = plain_loop(model, tuning)
    tiny_model.float()
    assert prefix.losses == pytest.approx(losses, abs=1e-10)
    made = [one[:, :, CASE.fixed :] for layer in prefix.parts for one in layer]
    assert all((a - b).abs().max() < 1e-10 for a, b in zip(made, leaves, strict=True))
    far = sum((a - b).square().sum() for a, b in zip(made, started_of(model), strict=True)) ** 0.5
    assert prefix.distance == pytest.approx(far.item(), rel=1e-4)


def started_of(model):
    with torch.no_grad():
        cache = model(torch.tensor([SHOWN]), use_cache=True).past_key_values
    return [one[:, :, CASE.fixed :] for layer in cache.layers for one in (layer.keys, layer.values)]


def test_what_stands_before_the_demonstrations_stays(tiny_model):
    with torch.no_grad():
        cache = tiny_model(torch.tensor([SHOWN]), use_cache=True).past_key_values
    (prefix,) = tune_prefixes(tiny_model, [replace(CASE, fixed=3)], TUNING)
    for layer, (keys, values) in zip(cache.layers, prefix.parts, strict=True):
        for tuned, start in ((keys, layer.keys), (values, layer.values)):
            assert torch.allclose(tuned[:, :, :3], start[:, :, :3], atol=1e-6)
            assert ((tuned - start)[:, :, 3:].abs().amax((0, 1, 3)) > 1e-4).all()


def test_a_prefix_on_the_way_is_that_of_a_shorter_run(tiny_model):
    (kept,) = tune_prefixes(tiny_model, [CASE], TUNING, kept_steps=[1, 4])
    assert [*kept.on_the_way] == [1, 4]
    for step, then in kept.on_the_way.items():
        (other,) = tune_prefixes(tiny_model, [CASE], varied(steps=step))
        assert torch.equal(packed(then.parts), packed(other.parts))
        assert then.losses == other.losses


def test_peft_reads_the_file_as_a_cartridge(tiny_model, tmp_path):
    folder = saved(tiny_model, tmp_path / "set", TUNING)
    loaded = PeftModel.from_pretrained(tiny_model, folder).eval()
    with put_in(tiny_model, folder) as parts, torch.inference_mode():
        own = tiny_model(torch.tensor([QUERIES[1]]), past_key_values=reference.cache_of(parts)).logits
        theirs = loaded(torch.tensor([QUERIES[1]])).logits
    tiny_model.requires_grad_(True)
    assert torch.allclose(own, theirs, atol=1e-5)


def test_the_base_is_left_as_it_was(tiny_model):
    before = {name: p.clone() for name, p in tiny_model.named_parameters()}
    list(tune_prefixes(tiny_model, [CASE], TUNING))
    assert all(torch.equal(p, before[name]) for name, p in tiny_model.named_parameters())
    assert all(p.requires_grad and p.grad is None for p in tiny_model.parameters())


SMALL = {"vocab_size": 100, "hidden_size": 32, "num_hidden_layers": 2}
WINDOW = MistralConfig(**SMALL, intermediate_size=64, num_attention_heads=4, num_key_value_heads=2, sliding_window=8)


def test_past_a_window_it_starts_as_icl_too_and_what_no_example_sees_stays(tmp_path):
    model = random_model(WINDOW, seed=0).eval()
    made = read(model, saved(model, tmp_path / "set", varied(steps=0)))
    for query, states in zip(QUERIES, made.states, strict=True):
        expected, _ = reference.alone(model, SHOWN + query)
        assert (states - expected).norm() < 1e-5 * expected.norm()
    start, tuned = (next(tune_prefixes(model, [CASE], varied(steps=n))) for n in (0, TUNING.steps))
    unseen = len(SHOWN) - (WINDOW.sliding_window - 1)
    assert tuned.losses[-1] < tuned.losses[0]
    for (old, _), (new, _) in zip(start.parts, tuned.parts, strict=True):
        assert torch.equal(old[..., :unseen, :], new[..., :unseen, :])
        assert (old[..., unseen:, :] != new[..., unseen:, :]).any()


def test_an_architecture_that_cannot_share_a_prefix_is_refused_in_one_line():
    model = random_model(MambaConfig(**SMALL), seed=0).eval()
    with pytest.raises(
        TuningError, match=r"has no keys and values of a prefix that prompts of 15 tokens.*out of `arms`"
    ):
        list(tune_prefixes(model, [CASE], TUNING))


def test_keys_and_values_of_other_demonstrations_are_refused(tiny_model, tmp_path):
    folder = saved(tiny_model, tmp_path / "set", varied(steps=0))
    reader = Reader(tiny_model, LABELS, tokens_per_batch=64)
    with put_in(tiny_model, folder) as parts, pytest.raises(PrefixError, match="tune them again on this model"):
        reader.read(SHOWN[:-1], QUERIES, parts=parts)
    (folder / "adapter_config.json").write_text('{"peft_type": "CARTRIDGE", "num_layers": 7, "num_attention_heads": 3}')
    with pytest.raises(AdapterError, match="no tuned prefix in peft's format"), put_in(tiny_model, folder):
        pass
