"""What the layers of filters share: their settings, first parameters and gradients."""

from __future__ import annotations

import math

import numpy as np

from daskdsml.settings import check_number

ACTIVATIONS = ("identity", "relu", "tanh", "logistic")


def check_filters(layer) -> None:
    """Raise ValueError unless ``filters`` and ``activation`` are what a layer of filters takes."""
    check_number(layer, "filters", 1, integer=True)
    if layer.activation not in (None, *ACTIVATIONS):
        raise ValueError(
            f"Unknown activation {layer.activation!r} of {type(layer).__name__}: expected one of "
            f"{list(ACTIVATIONS)}. Any other goes into a layer of its own, Activation, behind it."
        )


def draw(rng, shape, activation) -> dict:
    """Filters ``K (O, I, ...)`` drawn uniformly, and ``b (O,)``, zeros.

    The variance is ``2 / (n_in + n_out)`` [1]_, where a filter reads ``n_in`` numbers and a number
    is read ``n_out`` times; ``2 / n_in`` for ReLU, which halves the variance [2]_.

    References
    ----------
    .. [1] X. Glorot, Y. Bengio, "Understanding the difficulty of training deep feedforward neural
       networks", AISTATS 2010.
    .. [2] K. He, X. Zhang, S. Ren, J. Sun, "Delving deep into rectifiers", ICCV 2015.
    """
    field = math.prod(shape[2:])
    n_in, n_out = shape[1] * field, shape[0] * field
    variance = 2 / n_in if activation == "relu" else 2 / (n_in + n_out)
    limit = math.sqrt(3 * variance)
    return {"K": rng.uniform(-limit, limit, shape), "b": np.zeros(shape[0])}
