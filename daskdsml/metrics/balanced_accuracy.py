"""Mean recall of the classes that are met. Found by name."""

from typing import NamedTuple

import numpy as np

from daskdsml.metrics._classes import count_classes, per_class


class BalancedAccuracy(NamedTuple):
    """Mean over classes of ``hits / true``, both summed weights.

    A class without a row of positive weight has no recall and is left out of the mean.

    References
    ----------
    Brodersen, K. H. et al. (2010). The balanced accuracy and its posterior distribution. ICPR.
    """

    needs = "labels"

    def count(self, y, found, w, n_classes):
        """Summed weights of each class in a block."""
        return count_classes(y, found, w, n_classes)

    def value(self, total) -> float:
        """The score of all rows; ValueError if none has weight."""
        hits, true, _ = per_class(total)
        return float(np.mean(hits[true > 0.0] / true[true > 0.0]))
