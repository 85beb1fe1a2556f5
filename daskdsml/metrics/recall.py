"""Recall: the share of true positives among the positive rows."""

from daskdsml.metrics._classes import PositiveClass, recall


class Recall(PositiveClass):
    """``hits / true`` for the second of two classes.

    ``true`` is the weight of the second class's rows, ``hits`` that of those predicted to be of it.

    References
    ----------
    van Rijsbergen, C. J. (1979). Information Retrieval, 2nd ed., chapter 7.
    """

    name = "recall"
    score = staticmethod(recall)
