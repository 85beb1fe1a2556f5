"""Negative mean log loss of probabilities. Found by name."""

from typing import NamedTuple

import numpy as np

from daskdsml.metrics._sums import mean, weighted


class NegLogLoss(NamedTuple):
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

    def count(self, y, found, w, n_classes):
        """Weighted log probabilities of a block, and its weight."""
        eps = float(np.finfo(found.dtype).eps)
        own = found[np.arange(len(y)), y].astype(np.float64)
        return weighted(np.log(np.clip(own, eps, 1.0 - eps)), w)

    def value(self, total) -> float:
        """The score of all rows; ValueError if none has weight."""
        return mean(total)
