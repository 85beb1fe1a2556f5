"""Mean F1 of the classes, each against the rest. Found by name."""

from typing import NamedTuple

import numpy as np

from daskdsml.metrics._classes import count_classes, f1s


class F1Macro(NamedTuple):
    """Mean of ``2 hits / (true + named)`` over the classes that are met or named.

    ``true`` is the weight of a class's rows, ``named`` that of rows predicted to be of it, ``hits``
    that of rows of both kinds.

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
        return float(np.mean(f1s(total)))
