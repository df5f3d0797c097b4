"""States at other tokens of the query than the last: those that transformers has there, whichever way prompts run."""

from dataclasses import replace

import pytest
import torch
from pydantic import TypeAdapter, ValidationError

from workflow_scripts.lib.forward.positions import taken_at
from workflow_scripts.lib.forward.reader import Reader
from workflow_scripts.lib.forward.settings import Position

pytestmark = pytest.mark.stage
PREFIX = [1, 20, 30, 40]
QUERIES = [[22, 32, 42], [23, 33, 43, 53, 63], [24, 34, 44], [25, 35, 45, 55]]
LABELS = [[50], [60, 61]]
EXPECTED = {
    "last": lambda query: query[:, -1],
    "last-1": lambda query: query[:, -2],
    "last-2": lambda query: query[:, -3],
    "query-mean": lambda query: query.mean(1),
}


def by_transformers(model, query):
    """The states of the query's tokens, [layer, token, d_model]."""
    with torch.inference_mode():
        layers = model(torch.tensor([PREFIX + query]), output_hidden_states=True).hidden_states
    return torch.stack(layers)[:, 0, len(PREFIX) :]


@pytest.mark.parametrize(
    "way", [{}, {"folding": False}, {"sharing": False}, {"sharing": False, "hooks": False}], ids=str
)
@pytest.mark.parametrize("position", EXPECTED)
def test_states_are_those_of_the_position_and_answers_those_of_the_last_token(tiny_model, position, way):
    readers = [Reader(tiny_model, LABELS, tokens_per_batch=12, position=one) for one in (position, "last")]
    for reader in readers:
        reader.ways = replace(reader.ways, **way)
    made, at_last = (reader.read(PREFIX, QUERIES) for reader in readers)
    for states, query in zip(made.states, QUERIES, strict=True):
        expected = EXPECTED[position](by_transformers(tiny_model, query))
        assert (states - expected).norm() < 1e-5 * expected.norm()
    assert torch.allclose(made.label_log_probs, at_last.label_log_probs, atol=1e-6)
    assert torch.equal(made.top_token, at_last.top_token)


def test_a_mean_leaves_padding_and_prefix_out():
    hidden = torch.tensor([[[9.0], [1.0], [3.0], [0.0]], [[9.0], [9.0], [2.0], [4.0]]])
    span = taken_at("query-mean", [3, 4], [2, 2])
    assert span.of(hidden).flatten().tolist() == [2.0, 3.0]
    assert taken_at("last-1", [3, 4], [2, 2]).of(hidden).flatten().tolist() == [1.0, 2.0]


def test_padding_that_is_not_finite_does_not_count():
    hidden = torch.tensor([[[1.0], [torch.nan]], [[1.0], [3.0]]])
    assert taken_at("query-mean", [1, 2], [1, 2]).of(hidden).flatten().tolist() == [1.0, 2.0]


@pytest.mark.parametrize("name", ["first", "last-0", "last-", "mean"])
def test_other_names_are_refused(name):
    with pytest.raises(ValidationError):
        TypeAdapter(Position).validate_python(name)
