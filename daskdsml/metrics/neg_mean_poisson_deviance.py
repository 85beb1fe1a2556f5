"""Negative mean deviance of counts. Found by name."""

from typing import NamedTuple

import numpy as np

from daskdsml.metrics._sums import check_positive, mean, weighted


class NegMeanPoissonDeviance(NamedTuple):
    """``-2 sum_i w_i (y_i log(y_i / m_i) - y_i + m_i) / sum_i w_i`` for predictions ``m_i``.

    ``y_i log y_i`` is 0 at 0.

    References
    ----------
    McCullagh, P. and Nelder, J. A. (1989). Generalized Linear Models, 2nd ed., section 2.3.
    """

    needs = "predictions"

    def count(self, y, found, w, n_classes):
        """Weighted deviances of a block, and its weight.

        Raises ValueError unless predictions are above 0 and y is not below.
        """
        y, found = np.asarray(y, dtype=np.float64), np.asarray(found, dtype=np.float64)
        check_positive("neg_mean_poisson_deviance", "predictions", found)
        check_positive("neg_mean_poisson_deviance", "y", y, strict=False)
        logs = y * np.log(np.where(y > 0.0, y, found) / found)
        return weighted(-2.0 * (logs - y + found), w)

    def value(self, total) -> float:
        """The score of all rows; ValueError if none has weight."""
        return mean(total)
