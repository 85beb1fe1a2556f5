"""Negative mean Poisson deviance, of counts."""

import numpy as np

from daskdsml.metrics._sums import RowMean, check_positive


class NegMeanPoissonDeviance(RowMean):
    """``-2 sum_i w_i (y_i log(y_i / m_i) - y_i + m_i) / sum_i w_i`` for predictions ``m_i``.

    ``y_i log y_i`` is 0 at 0.

    References
    ----------
    McCullagh, P. and Nelder, J. A. (1989). Generalized Linear Models, 2nd ed., section 2.3.
    """

    needs = "predictions"

    def score_rows(self, y, predicted, n_classes):
        """Raises ValueError unless predictions are above 0 and y is not below."""
        y, mean = np.asarray(y, dtype=np.float64), np.asarray(predicted, dtype=np.float64)
        check_positive("neg_mean_poisson_deviance", "predictions", mean)
        check_positive("neg_mean_poisson_deviance", "y", y, strict=False)
        return -2.0 * (y * np.log(np.where(y > 0.0, y, mean) / mean) - y + mean)
