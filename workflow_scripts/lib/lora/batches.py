"""Rows that adapters side by side are tuned on, and the loss of each: its label's, or that of imitating a state."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import cross_entropy, kl_div, normalize
from transformers import PreTrainedModel

from workflow_scripts.lib.data.prompts import Completion
from workflow_scripts.lib.forward.taps import head_at
from workflow_scripts.lib.forward.token_batches import right_padded


class Lesson(NamedTuple):
    """A prompt, and what a teacher has at its last token: states of layers 1..L, log-probabilities."""

    prompt: list[int]
    states: Float[Tensor, "layer d_model"]
    log_probs: Float[Tensor, " vocabulary"]


Example = Completion | Lesson


def tokens_of(example: Example) -> list[int]:
    """What a row holds; the last label token predicts nothing, so that rows end before it."""
    return [*example.prompt, *example.label[:-1]] if isinstance(example, Completion) else example.prompt


def supervised(example: Example) -> int:
    """Tokens of a row that have a loss."""
    return len(example.label) if isinstance(example, Completion) else 1


@dataclass(frozen=True)
class Batch(ABC):
    """Rows of several adapters, and the positions that have a loss, with its weight in the adapter's."""

    ids: Int[Tensor, "row token"]
    adapters: Int[Tensor, " row"]
    rows: Int[Tensor, " position"]
    columns: Int[Tensor, " position"]
    weights: Float[Tensor, " position"]

    @property
    def owners(self) -> Int[Tensor, " position"]:
        """Adapter of every position with a loss."""
        return self.adapters[self.rows]

    @abstractmethod
    def losses(self, model: PreTrainedModel, **inputs: Any) -> Float[Tensor, " position"]:
        """Of every position, by one forward; the LM head runs on these only.

        `inputs`: what the model is called with beside the rows, or in their place.
        """


@dataclass(frozen=True)
class LabelBatch(Batch):
    """The negative log-likelihood of label tokens."""

    targets: Int[Tensor, " position"]

    def losses(self, model: PreTrainedModel, **inputs: Any) -> Float[Tensor, " position"]:
        """As the base class says."""
        with head_at(model, self.rows, self.columns):
            logits = model(**{"input_ids": self.ids, "use_cache": False, **inputs}).logits
        return cross_entropy(logits.to(self.weights), self.targets, reduction="none")


@dataclass(frozen=True)
class LessonBatch(Batch):
    """How far last tokens are from their teacher's.

    The mean over layers of the squared distance of the states, each normalised, and the Kullback-Leibler divergence of
    the next token's distribution from the teacher's.
    """

    states: Float[Tensor, "position layer d_model"]
    log_probs: Float[Tensor, "position vocabulary"]

    def losses(self, model: PreTrainedModel, **inputs: Any) -> Float[Tensor, " position"]:
        """As the base class says."""
        with head_at(model, self.rows, self.columns):
            made = model(**{"input_ids": self.ids, "use_cache": False, "output_hidden_states": True, **inputs})
        place = (self.rows, self.columns)
        layers = [layer[tuple(one.to(layer.device) for one in place)].to(self.weights) for layer in made.hidden_states]
        states = torch.stack(layers[1:], dim=1)
        distance = (normalize(states, dim=-1) - normalize(self.states, dim=-1)).square().sum(-1).mean(-1)
        told = made.logits.to(self.weights).log_softmax(-1)
        # A token that a model rules out has no share in the divergence, where -inf less -inf would be none.
        told, taught = (some.clamp(min=torch.finfo(some.dtype).min) for some in (told, self.log_probs))
        return distance + kl_div(told, taught, reduction="none", log_target=True).sum(-1)


def batch_of(base: PreTrainedModel, rows: Sequence[tuple[int, Example]], shares: Sequence[float]) -> Batch:
    """Rows of (adapter, example) of one kind, on the base's device; `shares`: adapter -> the weight of its losses."""
    examples = [one for _, one in rows]
    ends = [(row, len(one.prompt) - 1 + i) for row, one in enumerate(examples) for i in range(supervised(one))]
    at, columns = torch.tensor(ends, dtype=torch.long).reshape(-1, 2).T
    dtype = torch.promote_types(base.dtype, torch.float32)
    weights = torch.tensor([shares[rows[row][0]] for row, _ in ends], dtype=dtype)
    owners = torch.tensor([owner for owner, _ in rows])
    ids = right_padded([tokens_of(one) for one in examples])
    ids, owners, at, columns, weights = (part.to(base.device) for part in (ids, owners, at, columns, weights))
    lessons = [one for one in examples if isinstance(one, Lesson)]
    if lessons:
        teacher = (torch.stack([one.states for one in lessons]), torch.stack([one.log_probs for one in lessons]))
        return LessonBatch(ids, owners, at, columns, weights, *(part.to(base.device, dtype) for part in teacher))
    labels = [token for one in examples if isinstance(one, Completion) for token in one.label]
    return LabelBatch(ids, owners, at, columns, weights, torch.tensor(labels, dtype=torch.long).to(base.device))
