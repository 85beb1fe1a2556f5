"""Accuracy. Found by name."""

from typing import NamedTuple

import numpy as np

from daskdsml.metrics._sums import mean, weighted


class Accuracy(NamedTuple):
    """``sum_i w_i [predicted_i = y_i] / sum_i w_i``."""

    needs = "labels"

    def count(self, y, found, w, n_classes):
        """Weighted hits of a block, and its weight."""
        return weighted(np.asarray(y) == found, w)

    def value(self, total) -> float:
        """The score of all rows; ValueError if none has weight."""
        return mean(total)
