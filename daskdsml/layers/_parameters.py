"""Layers with parameters: weights that are given to them, and whether training changes these."""

from __future__ import annotations

from dataclasses import field
from typing import Any, ClassVar

import numpy as np

from daskdsml.layers._settings import layer
from daskdsml.utils.validation import check_flag


class GivenWeights:
    """Arrays by the names of parameters, as a layer's setting: equal where all entries are."""

    def __init__(self, arrays: dict):
        self.arrays = {name: _read_only(name, array) for name, array in arrays.items()}

    def __eq__(self, other) -> bool:
        if not isinstance(other, GivenWeights) or list(self.arrays) != list(other.arrays):
            return False
        pairs = zip(self.arrays.values(), other.arrays.values(), strict=True)
        return all(np.array_equal(a, b) for a, b in pairs)

    def __hash__(self) -> int:
        return hash(tuple((name, array.tobytes()) for name, array in self.arrays.items()))

    def __repr__(self) -> str:
        shown = ", ".join(f"{name} {array.shape}" for name, array in self.arrays.items())
        return f"<{shown}>"


@layer
class ParameterLayer:
    """A layer that training changes, unless told otherwise, from weights drawn or given.

    ``weights`` is None, an array for the parameter called ``main``, or a dict of arrays by name, as
    ``weights_`` of a fitted network has them; others are drawn. Layers that are not ``trainable``
    keep the weights they begin with.
    """

    weights: Any = field(default=None, kw_only=True)
    trainable: bool = field(default=True, kw_only=True)

    main: ClassVar[str | None] = None
    # All there can be, of layers whose settings follow from what is given.
    names: ClassVar[tuple[str, ...]] = ()

    def __post_init__(self):
        check_flag(self, "trainable")
        if self.weights is not None and not isinstance(self.weights, GivenWeights):
            settle(self, "weights", GivenWeights(self._by_name()))
        if self.names:
            check_names(self, self.names)

    @property
    def given(self) -> dict[str, np.ndarray]:
        """The arrays that are given, by name."""
        return {} if self.weights is None else self.weights.arrays

    def _by_name(self) -> dict:
        if isinstance(self.weights, dict):
            return self.weights
        if self.main is None:
            raise ValueError(
                f"weights of {type(self).__name__} must be a dict of arrays by name, as weights_ "
                f"of a fitted network has them, got {type(self.weights).__name__}."
            )
        return {self.main: self.weights}


def settle(layer, name, value) -> None:
    """Set a setting that follows from another one, while a layer is made."""
    object.__setattr__(layer, name, value)


def settle_length(layer, name, length) -> None:
    """Set the setting ``name`` to what the shape of given weights says.

    Raises
    ------
    ValueError
        If it was given as another number.
    """
    if getattr(layer, name) not in (0, length):
        raise ValueError(
            f"{name} of {type(layer).__name__} is {getattr(layer, name)!r}, but the weights given "
            f"have {length}. Leave {name} out, or give others."
        )
    settle(layer, name, length)


def check_names(layer, known) -> None:
    """Raise ValueError if a name of the given weights is none of those ``known``."""
    for name in layer.given:
        if name not in known:
            raise ValueError(
                f"weights of {type(layer).__name__} hold {name!r}, expected some of "
                f"{sorted(known)}."
            )


def with_given(layer, parameters: dict) -> dict:
    """The parameters of a layer, with those that are given in place of what was drawn.

    Raises
    ------
    ValueError
        If a name or a shape is another one.
    """
    given = getattr(layer, "given", None)
    if not given:
        return parameters
    check_names(layer, parameters)
    for name, array in given.items():
        if array.shape != parameters[name].shape:
            raise ValueError(
                f"weights of {type(layer).__name__} hold {name!r} of shape {array.shape}, expected "
                f"{parameters[name].shape}.{_turned(array.shape, parameters[name].shape)}"
            )
    return parameters | given


def _turned(given, expected) -> str:
    """The remedy for a matrix that is the transpose of what is wanted, or none."""
    # Its second length may be one that settings follow from: the first of them tells.
    turned = len(given) == 2 and expected[0] == given[1]
    return " The first axis goes with the features that come in: pass the transpose." * turned


def _read_only(name, array) -> np.ndarray:
    array = np.asarray(array)
    if array.dtype.kind not in "fiub":
        raise ValueError(f"weights must hold numbers, but {name!r} has dtype {array.dtype}.")
    array = array.astype(array.dtype if array.dtype.kind == "f" else np.float64)
    if not np.isfinite(array).all():
        raise ValueError(f"weights must be finite, but {name!r} holds NaN or infinity.")
    array.flags.writeable = False
    return array
