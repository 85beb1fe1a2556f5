"""Mean precision of the classes. Found by name."""

from typing import NamedTuple

import numpy as np

from daskdsml.metrics._classes import count_classes, precisions


class PrecisionMacro(NamedTuple):
    """Mean of ``hits / named`` over the classes that are met or named.

    ``named`` is the weight of rows predicted to be of a class, ``hits`` that of those which are. A
    class that is met but never named counts 0, as in scikit-learn.

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
        return float(np.mean(precisions(total)))
