"""Mean recall of the classes. Found by name."""

from typing import NamedTuple

import numpy as np

from daskdsml.metrics._classes import count_classes, recalls


class RecallMacro(NamedTuple):
    """Mean of ``hits / true`` over the classes that are met or named.

    ``true`` is the weight of a class's rows, ``hits`` that of those predicted to be of it. A class
    that is named but never met counts 0, as in scikit-learn; `BalancedAccuracy` leaves it out.

    References
    ----------
    van Rijsbergen, C. J. (1979). Information Retrieval, 2nd ed., chapter 7.
    """

    needs = "labels"

    def count(self, y, found, w, n_classes):
        """Summed weights of each class in a block."""
        return count_classes(y, found, w, n_classes)

    def value(self, total) -> float:
        """The score of all rows; ValueError if none has weight."""
        return float(np.mean(recalls(total)))
