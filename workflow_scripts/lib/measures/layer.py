"""What the states of a layer are measured against: the anchor's states, gold labels, directions of the labels."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from workflow_scripts.lib.measures.vectors import RESOLUTION, Floats, Ints, floats, norm, unit


@dataclass(eq=False)
class Layer:
    """A layer of one template and data set, of which every arm's states are [draws, queries, d].

    Args:
        anchor: the anchor's states [queries, d]
        labels: gold labels [queries], as numbers
        repeats: states [queries, d] of runs that should give the anchor's again: other batches, higher precision
        span: orthonormal directions [k, d] of the label words (`label_span`); None where they are not known, or nothing
            tells the words apart
        number: of the layer
    """

    anchor: Floats
    labels: Ints
    repeats: Sequence[Floats] = ()
    span: Floats | None = None
    number: int = 0

    def __post_init__(self) -> None:
        self.anchor, self.labels = floats(self.anchor), np.asarray(self.labels)
        self.span = None if self.span is None else floats(self.span)

    @cached_property
    def direction(self) -> Floats:
        """The anchor's states with length one, [queries, d]; NaN where one is zero."""
        return unit(self.anchor)

    @cached_property
    def noise(self) -> Floats:
        """|n|: how far the anchor's state is from that of a run that should give it again, the farthest: [queries].

        Of two runs that are equally noisy the difference has both noises in it, so this is not less than one run's.
        """
        return np.max([norm(floats(other) - self.anchor) for other in self.repeats], axis=0)

    def of(self, queries: slice | Ints) -> "Layer":
        """The layer for some of the queries; what was worked out from all of them stays that."""
        repeats = [again[queries] for again in self.repeats]
        some = Layer(self.anchor[queries], self.labels[queries], repeats, self.span, self.number)
        mean, scale = self.held_out
        vars(some).update(direction=self.direction[queries], held_out=(mean[queries], scale[queries]))
        if self.repeats:
            vars(some).update(noise=self.noise[queries])
        return some

    @cached_property
    def held_out(self) -> tuple[Floats, Floats]:
        """Mean and 1/sd of every dimension over the anchor's states of held-out queries, [queries, d] each.

        Two folds, even and odd queries: what one is standardised by knows nothing of it. 1/sd is 0 where the held-out
        states do not differ by more than rounding: such a dimension has no scale.
        """
        mean, scale = np.zeros_like(self.anchor), np.zeros_like(self.anchor)
        for fold in (0, 1):
            others = self.anchor[1 - fold :: 2]
            if len(others) > 1:
                spread, middle = others.std(axis=0), others.mean(axis=0)
                known = spread > RESOLUTION * np.abs(middle)
                mean[fold::2] = middle
                scale[fold::2] = np.divide(1, spread, out=np.zeros_like(spread), where=known)
        return mean, scale


def label_span(unembeddings: Floats) -> Floats | None:
    """Orthonormal basis of what tells the label words apart: their unembeddings [labels, d] -> [k, d], 0 < k < labels.

    Centred over the labels first, as adding one vector to every unembedding changes no label's probability among them.
    None where nothing is left: words that all begin with one token are told apart by later ones, or it is one word.
    """
    rows = floats(unembeddings)
    _, sizes, directions = np.linalg.svd(rows - rows.mean(axis=0), full_matrices=False)
    known = int((sizes > RESOLUTION * np.linalg.norm(rows)).sum())
    return directions[:known] if known else None
