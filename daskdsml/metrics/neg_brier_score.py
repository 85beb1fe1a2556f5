"""Negative Brier score: mean squared error of probabilities."""

import numpy as np

from daskdsml.metrics._sums import RowMean


class NegBrierScore(RowMean):
    """``-sum_i w_i sum_k (p_ik - [y_i = k])**2 / sum_i w_i``, and half of it for two classes.

    So that of two classes is ``-(p_i - y_i)**2`` with the probability of the second, as usual.

    References
    ----------
    Brier, G. W. (1950). Verification of forecasts expressed in terms of probability. Monthly
    Weather Review 78, 1-3.
    """

    needs = "probabilities"

    def score_rows(self, y, predicted, n_classes):
        errors = predicted.astype(np.float64)
        errors[np.arange(len(y)), y] -= 1.0
        factor = 0.5 if n_classes == 2 else 1.0
        return -factor * np.einsum("ik,ik->i", errors, errors)
