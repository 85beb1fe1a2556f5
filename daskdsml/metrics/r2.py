"""Coefficient of determination."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from daskdsml.metrics._sums import check_weight, weights
from daskdsml.utils.variation import Variation


class R2(NamedTuple):
    """``1 - sum_i w_i (y_i - m_i)**2 / sum_i w_i (y_i - mean(y))**2`` for predictions ``m_i``.

    Where y does not vary it is 1 if all predictions are right and else 0; of one row it is NaN.
    """

    needs = "predictions"

    def count(self, y, predicted, w, n_classes):
        """The spread of y in a block, and its squared errors."""
        y, w = np.asarray(y, dtype=np.float64), weights(y, w)
        return _Errors(len(y), Variation.of(y[:, None], w), float(w @ (y - predicted) ** 2))

    def value(self, total) -> float:
        """The score of all rows; ValueError if none has weight."""
        check_weight(total.y.weight)
        return float(total.y.r2(total.residual, total.n_rows)[0])


class _Errors(NamedTuple):
    n_rows: int
    y: Variation
    residual: float

    def __add__(self, other: _Errors) -> _Errors:
        n_rows = self.n_rows + other.n_rows
        return _Errors(n_rows, self.y + other.y, self.residual + other.residual)
