"""Share of the positive rows that are named so. Found by name."""

from typing import NamedTuple

from daskdsml.metrics._classes import count_classes, per_class
from daskdsml.metrics._sums import check_binary, check_class


class Recall(NamedTuple):
    """``hits / true`` for the second of two classes.

    ``true`` is the weight of the second class's rows, ``hits`` that of those predicted to be of it.

    References
    ----------
    van Rijsbergen, C. J. (1979). Information Retrieval, 2nd ed., chapter 7.
    """

    needs = "labels"

    def count(self, y, found, w, n_classes):
        """Summed weights of each class in a block; ValueError unless there are two classes."""
        check_binary("recall", n_classes, "'recall_macro'")
        return count_classes(y, found, w, n_classes)

    def value(self, total) -> float:
        """The score of all rows; ValueError if no positive row has weight."""
        hits, true, _ = (part[1] for part in per_class(total))
        check_class("recall", 1, true)
        return float(hits / true)
