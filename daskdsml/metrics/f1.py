"""Harmonic mean of precision and recall. Found by name."""

from typing import NamedTuple

from daskdsml.metrics._classes import count_classes, per_class
from daskdsml.metrics._sums import check_binary, check_class


class F1(NamedTuple):
    """``2 hits / (true + named)`` for the second of two classes.

    Harmonic mean of precision and recall. ``true`` is the weight of the second class's rows,
    ``named`` that of rows predicted to be of it, ``hits`` that of rows of both kinds.

    References
    ----------
    van Rijsbergen, C. J. (1979). Information Retrieval, 2nd ed., chapter 7.
    """

    needs = "labels"

    def count(self, y, found, w, n_classes):
        """Summed weights of each class in a block; ValueError unless there are two classes."""
        check_binary("f1", n_classes, "'f1_macro'")
        return count_classes(y, found, w, n_classes)

    def value(self, total) -> float:
        """The score of all rows; ValueError if no positive row has weight."""
        hits, true, named = (part[1] for part in per_class(total))
        check_class("f1", 1, true)
        return float(2.0 * hits / (true + named))
