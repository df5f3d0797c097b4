"""A batch asks a GPU for nothing while it runs, and moves little there. torch's meta device stands for a GPU.

It is no main memory, so that what goes there is copied, and it has no values, so that whoever waits for one fails.
"""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from benchmarks.clock import llama, random_rows
from workflow_scripts.lib.forward.positions import taken_at
from workflow_scripts.lib.forward.reader import EVERY_LAYER, _one_batch
from workflow_scripts.lib.forward.shared_prefix import encoded
from workflow_scripts.lib.forward.ways import Ways, answer_scores

pytestmark = pytest.mark.stage
PREFIX, QUERIES = [5, 9, 30, 31, 32, 33], random_rows(6, 3, 9, 300, 0)
LABELS = [[50], [60, 61]]
FOLDED = Ways(hooks=True, positions=True, batching=True, sharing=True, folding=True)


class Copied(TorchDispatchMode):
    """Counts tensors that are copied from main memory to another device."""

    count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        if func.overloadpacket in (torch.ops.aten.to, torch.ops.aten._to_copy):
            self.count += args[0].device.type == "cpu" != result.device.type
        return result


def elsewhere(layers):
    """A model that is not in main memory, and a prefix that is encoded there."""
    model = llama(128, layers, 300, "meta")
    return model, encoded(model, PREFIX, 30)


@pytest.mark.parametrize("position", ["last", "query-mean"])
def test_a_batch_of_any_number_of_layers_moves_its_tokens_and_their_places_and_waits_for_nothing(position):
    moved = {}
    for layers in (2, 5):
        model, past = elsewhere(layers)
        span = taken_at(position, [len(ids) for ids in QUERIES], [len(ids) for ids in QUERIES])
        with Copied() as copied:
            read = _one_batch(model, FOLDED, past, QUERIES, span, LABELS[:1], EVERY_LAYER)
        assert read.states.shape == (len(QUERIES), layers + 1, 128)
        assert read.states.is_meta
        moved[layers] = copied.count
    assert moved == {2: 4, 5: 4}


@torch.inference_mode()
def test_answers_are_scored_without_waiting():
    model, past = elsewhere(2)
    with Copied() as copied:
        scores, likeliest = answer_scores(model, FOLDED, past, QUERIES, [[60, 61]] * len(QUERIES))
    assert scores.is_meta
    assert likeliest.is_meta
    assert copied.count == 4
