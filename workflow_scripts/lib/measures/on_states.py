"""What measures make of hidden states. A similarity is the cosine of what it makes of two arms' states.

It makes of states [draws, queries, d] of a layer, in float64, a vector for every query, [draws, queries, m], or one
for all queries of a draw, [draws, m]. A vector of zeros says that the measure is undefined there. h is a state, and h_A
the anchor's of the same query.
"""

import numpy as np

from workflow_scripts.lib.measures.layer import Layer
from workflow_scripts.lib.measures.vectors import Floats, directed, dot, norm, ratio, unit

NEIGHBOURS = 10


def state(states: Floats, layer: Layer) -> Floats:
    """The state h: its cosine is the measure of arXiv 2311.10367."""
    return states


def update(states: Floats, layer: Layer) -> Floats:
    """The update h - h_A, of the states as they are.

    Normalising the states first lets the anchor into both updates, and unrelated noise of |r|^2 = 3 |z|^2 then scores
    0.25 (Deutch et al. 2024, on the SimAOU of Dai et al. 2023).
    """
    return states - layer.anchor


def part_off_anchor(states: Floats, layer: Layer) -> Floats:
    """The part of h/|h| that is orthogonal to h_A; zero where h hardly left the anchor's direction.

    Its cosine equals (s_IT - s_AI s_AT) / sqrt((1 - s_AI^2)(1 - s_AT^2)), the partial correlation's formula with
    cosines, but keeps its digits close to the anchor.
    """
    directions = unit(states)
    return directed(directions - dot(directions, layer.direction)[..., None] * layer.direction)


def standardised(states: Floats, layer: Layer) -> Floats:
    """Every dimension less its mean and over its sd, of the anchor's states of held-out queries.

    A few dimensions with large values rule the cosine of late layers otherwise (Timkey and van Schijndel 2021).
    """
    mean, scale = layer.held_out
    return (states - mean) * scale


def label_free_update(states: Floats, layer: Layer) -> Floats:
    """The update without its part in the span of the label words; zero where nothing is left but rounding."""
    whole, span = update(states, layer), _span(layer)
    return directed(whole - (whole @ span.T) @ span, norm(whole))


def centred_gram(states: Floats, layer: Layer) -> Floats:
    """U-centred inner products of all queries, [draws, queries * queries]: their cosine is debiased linear CKA.

    HSIC of Song et al. 2012 without bias is the inner product of two such matrices over n (n - 3) (Szekely and Rizzo
    2014), and CKA is its cosine (Kornblith et al. 2019; debiased as in Nguyen et al. 2021). Zero for n < 4.
    """
    count = states.shape[-2]
    if count < 4:
        return np.zeros((len(states), count * count))
    gram, diagonal = _gram(_centred(states)), range(count)
    gram[:, diagonal, diagonal] = 0
    of_query = gram.sum(axis=-1, keepdims=True) / (count - 2)
    of_all = of_query.sum(axis=-2, keepdims=True) / (count - 1)
    gram -= of_query
    gram -= np.swapaxes(of_query, -1, -2) - of_all
    gram[:, diagonal, diagonal] = 0
    return gram.reshape(len(states), -1)


def neighbours(states: Floats, layer: Layer) -> Floats:
    """1 where a query is among another's k nearest by cosine, itself left out, [draws, queries * queries].

    The cosine of two is the mean share of neighbours in common (mutual k-nearest-neighbour, Huh et al. 2024); by chance
    k / (n - 1). k is 10, and at most half of the other queries: where all are neighbours, any two states agree.
    """
    count = states.shape[-2]
    nearest = min(NEIGHBOURS, (count - 1) // 2)
    places = _centred(unit(states))
    lengths = dot(places, places)
    near = 2 * _gram(places) - lengths[..., None, :]  # less the squared distance, but for what a row has in common
    near[:, range(count), range(count)] = -np.inf
    chosen = np.argpartition(-near, nearest, axis=-1)[..., :nearest]
    found = np.zeros_like(near)
    np.put_along_axis(found, chosen, 1.0, axis=-1)
    found *= np.max(lengths, axis=-1, initial=0)[:, None, None] > 0
    return found.reshape(len(states), -1)


def distance(states: Floats, layer: Layer) -> Floats:
    """|h - h_A|: [draws, queries, d] -> [draws, queries]."""
    return norm(update(states, layer))


def movement(states: Floats, layer: Layer) -> Floats:
    """|h - h_A| / |h_A|: [draws, queries, d] -> [draws, queries]; NaN where h_A is zero."""
    return ratio(distance(states, layer), norm(layer.anchor))


def label_alignment(states: Floats, layer: Layer) -> Floats:
    """Share of |h - h_A|^2 in the span of the label words: [draws, queries]; NaN where the update is zero."""
    whole = update(states, layer)
    inside = whole @ _span(layer).T
    return ratio(dot(inside, inside), dot(whole, whole))


def _centred(states: Floats) -> Floats:
    """Less their mean over queries; zero where all are equal but for rounding, as embeddings of one token are."""
    return directed(states - states.mean(axis=-2, keepdims=True), norm(states))


def _gram(states: Floats) -> Floats:
    return states @ np.swapaxes(states, -1, -2)


def _span(layer: Layer) -> Floats:
    if layer.span is None:
        raise ValueError(f"layer {layer.number} has no directions of the labels")
    return layer.span
