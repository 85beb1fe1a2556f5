"""Negative mean squared error of probabilities. Found by name."""

from typing import NamedTuple

import numpy as np

from daskdsml.metrics._sums import mean, weighted


class NegBrierScore(NamedTuple):
    """``-sum_i w_i sum_k (p_ik - [y_i = k])**2 / sum_i w_i``, and half of it for two classes.

    So that of two classes is ``-(p_i - y_i)**2`` with the probability of the second, as usual.

    References
    ----------
    Brier, G. W. (1950). Verification of forecasts expressed in terms of probability. Monthly
    Weather Review 78, 1-3.
    """

    needs = "probabilities"

    def count(self, y, found, w, n_classes):
        """Weighted squares of a block, and its weight."""
        errors = found.astype(np.float64)
        errors[np.arange(len(y)), y] -= 1.0
        share = 0.5 if n_classes == 2 else 1.0
        return weighted(-share * np.einsum("ik,ik->i", errors, errors), w)

    def value(self, total) -> float:
        """The score of all rows; ValueError if none has weight."""
        return mean(total)
