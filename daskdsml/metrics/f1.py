"""F1: harmonic mean of precision and recall."""

from daskdsml.metrics._classes import PositiveClass, f1


class F1(PositiveClass):
    """``2 hits / (true + predicted)`` for the second of two classes.

    Harmonic mean of precision and recall. ``true`` is the weight of the second class's rows,
    ``predicted`` that of rows predicted to be of it, ``hits`` that of rows of both kinds.

    References
    ----------
    van Rijsbergen, C. J. (1979). Information Retrieval, 2nd ed., chapter 7.
    """

    name = "f1"
    score = staticmethod(f1)
