"""Coefficient of determination."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from daskdsml.metrics._sums import check_weight, weights


class R2(NamedTuple):
    """``1 - sum_i w_i (y_i - m_i)**2 / sum_i w_i (y_i - mean(y))**2`` for predictions ``m_i``.

    Where y does not vary it is 1 if all predictions are right and else 0.
    """

    needs = "predictions"

    def count(self, y, predicted, w, n_classes):
        """Weight, mean and squares about the mean of y in a block, and its squared errors."""
        y, w = np.asarray(y, dtype=np.float64), weights(y, w)
        weight = float(w.sum())
        mean = float(w @ y) / weight if weight else 0.0
        return _Errors(weight, mean, float(w @ (y - mean) ** 2), float(w @ (y - predicted) ** 2))

    def value(self, total) -> float:
        """The score of all rows; ValueError if none has weight."""
        check_weight(total.weight)
        if total.about_mean > 0.0:
            return 1.0 - total.residual / total.about_mean
        return 0.0 if total.residual > 0.0 else 1.0


class _Errors(NamedTuple):
    """Squares are taken about the common mean: about 0, a mean far from it would hide them."""

    weight: float
    mean: float
    about_mean: float
    residual: float

    def __add__(self, other: _Errors) -> _Errors:
        weight = self.weight + other.weight
        share = other.weight / weight if weight else 0.0
        shift = other.mean - self.mean
        between = self.weight * share * shift * shift
        return _Errors(
            weight,
            self.mean + share * shift,
            self.about_mean + other.about_mean + between,
            self.residual + other.residual,
        )
