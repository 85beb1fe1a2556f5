"""Negative mean squared error. Found by name."""

from typing import NamedTuple

from daskdsml.metrics._sums import mean, weighted


class NegMeanSquaredError(NamedTuple):
    """``-sum_i w_i (y_i - m_i)**2 / sum_i w_i`` for predictions ``m_i``."""

    needs = "predictions"

    def count(self, y, found, w, n_classes):
        """Weighted squares of a block, and its weight."""
        return weighted(-((y - found) ** 2), w)

    def value(self, total) -> float:
        """The score of all rows; ValueError if none has weight."""
        return mean(total)
