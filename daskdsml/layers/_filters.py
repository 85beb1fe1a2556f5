"""What the layers of filters share: checks of their settings, and their first parameters."""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np

from daskdsml.layers._activations import check_entrywise, uniform_weights
from daskdsml.layers._parameters import ParameterLayer, settle, settle_length
from daskdsml.layers._settings import layer
from daskdsml.utils.validation import check_number


@layer
class FilterLayer(ParameterLayer):
    """A layer of filters, for which one without channels may be given."""

    main = "K"
    names = ("K", "b")
    sides: ClassVar[int]

    def _by_name(self) -> dict:
        given = dict(super()._by_name())
        if "K" in given:
            K = np.asarray(given["K"])
            if K.ndim == self.sides:  # one filter of one channel
                K = K[None]
            given["K"] = K[:, None] if K.ndim == self.sides + 1 else K
        return given


def settle_filters(layer) -> None:
    """Set ``filters`` and ``size`` to those of given weights; the default stands for no size."""
    K, default = layer.given.get("K"), type(layer).size
    if K is None or K.ndim != layer.sides + 2:
        return
    settle_length(layer, "filters", len(K))
    size = K.shape[2] if len(set(K.shape[2:])) == 1 else K.shape[2:]
    if layer.size not in (default, size, K.shape[2:]):
        raise ValueError(
            f"size of {type(layer).__name__} is {layer.size!r}, but the weights given have "
            f"{size}. Leave size out, or give others."
        )
    settle(layer, "size", size)


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
