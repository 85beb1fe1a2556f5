"""The rule of one standard error: the simplest of the models that are as good as the best."""

from __future__ import annotations

import numpy as np

RULES = ("min", "1se")


def best_of(scores, axis=None):
    """Where the greatest of the ``scores`` is, along an ``axis`` or among all; never a NaN.

    Of NaN alone it is the first.
    """
    return np.argmax(np.where(np.isnan(scores), -np.inf, scores), axis=axis)


def best_and_simplest(scores: np.ndarray) -> tuple[int, int]:
    """Indices of the best mean score, and of the first within one standard error of it.

    Parameters
    ----------
    scores : array (n_models, n_folds)
        The greater the better, of models from the simplest on. The standard error is that of the
        best one's mean over the folds; of one fold there is none, and the best is taken.

    References
    ----------
    Hastie, T., Tibshirani, R. and Friedman, J. (2009). The Elements of Statistical Learning,
    2nd ed., section 7.10.
    """
    mean, n_folds = scores.mean(axis=1), scores.shape[1]
    best = int(best_of(mean))
    if n_folds == 1:
        return best, best
    error = scores[best].std(ddof=1) / np.sqrt(n_folds)
    return best, int(np.argmax(mean >= mean[best] - error))
