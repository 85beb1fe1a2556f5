"""What most metrics count: sums that add up entry by entry; and what every metric checks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np


class Sums(NamedTuple):
    """An array of sums over rows."""

    values: np.ndarray

    def __add__(self, other: Sums) -> Sums:
        return Sums(self.values + other.values)


@dataclass(frozen=True)
class RowMean:
    """Base of metrics that are a weighted mean over rows, of what their `score_rows` returns."""

    def score_rows(self, y, predicted, n_classes) -> np.ndarray:
        """The score (n,) of each row."""
        raise NotImplementedError

    def count(self, y, predicted, w, n_classes) -> Sums:
        """Weighted sum of a block's scores, and its weight."""
        scores, w = self.score_rows(y, predicted, n_classes), weights(y, w)
        return Sums(np.array([w @ np.asarray(scores, dtype=np.float64), w.sum()]))

    def value(self, total) -> float:
        """The score of all rows; ValueError if none has weight."""
        amount, weight = total.values
        check_weight(weight)
        return float(amount / weight)


def weights(y, w) -> np.ndarray:
    """The weight (n,) of each row in float64: ones where ``w`` is None."""
    return np.ones(len(y)) if w is None else np.asarray(w, dtype=np.float64)


def check_weight(weight) -> None:
    """Raise ValueError unless some row has weight."""
    if not weight > 0.0:
        raise ValueError(
            "A score needs at least one row of positive weight, but there is none. Check how the "
            "test rows and sample_weight are made."
        )


def check_binary(name, n_classes, instead) -> None:
    """Raise ValueError unless there are two classes; ``instead`` names a metric for more."""
    if n_classes != 2:
        raise ValueError(
            f"scoring={name!r} is for two classes, but there are {n_classes}. Use {instead!r}."
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
