"""Negative mean deviance of positive amounts. Found by name."""

from typing import NamedTuple

import numpy as np

from daskdsml.metrics._sums import check_positive, mean, weighted


class NegMeanGammaDeviance(NamedTuple):
    """``-2 sum_i w_i (log(m_i / y_i) + y_i / m_i - 1) / sum_i w_i`` for predictions ``m_i``.

    References
    ----------
    McCullagh, P. and Nelder, J. A. (1989). Generalized Linear Models, 2nd ed., section 2.3.
    """

    needs = "predictions"

    def count(self, y, found, w, n_classes):
        """Weighted deviances of a block, and its weight; ValueError unless all is above 0."""
        y, found = np.asarray(y, dtype=np.float64), np.asarray(found, dtype=np.float64)
        check_positive("neg_mean_gamma_deviance", "predictions", found)
        check_positive("neg_mean_gamma_deviance", "y", y)
        return weighted(-2.0 * (np.log(found / y) + y / found - 1.0), w)

    def value(self, total) -> float:
        """The score of all rows; ValueError if none has weight."""
        return mean(total)
