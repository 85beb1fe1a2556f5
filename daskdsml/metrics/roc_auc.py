"""Area under the ROC curve."""

import numpy as np

from daskdsml.metrics._ranks import RankMetric
from daskdsml.metrics._sums import check_class


class RocAuc(RankMetric):
    """Probability that a row of the second class has a higher score than one of the first.

    ``sum_ij w_i v_j ([s_i > t_j] + [s_i = t_j] / 2) / (sum_i w_i sum_j v_j)`` over rows i of the
    second class with scores s and weights w, and rows j of the first with t and v.

    Exact up to ``most`` distinct scores. Above, scores of a narrow cell count as equal (see
    `daskdsml.metrics._ranks.Ranks`). Pairs of one cell are counted a half, so the area is off by at
    most ``sum_c w_c v_c / (2 sum_i w_i sum_j v_j)`` over cells c: `error` gives this number, which
    is never above half the largest share that a cell has of either class. With the default and
    scores that spread like a normal variable it is 1e-4, and the area is off by 1e-7.

    Parameters
    ----------
    most : int
        Most distinct scores to keep. The default takes 384 KiB, so that a hundred models can be
        scored at once in 40 MB.

    References
    ----------
    Hanley, J. A. and McNeil, B. J. (1982). The meaning and use of the area under a receiver
    operating characteristic (ROC) curve. Radiology 143, 29-36.
    """

    name = "roc_auc"

    def value(self, total) -> float:
        """The score of all rows; ValueError if one of the classes has no weight."""
        first, second = _columns(total)
        below = np.cumsum(first) - 0.5 * first
        return float(second @ below / (first.sum() * second.sum()))

    def error(self, total) -> float:
        """How much `value` may be off, 0.0 where all distinct scores were kept."""
        first, second = _columns(total)
        pairs = first @ second if total.dropped else 0.0
        return float(0.5 * pairs / (first.sum() * second.sum()))


def _columns(total):
    first, second = total.sums.T
    for number, weight in enumerate((first.sum(), second.sum())):
        check_class("roc_auc", number, weight)
    return first, second
