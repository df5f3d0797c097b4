"""How far numbers that should be equal are apart, against the updates that are measured."""

import numpy as np

from workflow_scripts.lib.measures.layer import Layer
from workflow_scripts.lib.measures.on_states import distance
from workflow_scripts.lib.measures.vectors import Floats, ratio


def noise_share(states: Floats, layer: Layer) -> Floats:
    """|n| / |h - h_A|: [draws, queries, d] -> [draws, queries]; NaN where the update is zero.

    At 1 an update is as long as the noise in the anchor that it is measured from.
    """
    lengths = distance(states, layer)
    return ratio(np.broadcast_to(layer.noise, lengths.shape), lengths)


def shared_noise(one: Floats, other: Floats) -> Floats:
    """The update cosine that noise alone would give two arms, from their shares of noise; at most 1.

    Both updates have the anchor's noise in them, so that E[(h_I - h_A).(h_T - h_A)] = |n|^2 where nothing else is
    common to them.
    """
    return np.minimum(one * other, 1)
