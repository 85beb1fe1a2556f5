"""Negative mean gamma deviance, of positive amounts."""

import numpy as np

from daskdsml.metrics._sums import RowMean, check_positive


class NegMeanGammaDeviance(RowMean):
    """``-2 sum_i w_i (log(m_i / y_i) + y_i / m_i - 1) / sum_i w_i`` for predictions ``m_i``.

    References
    ----------
    McCullagh, P. and Nelder, J. A. (1989). Generalized Linear Models, 2nd ed., section 2.3.
    """

    needs = "predictions"

    def score_rows(self, y, predicted, n_classes):
        """Raises ValueError unless predictions and y are above 0."""
        y, mean = np.asarray(y, dtype=np.float64), np.asarray(predicted, dtype=np.float64)
        check_positive("neg_mean_gamma_deviance", "predictions", mean)
        check_positive("neg_mean_gamma_deviance", "y", y)
        return -2.0 * (np.log(mean / y) + y / mean - 1.0)
