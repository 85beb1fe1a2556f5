"""What the layers of filters share: checks of their settings, and their first parameters."""

from __future__ import annotations

import math

import numpy as np

from daskdsml.layers._activations import check_entrywise, uniform_weights
from daskdsml.utils.validation import check_number


def check_filters(layer) -> None:
    """Raise ValueError unless ``filters`` and ``activation`` are what a layer of filters takes."""
    check_number(layer, "filters", 1, integer=True)
    check_entrywise(layer)


def check_padding(layer, names) -> None:
    """Raise ValueError if ``padding`` is a word, but none of ``names``."""
    if isinstance(layer.padding, str) and layer.padding not in names:
        raise ValueError(
            f"Unknown padding {layer.padding!r} of {type(layer).__name__}: expected one of "
            f"{list(names)}, or a number of zeros."
        )


def first_filters(rng, shape, activation) -> dict:
    """Filters ``K (O, I, ...)`` and ``b (O,)``, zeros.

    A filter reads ``I`` times its size numbers, and ``O`` times its size windows read a number.
    """
    field = math.prod(shape[2:])
    K = uniform_weights(rng, shape, shape[1] * field, shape[0] * field, activation)
    return {"K": K, "b": np.zeros(shape[0])}
