"""Share of the rows named positive that are. Found by name."""

from typing import NamedTuple

from daskdsml.metrics._classes import count_classes, per_class
from daskdsml.metrics._sums import check_binary


class Precision(NamedTuple):
    """``hits / named`` for the second of two classes.

    ``named`` is the weight of rows predicted to be of the second class, ``hits`` that of
    those which are. 0 if it is never named, as in scikit-learn: strong penalties may well do that.

    References
    ----------
    van Rijsbergen, C. J. (1979). Information Retrieval, 2nd ed., chapter 7.
    """

    needs = "labels"

    def count(self, y, found, w, n_classes):
        """Summed weights of each class in a block; ValueError unless there are two classes."""
        check_binary("precision", n_classes, "'precision_macro'")
        return count_classes(y, found, w, n_classes)

    def value(self, total) -> float:
        """The score of all rows; ValueError if no row has weight."""
        hits, _, named = (part[1] for part in per_class(total))
        return float(hits / named) if named > 0.0 else 0.0
