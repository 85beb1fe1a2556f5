"""Negative mean absolute error. Found by name."""

from typing import NamedTuple

import numpy as np

from daskdsml.metrics._sums import mean, weighted


class NegMeanAbsoluteError(NamedTuple):
    """``-sum_i w_i |y_i - m_i| / sum_i w_i`` for predictions ``m_i``."""

    needs = "predictions"

    def count(self, y, found, w, n_classes):
        """Weighted absolute errors of a block, and its weight."""
        return weighted(-np.abs(y - found), w)

    def value(self, total) -> float:
        """The score of all rows; ValueError if none has weight."""
        return mean(total)
