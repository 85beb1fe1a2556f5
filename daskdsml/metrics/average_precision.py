"""Average precision."""

import numpy as np

from daskdsml.metrics._ranks import RankMetric
from daskdsml.metrics._sums import check_class


class AveragePrecision(RankMetric):
    """``sum_k (R_k - R_k-1) P_k``, recall R and precision P at falling thresholds on the score.

    Exact up to ``most`` distinct scores. Above, scores of a narrow cell count as equal (see
    `daskdsml.metrics._ranks.Ranks`). With weights p and n of the two classes in a cell, T and F in
    all cells above it, the precision at a positive row of the cell lies between ``T / (T + F + n)``
    and ``(T + p) / (T + p + F)``; `error` gives the largest difference this allows. With the
    default and scores that spread like a normal variable it is 6e-4, and the score is off by 1e-4.

    Parameters
    ----------
    most : int
        Most distinct scores to keep; the default takes 384 KiB.

    References
    ----------
    Davis, J. and Goadrich, M. (2006). The relationship between precision-recall and ROC curves.
    ICML.
    """

    name = "average_precision"

    def value(self, total) -> float:
        """The score of all rows; ValueError if the second class has no weight."""
        n, p, F, T = _from_above(total)
        return float(p @ ((T + p) / (T + p + F + n)) / p.sum())

    def error(self, total) -> float:
        """How much `value` may be off, 0.0 where all distinct scores were kept."""
        n, p, F, T = _from_above(total)
        if not total.dropped:
            return 0.0
        n, p, F, T = (sums[p > 0.0] for sums in (n, p, F, T))
        counted = (T + p) / (T + p + F + n)
        lowest = T / np.where(T > 0.0, T + F + n, 1.0)
        highest = (T + p) / (T + p + F)
        return float(p @ np.maximum(highest - counted, counted - lowest) / p.sum())


def _from_above(total):
    """Weights n and p of the classes at each score from the highest down, and sums F, T above."""
    n, p = total.sums[::-1].T
    check_class("average_precision", 1, p.sum())
    return n, p, np.cumsum(n) - n, np.cumsum(p) - p
