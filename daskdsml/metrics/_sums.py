"""What most metrics count: sums that add up entry by entry."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Sums(NamedTuple):
    """An array of sums over rows."""

    values: np.ndarray

    def __add__(self, other: Sums) -> Sums:
        return Sums(self.values + other.values)


def weights(y, w) -> np.ndarray:
    """The weight (n,) of each row in float64: ones where ``w`` is None."""
    return np.ones(len(y)) if w is None else np.asarray(w, dtype=np.float64)


def weighted(each, w) -> Sums:
    """Sums of ``each (n,)`` times the weights, and of the weights."""
    w = weights(each, w)
    return Sums(np.array([w @ np.asarray(each, dtype=np.float64), w.sum()]))


def mean(total: Sums) -> float:
    """The mean of what `weighted` counted.

    Raises
    ------
    ValueError
        If no row has weight.
    """
    amount, weight = total.values
    check_weight(weight)
    return float(amount / weight)


def check_weight(weight) -> None:
    """Raise ValueError unless some row has weight."""
    if not weight > 0.0:
        raise ValueError(
            "A score needs at least one row of positive weight, but there is none. Check how the "
            "test rows and sample_weight are made."
        )


def check_binary(name, n_classes, instead) -> None:
    """Raise ValueError unless there are two classes; ``instead`` says what serves more."""
    if n_classes != 2:
        raise ValueError(
            f"scoring={name!r} is for two classes, but there are {n_classes}. Use {instead}."
        )


def check_class(name, number, weight) -> None:
    """Raise ValueError if class ``number`` of the sorted classes has no weight."""
    if not weight > 0.0:
        raise ValueError(
            f"scoring={name!r} needs rows of class {number} (counted from 0 in the order of the "
            "sorted labels), but no row of positive weight has it. Use more rows, or folds that "
            "hold every class (stratified ones)."
        )


def check_positive(name, what, values, strict=True) -> None:
    """Raise ValueError unless all ``values (n,)`` are above 0, or at it if not ``strict``."""
    bad = values <= 0.0 if strict else values < 0.0
    if bad.any():
        raise ValueError(
            f"scoring={name!r} needs {what} {'above' if strict else 'of at least'} 0, got "
            f"{values[np.argmax(bad)]:g}. Use 'neg_mean_squared_error' for other numbers."
        )
