"""Balanced accuracy: mean recall of the classes that occur."""

import numpy as np

from daskdsml.metrics._classes import MacroAverage, recall
from daskdsml.metrics._sums import check_weight


class BalancedAccuracy(MacroAverage):
    """Mean over classes of ``hits / true``, both summed weights.

    A class without a row of positive weight has no recall and is left out of the mean.

    References
    ----------
    Brodersen, K. H. et al. (2010). The balanced accuracy and its posterior distribution. ICPR.
    """

    def value(self, total) -> float:
        """The score of all rows; ValueError if none has weight."""
        hits, true, predicted = total.values
        check_weight(true.sum())
        return float(np.mean(recall(hits, true, predicted)[true > 0.0]))
