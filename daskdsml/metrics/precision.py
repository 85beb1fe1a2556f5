"""Precision: the share of true positives among the rows predicted positive."""

from daskdsml.metrics._classes import PositiveClass, precision


class Precision(PositiveClass):
    """``hits / predicted`` for the second of two classes.

    ``predicted`` is the weight of rows predicted to be of the second class, ``hits`` that of those
    which are. 0 if it is never predicted, as in scikit-learn: strong penalties may well do that.

    References
    ----------
    van Rijsbergen, C. J. (1979). Information Retrieval, 2nd ed., chapter 7.
    """

    name = "precision"
    must_occur = False
    score = staticmethod(precision)
