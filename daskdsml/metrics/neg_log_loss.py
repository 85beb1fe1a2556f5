"""Negative mean log loss of probabilities."""

import numpy as np

from daskdsml.metrics._sums import RowMean


class NegLogLoss(RowMean):
    """``sum_i w_i log p_i / sum_i w_i`` with ``p_i`` the probability given to the true class.

    Probabilities are clipped to [eps, 1 - eps], eps that of their dtype, as scikit-learn clips
    them: a model that gives probability 0 to what happens is fined 36 in float64, not infinity, and
    stays comparable. Probabilities within these bounds are not changed. A class without rows
    needs nothing: the number of classes is known.

    References
    ----------
    Good, I. J. (1952). Rational decisions. J. R. Stat. Soc. B 14, 107-114.
    """

    needs = "probabilities"

    def score_rows(self, y, predicted, n_classes):
        eps = float(np.finfo(predicted.dtype).eps)
        true = predicted[np.arange(len(y)), y].astype(np.float64)
        return np.log(np.clip(true, eps, 1.0 - eps))
